"""The pass manager verifies, times, prints, dumps, and writes reproducers."""

import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest

from qcc.ir import EvaluationError, Module, PassError, Stage, VerifyError, parse_module, print_module
from qcc.passes import ALL, Pass, PassContext, PassManager, parse_pipeline, register_pass, registry
from tests.passes.equivalence import qir


def net() -> Module:
    return qir(
        "input %x : tensor<2xf32>",
        "%r = reshape(%x) {shape = [2]} : tensor<2xf32>",
        "%d = neg(%x) : tensor<2xf32>",
        "%y = exp(%r) : tensor<2xf32>",
        'output %y as "y"',
    )


@dataclass(frozen=True)
class Misbehave(Pass):
    """Fail in the way asked for."""

    name: ClassVar[str] = "test-misbehave"
    how: str = "crash"

    def run(self, module: Module, context: PassContext) -> Module:
        match self.how:
            case "crash":
                raise IndexError("list index out of range")
            case "own error":
                raise EvaluationError("no data", place="node 7", help="give some")
            case "other stage":
                return module.replace(stage=Stage.QUANTIZED)
            case "nothing":
                return None  # type: ignore[return-value]  # as a careless pass does
            case _:
                return module.replace(ops=module.ops[1:])


@pytest.fixture(autouse=True)
def registered() -> Iterator[None]:
    register_pass(Misbehave)
    yield
    registry._REGISTRY.pop(Misbehave.name)


def test_passes_run_in_order_and_are_timed() -> None:
    manager = PassManager(parse_pipeline("canonicalize,eliminate-dead-code"))
    steps: list[tuple[str, int, int | None]] = []
    context = PassContext(progress=lambda what, done, total: steps.append((what, done, total)))
    result = manager.run(net(), context)
    assert [op.name for op in result.ops] == ["exp"]
    assert [(t.pass_name, t.ops_before, t.ops_after) for t in manager.timings] == [
        ("canonicalize", 3, 1),
        ("eliminate-dead-code", 1, 1),
    ]
    assert all(t.seconds >= 0 and t.verify_seconds >= 0 for t in manager.timings)
    assert steps == [("canonicalize", 0, 2), ("eliminate-dead-code", 1, 2)]


def test_the_module_is_printed_where_asked() -> None:
    stream = io.StringIO()
    PassManager(
        parse_pipeline("canonicalize,eliminate-dead-code"),
        print_before=["canonicalize"],
        print_after=[ALL],
        stream=stream,
    ).run(net())
    titles = [line for line in stream.getvalue().splitlines() if line.startswith("// ----")]
    assert titles == [
        "// ---- IR before canonicalize ----",
        "// ---- IR after canonicalize ----",
        "// ---- IR after eliminate-dead-code ----",
    ]
    assert stream.getvalue().count("reshape") == 1


def test_on_change_only_changes_are_printed() -> None:
    stream = io.StringIO()
    PassManager(parse_pipeline("canonicalize,canonicalize"), print_on_change=True, stream=stream).run(net())
    assert stream.getvalue().count("// ----") == 1
    assert "after canonicalize (changed)" in stream.getvalue()


def test_printing_around_a_pass_that_does_not_run_is_an_error() -> None:
    with pytest.raises(PassError, match="no pass 'calibrate'"):
        PassManager(parse_pipeline("canonicalize"), print_after=["calibrate"])


def test_modules_are_dumped_in_numbered_files_that_read_back(tmp_path: Path) -> None:
    folder = tmp_path / "ir"
    result = PassManager(parse_pipeline("eliminate-dead-code,canonicalize"), dump_dir=folder).run(net())
    assert sorted(p.name for p in folder.iterdir()) == [
        "00-import.qir",
        "01-eliminate-dead-code.qir",
        "02-canonicalize.qir",
    ]
    assert parse_module((folder / "00-import.qir").read_text()) == net()
    assert parse_module((folder / "02-canonicalize.qir").read_text()) == result


def test_a_folder_that_can_not_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(PassError, match="can't be dumped"):
        PassManager([], dump_dir=tmp_path / "file").run(net())


def test_stages_are_checked_before_the_first_pass_runs(tmp_path: Path) -> None:
    module = parse_module(print_module(net()).replace("stage float", "stage quantized"))
    with pytest.raises(PassError, match="takes a module of stage float"):
        PassManager(parse_pipeline("canonicalize,fuse-activation"), dump_dir=tmp_path / "ir").run(module)
    assert not (tmp_path / "ir").exists()


def test_an_unexpected_exception_becomes_an_error_with_a_reproducer(tmp_path: Path) -> None:
    pipeline = parse_pipeline("eliminate-dead-code,test-misbehave{how=crash},canonicalize")
    with pytest.raises(PassError) as caught:
        PassManager(pipeline, reproducer_dir=tmp_path).run(net())
    assert caught.value.message == "pass test-misbehave failed unexpectedly: IndexError: list index out of range"
    assert caught.value.place.startswith("test-misbehave (")
    assert Path(__file__).name in caught.value.place
    assert isinstance(caught.value.__cause__, IndexError)
    (file,) = tmp_path.iterdir()
    assert str(file) in caught.value.help

    text = file.read_text()
    assert text.startswith(f"// qcc opt {file.name} -p 'test-misbehave,canonicalize'\n")
    module = parse_module(text)
    assert [op.name for op in module.ops] == ["reshape", "exp"], "the module before the pass that failed"
    assert re.match(r"qcc \S+.*, Python 3\S+, NumPy \d\S+, \w+", module.attribute("reproducer.versions"))
    with pytest.raises(PassError, match="IndexError"):
        PassManager(parse_pipeline(module.attribute("reproducer.pipeline")), reproducer_dir=tmp_path).run(module)
    assert len(list(tmp_path.iterdir())) == 2, "a reproducer never takes the place of another"


def test_without_a_folder_the_reproducer_goes_to_the_temporary_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with pytest.raises(PassError, match=str(tmp_path)):
        PassManager([Misbehave()]).run(net())


def test_a_reproducer_that_can_not_be_written_does_not_hide_the_failure(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(PassError, match="IndexError") as caught:
        PassManager([Misbehave()], reproducer_dir=tmp_path / "file").run(net())
    assert "can't be written" in caught.value.help


def test_an_error_of_qcc_keeps_its_type_and_names_the_pass(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError) as caught:
        PassManager([Misbehave("own error")]).run(net())
    assert caught.value.place == "test-misbehave: node 7"
    assert caught.value.help == "give some"
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(EvaluationError) as caught:
        PassManager([Misbehave("own error")], reproducer_dir=tmp_path).run(net())
    assert caught.value.help.startswith("give some; the reproducer is ")
    assert len(list(tmp_path.iterdir())) == 1


def test_each_result_is_verified() -> None:
    with pytest.raises(VerifyError) as caught:
        PassManager([Misbehave("invalid")]).run(net())
    assert caught.value.place.startswith("test-misbehave")
    assert PassManager([Misbehave("invalid")], verify_each=False).run(net()).ops == net().ops[1:]


def test_a_stage_that_was_not_declared_is_an_error() -> None:
    with pytest.raises(PassError, match="returned a module of stage quantized, it declares float"):
        PassManager([Misbehave("other stage")]).run(net())


def test_a_pass_that_returns_no_module_is_an_error() -> None:
    with pytest.raises(PassError, match="returned NoneType, not a module"):
        PassManager([Misbehave("nothing")]).run(net())


def test_a_remark_is_recorded_once() -> None:
    context = PassContext()
    context.remark("p", "x", "why")
    context.remark("p", "x", "why")
    assert [str(r) for r in context.remarks] == ["remark: p: x: why"]
