"""The command line on good and bad input: exit statuses, messages, and never a traceback."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qcc.cli import main
from qcc.demo import load_demo
from qcc.ir import parse_module

DEMO = load_demo()
MODEL = str(DEMO.model)


@pytest.fixture
def calibration(tmp_path: Path) -> Path:
    path = tmp_path / "calibration.npz"
    np.savez(path, allow_pickle=False, **DEMO.calibration)
    return path


def fails(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Run a command that must end with status 2 and a message; return the message."""
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("qcc: error: ")
    assert "Traceback" not in captured.err
    return captured.err


def test_help_answers_at_once() -> None:
    command = [sys.executable, "-c", "import sys; from qcc.cli import main; sys.exit(main(['--help']))"]
    imported = [*command[:2], command[2].replace("sys.exit(main", "print(sorted(sys.modules)) if 0 else sys.exit(main")]
    start = time.perf_counter()
    done = subprocess.run(imported, capture_output=True, text=True, check=True)
    assert "compile a model" in done.stdout
    assert time.perf_counter() - start < 2  # generous: what counts is that nothing heavy is imported, see below
    heavy = "import sys; from qcc.cli.arguments import make_parser; make_parser(); print([m for m in sys.modules])"
    modules = subprocess.run([sys.executable, "-c", heavy], capture_output=True, text=True, check=True).stdout
    for name in ("numpy", "tvm", "onnx", "lark", "rich"):
        assert f"'{name}'" not in modules


def test_usage_errors_have_status_2(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (
        [],
        ["frobnicate"],
        ["compile"],
        ["bench", "x", "--threads", "0"],
        ["verify", "x", "--seed", "-1"],
    ):
        with pytest.raises(SystemExit) as stopped:
            main(arguments)
        assert stopped.value.code == 2
    assert "usage: qcc" in capsys.readouterr().err


def test_import_then_opt_keeps_weights(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole, folded = tmp_path / "m.qir", tmp_path / "f.qir"
    assert main(["import", MODEL, "-o", str(whole)]) == 0
    assert main(["opt", str(whole), "-p", "canonicalize,fold-batch-norm", "-o", str(folded), "--timing"]) == 0
    captured = capsys.readouterr()
    assert "fold-batch-norm" in captured.err
    module = parse_module(folded.read_text())
    assert "batch_norm" not in {op.name for op in module.ops}


def test_opt_prints_and_dumps_between_passes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dump = tmp_path / "ir"
    pipeline = "canonicalize,fold-batch-norm,fuse-activation"
    options = ["--print-ir-after", "fold-batch-norm", "--dump-ir", str(dump)]
    assert main(["opt", MODEL, "-p", pipeline, *options]) == 0
    captured = capsys.readouterr()
    assert captured.err.count("// ---- IR after") == 1
    parse_module(captured.out)
    assert [p.name for p in sorted(dump.iterdir())] == [
        "00-import.qir",
        "01-canonicalize.qir",
        "02-fold-batch-norm.qir",
        "03-fuse-activation.qir",
    ]


def test_opt_reads_what_import_put_beside(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = tmp_path / "m.qir"
    assert main(["import", MODEL, "-o", str(text), "--resources", "beside"]) == 0
    assert text.with_suffix(".npz").exists()
    assert main(["opt", str(text), "-p", "canonicalize", "-o", str(tmp_path / "beside.qir")]) == 0
    assert main(["opt", MODEL, "-p", "canonicalize", "-o", str(tmp_path / "direct.qir")]) == 0
    beside, direct = (parse_module((tmp_path / f"{n}.qir").read_text()) for n in ("beside", "direct"))
    assert beside == direct


def test_opt_refuses_standard_input_that_is_no_text(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"\x08\x07\xff")))
    assert "not UTF-8 text" in fails(capsys, "opt", "-", "-p", "canonicalize")


@pytest.mark.parametrize(
    "option",
    [
        ["--recipe", "int8-percentile"],
        ["--keep-float", "clamp"],
        ["--arithmetic", "single"],
        ["--calibration", "{npz}"],
    ],
)
def test_nothing_that_was_asked_for_is_ignored(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], option: list[str]
) -> None:
    module, samples = tmp_path / "m.qir", tmp_path / "x.npz"
    module.write_text("""module @m stage integer {
      input %x : tensor<1x4xi8>
      %y = clamp(%x) {minimum = 0.0, maximum = 5.0} : tensor<1x4xi8>
      output %y as "y"
    }""")
    np.savez(samples, allow_pickle=False, x=np.zeros((2, 4), np.int8))
    given = [o.replace("{npz}", str(samples)) for o in option]
    text = fails(capsys, "compile", str(module), "-o", str(tmp_path / "out"), "--target", "c", *given)
    assert f"the module is integer already: {option[0]} can't change it" in text


def test_a_manifest_without_entries_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "manifest.json").write_text('{"format": "qcc-artifact-1"}')
    for command in ("verify", "inspect", "bench"):
        assert "manifest.json is not whole: name, " in fails(capsys, command, str(tmp_path))


def test_lists_and_explanations(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, expected in (
        (["passes"], "nudge-zero-points"),
        (["passes", "fold-batch-norm"], "Before:"),
        (["targets"], "x86_64-linux-gnu"),
        (["targets", "x86_64-linux-gnu+avx512-vnni"], "activation_type = i8"),
        (["ops"], "conv_transpose2d(x, weight, bias?)"),
        (["ops", "rescale"], "output_zero_point"),
    ):
        assert main(arguments) == 0
        assert expected in capsys.readouterr().out


def test_inspect_prints_facts_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", MODEL, "--batch", "3", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["inputs"] == [{"name": "image", "type": "tensor<3x1x8x8xf32>"}]
    assert facts["macs"] > 3 * 100_000
    assert main(["inspect", MODEL]) == 0
    assert "conv2d" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["import", "absent.onnx"], "absent.onnx"),
        (["import", "{tmp}"], "{tmp}"),
        (["opt", MODEL, "-p", "canonicalise"], "did you mean 'canonicalize'"),
        (["opt", MODEL, "-p", "calibrate"], "calibration"),
        (["opt", MODEL, "-p", "fuse-activation", "--print-ir-after", "calibrate"], "calibrate"),
        (["opt", MODEL, "-p", "canonicalize", "--load", "absent.py"], "absent.py"),
        (["opt", MODEL, "-p", "canonicalize", "--target", "x86_64-linux-gnu+avx3"], "avx3"),
        (["passes", "fold"], "there is no pass 'fold'"),
        (["ops", "conv3d"], "conv"),
        (["targets", "x86_65"], "x86_65"),
        (["compile", MODEL, "-o", "{tmp}/out"], "--calibration"),
        (["compile", MODEL, "-o", "{tmp}/out", "--calibration", "absent.npz"], "absent.npz"),
        (["compile", MODEL, "-o", "{tmp}/out", "--recipe", "int9"], "int9"),
        (["compile", MODEL, "-o", "{tmp}/out", "--recipe", "float", "--target", "z80"], "z80"),
        (["compile", MODEL, "-o", "{tmp}/out", "--recipe", "float", "--name", "a-b"], "not a C identifier"),
        (["compile", MODEL, "-o", "{tmp}/out", "--recipe", "float", "--name", "n" * 201], "files can have 200"),
        (["compile", MODEL, "-o", "{tmp}/" + "n" * 201, "--recipe", "float"], "200 is the most"),
        (["compile", MODEL, "-o", "/proc/nothing/here", "--recipe", "float"], "written"),
        (["verify", "{tmp}"], "manifest.json"),
        (["verify", "absent"], "manifest.json"),
        (["run", "{tmp}", "--inputs", "a.npz", "--outputs", "b.npz"], "manifest.json"),
        (["bench", "{tmp}"], "manifest.json"),
        (["bench", "{tmp}", "--seconds", "nan"], "--seconds"),
        (["import", MODEL, "--shape", "image"], "NAME=D,D"),
    ],
)
def test_bad_input_is_named_and_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    text = fails(capsys, *(a.replace("{tmp}", str(tmp_path)) for a in arguments))
    assert message.replace("{tmp}", str(tmp_path)) in text
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"picture": np.zeros((2, 1, 8, 8))}, "did you mean"),
        ({"image": np.zeros((2, 8, 8, 1))}, "should be [samples, 1, 8, 8]"),
        ({"image": np.full((2, 1, 8, 8), np.inf)}, "NaN or infinity"),
        ({}, "no data for input image"),
    ],
)
def test_calibration_data_that_does_not_fit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], data: dict[str, np.ndarray], message: str
) -> None:
    path = tmp_path / "bad.npz"
    np.savez(path, allow_pickle=False, **data)
    text = fails(capsys, "compile", MODEL, "-o", str(tmp_path / "out"), "--calibration", str(path))
    assert message in text or "one of" in text
    assert not (tmp_path / "out").exists()


def run_qcc(*arguments: str, **options: Any) -> subprocess.CompletedProcess[bytes]:
    """Run `qcc` as a process of its own."""
    command = [sys.executable, "-c", "import sys; from qcc.cli import main; sys.exit(main())", *arguments]
    return subprocess.run(command, check=False, **options)


def test_links_devices_and_the_model_itself_are_not_replaced(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    named, link, pipe = tmp_path / "named.qir", tmp_path / "link.qir", tmp_path / "pipe"
    link.symlink_to(named)
    assert main(["import", MODEL, "-o", str(link)]) == 0
    assert link.is_symlink()
    parse_module(named.read_text())
    os.mkfifo(pipe)
    with ThreadPoolExecutor() as pool:
        text = pool.submit(pipe.read_text)
        assert main(["import", MODEL, "-o", str(pipe), "--resources", "elided"]) == 0
        assert text.result(timeout=30).startswith("module @digits")
    assert pipe.is_fifo()
    copy = tmp_path / "copy.onnx"
    copy.write_bytes(Path(MODEL).read_bytes())
    assert "would replace the model" in fails(capsys, "import", str(copy), "-o", str(copy))
    assert copy.read_bytes() == Path(MODEL).read_bytes()
    assert "can't be written" in fails(capsys, "import", MODEL, "-o", str(tmp_path))


def test_constants_beside_the_text_are_found_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text, archive = tmp_path / "m.qir", tmp_path / "m.npz"
    assert main(["import", MODEL, "-o", str(text), "--resources", "beside"]) == 0
    assert archive.is_file()
    assert main(["opt", str(text), "-p", "fold-batch-norm", "-o", str(tmp_path / "folded.qir")]) == 0
    other = tmp_path / "other.npz"
    other.write_bytes(b"somebody's samples")
    message = fails(capsys, "import", MODEL, "-o", str(tmp_path / "other.qir"), "--resources", "beside")
    assert "other.npz" in message
    assert other.read_bytes() == b"somebody's samples"


def test_closed_ascii_and_broken_streams_are_no_tracebacks(tmp_path: Path) -> None:
    ascii_only = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONPATH": os.pathsep.join(sys.path)}
    done = run_qcc("ops", env=ascii_only, capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    closed = subprocess.run(
        ["sh", "-c", f"{sys.executable} -c 'import sys; from qcc.cli import main; sys.exit(main())' ops >&-"],
        env=environment,
        capture_output=True,
        check=False,
    )
    assert (closed.returncode, closed.stderr) == (0, b"")
    reader, writer = os.pipe()
    os.close(reader)
    broken = run_qcc("--version", stdout=writer, stderr=subprocess.PIPE, env=environment)
    os.close(writer)
    assert broken.stderr == b""


def test_a_loaded_file_can_not_end_the_program(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "ends.py"
    file.write_text("import sys\nsys.exit(0)\n")
    assert "SystemExit" in fails(capsys, "passes", "--load", str(file))


def test_numbers_out_of_range_are_usage_errors(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["verify", "x", "--seed", "-1"], ["import", MODEL, "--batch", "x"]):
        with pytest.raises(SystemExit) as stopped:
            main(arguments)
        assert stopped.value.code == 2
        assert "is not a whole number of at least" in capsys.readouterr().err
    assert "two shapes" in fails(capsys, "import", MODEL, "--shape", "image=1,1,8,8", "--shape", "image=2,1,8,8")
