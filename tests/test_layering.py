"""The layers and the form of the code, read from its syntax trees."""

import ast
import io
import os
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent

# What each layer may import of qcc, besides itself. "qcc" is the driver: everything that is in no other layer.
LAYERS = {"ir": set(), "passes": {"ir"}, "targets": {"ir", "passes"}, "qcc": {"ir", "passes", "targets"}}

# Libraries that only some places may import.
OWNERS: dict[str, tuple[str, ...]] = {
    "lark": ("ir/", "passes/"),
    "onnx": ("qcc/frontends/",),
    "onnxruntime": (),
    "tvm": ("targets/",),
    "tvm_ffi": ("targets/",),
}

VAGUE = re.compile(r"(utils?|helpers?|common|misc)\.py")
SUPPRESSION = re.compile(r"#\s*(noqa|type:\s*ignore)\b")
SUPPRESSION_WITH_REASON = re.compile(r"#\s*(noqa: [A-Z]+\d+(, ?[A-Z]+\d+)*|type:\s*ignore\[[\w, -]+\])\W+\w+ \w+")


def python_files(*folders: str) -> list[Path]:
    """Return the Python files below the folders, relative to the root; links are not followed."""
    found = []
    for folder in folders:
        for place, _, names in os.walk(ROOT / folder):
            found += [(Path(place) / name).relative_to(ROOT) for name in names if name.endswith(".py")]
    return sorted(found)


SOURCES = python_files(*LAYERS)
HAND_WRITTEN = SOURCES + python_files("tests", "examples", "benchmarks")


def tree(file: Path) -> ast.Module:
    """Return the syntax tree of a file."""
    return ast.parse((ROOT / file).read_text(encoding="utf-8"), filename=str(file))


def import_name(file: Path) -> list[str]:
    """Return the dotted name, in parts, under which a source file is imported."""
    parts = list(file.with_suffix("").parts)
    if parts[-1] == "__init__":
        parts.pop()
    return parts if parts[0] == "qcc" else ["qcc", *parts]


def imports(file: Path, root: ast.AST | None = None) -> Iterator[tuple[str, str | None]]:
    """Yield (module, name) for each import; name is None for a plain `import module`."""
    package = import_name(file) if file.name == "__init__.py" else import_name(file)[:-1]
    for node in ast.walk(root or tree(file)):
        if isinstance(node, ast.Import):
            yield from ((alias.name, None) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *(node.module or "").split(".")]).rstrip(".")
            yield from ((module, alias.name) for alias in node.names)


def layer_of(dotted: str) -> str | None:
    """Return the layer that a dotted name belongs to, or None if it is not qcc's."""
    parts = dotted.split(".")
    if parts[0] != "qcc":
        return None
    return parts[1] if len(parts) > 1 and parts[1] in LAYERS else "qcc"


def wrong_layers(file: Path, root: ast.AST | None = None) -> list[str]:
    """Return a sentence for each import that a file's layer forbids."""
    own = layer_of(".".join(import_name(file)))
    assert own is not None
    found = []
    for module, name in imports(file, root):
        for dotted in {module, f"{module}.{name}" if module == "qcc" and name in LAYERS else module}:
            layer = layer_of(dotted)
            if layer is None or layer == own or (dotted == "qcc" and name in LAYERS):
                continue
            if layer not in LAYERS[own]:
                found.append(f"{file}: {own} must not import {dotted}")
            elif name is not None and name.startswith("_"):
                found.append(f"{file}: {name} is private to {dotted}")
            elif (ROOT / "/".join(dotted.split("."))).with_suffix(".py").exists():
                found.append(f"{file}: import from the package, not from its inner module {dotted}")
    return found


def wrong_libraries(file: Path, root: ast.AST | None = None) -> list[str]:
    """Return a sentence for each library that a file must leave to another layer."""
    tops = {module.split(".")[0] for module, _ in imports(file, root)}
    return [
        f"{file}: {library} belongs to {' and '.join(owners) or 'the tests'}"
        for library, owners in OWNERS.items()
        if library in tops and not file.as_posix().startswith(owners)
    ]


def test_files_are_found() -> None:
    assert {file.parts[0] for file in SOURCES} == set(LAYERS)


def test_each_layer_imports_only_what_lies_below() -> None:
    assert [line for file in SOURCES for line in wrong_layers(file)] == []


def test_each_library_has_one_place() -> None:
    assert [line for file in SOURCES for line in wrong_libraries(file)] == []


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("ir/a.py", "import qcc"),
        ("ir/a.py", "from qcc.passes import Pass"),
        ("ir/a.py", "from qcc import passes"),
        ("ir/sub/a.py", "from ...passes import Pass"),
        ("ir/__init__.py", "from ..passes import Pass"),
        ("passes/a.py", "def f():\n    import qcc.targets.x86"),
        ("passes/a.py", "from qcc.errors import QccError"),
        ("targets/a.py", "from qcc import load"),
        ("targets/a.py", "from qcc.ir import _private"),
    ],
)
def test_a_wrong_import_is_noticed(file: str, text: str) -> None:
    assert len(wrong_layers(Path(file), ast.parse(text))) == 1


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("ir/a.py", "from .b import c\nfrom . import d\nfrom qcc.ir import e"),
        ("passes/a.py", "from qcc.ir import Op\nfrom ..ir import Op"),
        ("targets/a.py", "from qcc.passes import Pass\nimport tvm"),
        ("qcc/a.py", "from qcc import ir, targets\nfrom .b import c"),
    ],
)
def test_a_right_import_passes(file: str, text: str) -> None:
    assert wrong_layers(Path(file), ast.parse(text)) == []


@pytest.mark.parametrize("text", ["import tvm", "from onnx.helper import make_node", "def f():\n    import tvm.tirx"])
def test_a_library_in_the_wrong_place_is_noticed(text: str) -> None:
    assert len(wrong_libraries(Path("passes/a.py"), ast.parse(text))) == 1


@pytest.mark.parametrize("name", ["ir", "passes", "targets"])
def test_a_package_refuses_a_foreign_name(name: str) -> None:
    done = subprocess.run([sys.executable, "-c", f"import {name}"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert re.search(rf"^ImportError: .*\bqcc\.{name}\b", done.stderr, re.MULTILINE)


def test_importing_qcc_loads_no_heavy_library() -> None:
    code = (
        "import sys, qcc, qcc.ir, qcc.passes, qcc.targets; print(*{'tvm', 'onnx', 'torch', 'scipy'} & {*sys.modules})"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_files_are_short() -> None:
    def limit(file: Path) -> int:
        return 700 if "ops" in {*file.parts, file.stem} else 500

    lengths = {file: len((ROOT / file).read_text(encoding="utf-8").splitlines()) for file in HAND_WRITTEN}
    assert {str(file): length for file, length in lengths.items() if length >= limit(file)} == {}


def test_functions_are_short() -> None:
    functions = [
        (f"{file}:{node.lineno} {node.name}", (node.end_lineno or 0) - node.lineno + 1)
        for file in HAND_WRITTEN
        for node in ast.walk(tree(file))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    assert [(place, length) for place, length in functions if length >= 60] == []


def test_file_names_say_what_is_inside() -> None:
    assert [str(file) for file in HAND_WRITTEN if VAGUE.fullmatch(file.name)] == []


def test_every_suppression_has_a_reason() -> None:
    found = []
    for file in HAND_WRITTEN:
        for token in tokenize.generate_tokens(io.StringIO((ROOT / file).read_text(encoding="utf-8")).readline):
            comment = token.string if token.type == tokenize.COMMENT else ""
            if SUPPRESSION.search(comment) and not SUPPRESSION_WITH_REASON.search(comment):
                found.append(f"{file}:{token.start[0]} {comment}")
    assert found == []
