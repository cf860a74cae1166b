"""What the files of an artifact hold: portable C, no state, true figures, the same bytes each time."""

import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from qcc.ir import Module, evaluate, parse_module
from qcc.targets.emission import Artifact
from tests.targets.compiled import TARGETS, compiled, compiled_once, planned, require_host
from tests.targets.integer_modules import chain, random_inputs, residual_net, wide_net
from tests.targets.test_artifact_bits import float_region, in_place, odd_names, several_outputs

GOLDEN = Path(__file__).resolve().parent / "golden"
STRICT = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic"]


def run(*command: str, folder: Path) -> str:
    """Run a tool and return what it prints; its messages are in the failure."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def write(artifact: Artifact, folder: Path) -> Path:
    """Write the artifact's files."""
    return artifact.save(folder / artifact.name)


@pytest.mark.parametrize("compiler", ["gcc", "clang"])
@pytest.mark.parametrize("build", [residual_net, several_outputs, in_place, odd_names, float_region])
def test_the_c_code_compiles_without_a_warning(
    build: Callable[[], Module], compiler: str, tmp_path: Path, tool: Callable[[str], str]
) -> None:
    artifact = compiled_once(build, "c")
    folder = write(artifact, tmp_path)
    for level in ("-O0", "-O2"):
        run(tool(compiler), *STRICT, level, "-c", f"{artifact.name}.c", "-o", "out.o", folder=folder)
    headers = re.findall(r"#include (<.*>)", "".join(artifact.files[f"{artifact.name}.{e}"].decode() for e in "ch"))
    allowed = {"<stdint.h>", "<stddef.h>", "<string.h>"}
    assert set(headers) <= (allowed | {"<math.h>"} if artifact.manifest["has_float"] else allowed)


@pytest.mark.parametrize("target", TARGETS)
def test_the_header_is_for_c_and_for_cpp(target: str, tmp_path: Path, tool: Callable[[str], str]) -> None:
    folder = write(compiled_once(odd_names, target), tmp_path)
    twice = '#include "class.h"\n' * 2
    (folder / "use.c").write_text(twice + "int bytes(void) { return class_ARENA_BYTES; }\n")
    run(tool("gcc"), *STRICT, "-c", "use.c", folder=folder)
    run(tool("g++"), "-std=c++11", *STRICT[1:], "-x", "c++", "-c", "use.c", folder=folder)


def test_the_header_as_it_is() -> None:
    header = compiled_once(residual_net, "c").files["residual_net.h"].decode()
    assert header == (GOLDEN / "residual_net.h").read_text()


_MAIN = """\
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include "{name}.h"

/* Inputs, outputs and arena are exactly as large as the header says. */
static void *block(size_t bytes) {{
    void *memory = NULL;
    if (bytes == 0) {{
        return NULL;
    }}
    if (posix_memalign(&memory, {alignment}, bytes) != 0) {{
        exit(2);
    }}
    return memory;
}}

int main(void) {{
    {name}_inputs in;
    {name}_outputs out;
    void *arena = block({name}_ARENA_BYTES);
    FILE *file = fopen("in.bin", "rb");
{allocate}
    int status = {name}_run(&in, &out, arena);
    file = fopen("out.bin", "wb");
{store}
    fclose(file);
    return status;
}}
"""


def _main_text(artifact: Artifact) -> str:
    """Return a program that reads the inputs from a file, runs the library once and writes the outputs to another."""
    name, lines, store = artifact.name, [], []
    for port in artifact.manifest["inputs"]:
        c_name = port["c_name"]
        size = f"{name}_INPUT_{c_name}_BYTES"
        lines.append(f"    void *in_{c_name} = malloc({size});")
        lines.append(f"    if (fread(in_{c_name}, 1, {size}, file) != {size}) return 3;")
        lines.append(f"    in.{c_name} = in_{c_name};")
    lines.append("    fclose(file);")
    for port in artifact.manifest["outputs"]:
        c_name = port["c_name"]
        lines.append(f"    out.{c_name} = malloc({name}_OUTPUT_{c_name}_BYTES);")
        store.append(f"    fwrite(out.{c_name}, 1, {name}_OUTPUT_{c_name}_BYTES, file);")
    alignment = max(artifact.manifest["arena_alignment"], 16)
    return _MAIN.format(name=name, alignment=alignment, allocate="\n".join(lines), store="\n".join(store))


@pytest.mark.parametrize("build", [residual_net, several_outputs, in_place, float_region])
def test_sanitizers_find_nothing(build: Callable[[], Module], tmp_path: Path, tool: Callable[[str], str]) -> None:
    module = build()
    artifact = compiled_once(build, "c")
    folder = write(artifact, tmp_path)
    (folder / "main.c").write_text(_main_text(artifact))
    flags = ["-g", "-O1", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer"]
    run(tool("gcc"), *flags, "main.c", f"{artifact.name}.c", "-o", "program", "-lm", folder=folder)
    for seed in range(3):
        inputs = random_inputs(module, seed)
        (folder / "in.bin").write_bytes(b"".join(a.tobytes() for a in inputs.values()))
        environment = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0"}
        done = subprocess.run(["./program"], cwd=folder, env=environment, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        expected = b"".join(a.tobytes() for a in evaluate(module, inputs).values())
        assert (folder / "out.bin").read_bytes() == expected


def test_the_sanitizers_would_find_an_arena_that_is_too_small(tmp_path: Path, tool: Callable[[str], str]) -> None:
    module = residual_net()
    artifact = compiled_once(residual_net, "c")
    folder = write(artifact, tmp_path)
    (folder / "main.c").write_text(_main_text(artifact).replace("_ARENA_BYTES)", "_ARENA_BYTES - 64)"))
    (folder / "in.bin").write_bytes(b"".join(a.tobytes() for a in random_inputs(module).values()))
    run(tool("gcc"), "-fsanitize=address", "main.c", f"{artifact.name}.c", "-o", "program", folder=folder)
    done = subprocess.run(["./program"], cwd=folder, capture_output=True, text=True, check=False)
    assert "heap-buffer-overflow" in done.stderr


@pytest.mark.parametrize("form", ["a", "so"])
def test_a_c_program_links_with_the_library(
    form: str, tmp_path: Path, tool: Callable[[str], str], cpu_feature: Callable[[str], None]
) -> None:
    require_host("x86_64-linux-gnu+avx2", cpu_feature)
    module = residual_net()
    artifact = compiled_once(residual_net, "x86_64-linux-gnu+avx2")
    folder = write(artifact, tmp_path)
    (folder / "main.c").write_text(_main_text(artifact))
    library = ["-L.", "-lresidual_net", "-Wl,-rpath,."] if form == "so" else ["libresidual_net.a"]
    (folder / ("libresidual_net.a" if form == "so" else "libresidual_net.so")).unlink()
    run(tool("gcc"), "main.c", "-o", "program", *library, folder=folder)
    inputs = random_inputs(module)
    (folder / "in.bin").write_bytes(inputs["image"].tobytes())
    run("./program", folder=folder)
    assert (folder / "out.bin").read_bytes() == evaluate(module, inputs)["logits"].tobytes()


def _object(artifact: Artifact, folder: Path, tool: Callable[[str], str]) -> str:
    """Return the file with the compiled code: the archive, or the C file compiled as the manifest says."""
    if f"lib{artifact.name}.a" in artifact.files:
        return f"lib{artifact.name}.a"
    flags = artifact.manifest["measured_with"]["flags"]
    run(tool("cc"), *flags, "-c", f"{artifact.name}.c", "-o", "out.o", folder=folder)
    return "out.o"


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("build", [residual_net, wide_net, float_region])
def test_the_manifest_says_what_size_and_nm_say(
    build: Callable[[], Module], target: str, tmp_path: Path, tool: Callable[[str], str]
) -> None:
    artifact = compiled_once(build, target)
    folder = write(artifact, tmp_path)
    code = _object(artifact, folder, tool)
    manifest = json.loads((folder / "manifest.json").read_text())
    text, data, bss = map(int, run(tool("size"), code, folder=folder).splitlines()[1].split()[:3])
    assert (manifest["flash_bytes"], manifest["data_bytes"], manifest["bss_bytes"]) == (text + data, data, bss)
    assert (data, bss) == (0, 0)
    assert manifest["ram_bytes"] == manifest["arena_bytes"]
    sections = [line.split() for line in run(tool("size"), "-A", code, folder=folder).splitlines()]
    executed = sum(int(s[1]) for s in sections if s and s[0].startswith(".text"))
    assert manifest["code_bytes"] == executed
    symbols = [line.split() for line in run(tool("nm"), "-S", code, folder=folder).splitlines()]
    constants = [int(s[1], 16) for s in symbols if len(s) == 4 and "_c_" in s[3]]
    assert manifest["weight_bytes"] == sum(constants) > 0
    header = artifact.files[f"{artifact.name}.h"].decode()
    assert f"#define {artifact.name}_ARENA_BYTES {manifest['arena_bytes']}\n" in header


OF_THE_LINKER = {"_DYNAMIC", "_GLOBAL_OFFSET_TABLE_"}


@pytest.mark.parametrize("target", TARGETS)
def test_no_state_no_heap_and_one_visible_name(target: str, tmp_path: Path, tool: Callable[[str], str]) -> None:
    artifact = compiled_once(residual_net, target)
    folder = write(artifact, tmp_path)
    files = [_object(artifact, folder, tool), *(f for f in artifact.files if f.endswith(".so"))]
    for file in files:
        symbols = [line.split()[-2:] for line in run(tool("nm"), file, folder=folder).splitlines() if line.strip()]
        symbols = [s for s in symbols if len(s) == 2]
        assert [s for s in symbols if s[0] in "dDbBCgGsS" and s[1] not in OF_THE_LINKER] == []
        visible = sorted(name for kind, name in symbols if kind.isupper() and kind != "U")
        assert visible == ["residual_net_check_cpu", "residual_net_run", "residual_net_run_within"]
        assert {name for kind, name in symbols if kind == "U"} <= {"memcpy", "memset", *OF_THE_LINKER}
        weak = {name.partition("@")[0] for kind, name in symbols if kind == "w"}
        assert weak == (set() if target == "c" else {"__x86_get_cpuid_feature_leaf"})


def test_stack_use_is_reported_for_c() -> None:
    assert 0 < compiled_once(residual_net, "c").manifest["stack_bytes"] < 4096


_DIGEST = """
import hashlib, sys
from tests.targets.compiled import compiled
from tests.targets.integer_modules import residual_net
for target in sys.argv[1:]:
    files = compiled(residual_net(), target).files
    print({name: hashlib.sha256(data).hexdigest() for name, data in sorted(files.items())})
"""


@pytest.mark.slow
def test_the_same_module_gives_the_same_bytes() -> None:
    root = Path(__file__).resolve().parents[2]
    texts = set()
    for seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(root)}
        command = [sys.executable, "-c", _DIGEST, "c", "x86_64-linux-gnu+avx2"]
        done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=True)
        texts.add(done.stdout)
    assert len(texts) == 1
    for target, line in zip(("c", "x86_64-linux-gnu+avx2"), texts.pop().splitlines(), strict=True):
        files = compiled(residual_net(), target).files
        assert line == str({name: hashlib.sha256(data).hexdigest() for name, data in sorted(files.items())})


def test_the_module_in_the_artifact_is_the_one_that_was_compiled() -> None:
    from qcc.targets import Target

    artifact = compiled_once(residual_net, "c")
    assert parse_module(artifact.files["residual_net.qir"].decode()) == planned(residual_net(), Target.parse("c"))


def test_the_manifest() -> None:
    manifest = compiled_once(residual_net, "x86_64-linux-gnu").manifest
    assert manifest["target"] == "x86_64-linux-gnu+avx2"
    assert manifest["inputs"] == [
        {
            "name": "image",
            "c_name": "image",
            "shape": [1, 8, 8, 3],
            "type": "int8",
            "scale": np.float32(0.05),
            "zero_point": -3,
        }
    ]
    assert manifest["outputs"][0]["zero_point"] == 5
    assert manifest["pipeline"] == "fuse-epilogue,legalize-for-target,pack-weights,plan-memory"
    assert manifest["arithmetic_profile"] == "single"
    kept = compiled(residual_net().with_attribute("arithmetic", "tflm"), "x86_64-linux-gnu")
    assert kept.manifest["arithmetic_profile"] == "tflm"
    assert set(manifest["versions"]) == {"qcc", "apache-tvm", "numpy"}
    files = dict(compiled_once(residual_net, "x86_64-linux-gnu").files)
    del files["manifest.json"]
    hashes = {name: hashlib.sha256(data).hexdigest() for name, data in sorted(files.items())}
    assert {name: entry["sha256"] for name, entry in manifest["files"].items()} == hashes
    assert [entry["bytes"] for entry in manifest["files"].values()] == [len(files[name]) for name in hashes]


def test_comments_name_operations_and_layers() -> None:
    source = compiled(chain("conv", "table"), "c").files["chain.c"].decode()
    assert "    /* table1: conv2d + rescale + table */\n" in source
