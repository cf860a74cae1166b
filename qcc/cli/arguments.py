"""What the command line takes. Imports nothing heavy, so that `qcc --help` answers at once."""

from __future__ import annotations

import argparse
from pathlib import Path

EPILOG = """\
examples:
  qcc demo
  qcc compile model.onnx -o build --target native --calibration samples.npz
  qcc verify build
  qcc import model.onnx -o model.qir && qcc opt model.qir -p "canonicalize,fold-batch-norm"
"""

PROFILES = ("single", "tflm", "litert-ref", "litert-xnn", "ort", "ort-default")
"""Names of the arithmetic profiles that come along; a test holds them and `qcc.passes` together."""

SAMPLES = """\
samples:
  The file holds an array for each input; the first axis is samples, any number of them. For an input of shape [B, …]
  an array has shape [samples, …] and a run takes B samples; where inputs are scalars or vectors only, or differ in
  their first size, a sample is a whole input and an array has shape [samples, *shape]. For a model without inputs the
  file is empty, and it is run once.
"""
TYPES = """\
element types:
  For a quantized input, arrays of its storage type (int8, say) are codes, float arrays are real numbers and get
  quantized, any other type is an error: convert by astype(numpy.float32), or to codes. For a float input, numbers of
  any type are real numbers. Other inputs take their own type only.
"""
CALIBRATION = """\
  Numbers of any type are real numbers here, since a model to be calibrated has float inputs.
"""


def make_parser() -> argparse.ArgumentParser:
    """Return the parser of `qcc`."""
    parser = argparse.ArgumentParser(
        prog="qcc",
        description="Compile a trained model to a small integer C library for a named chip.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the versions of qcc and what it uses")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for add in (
        _compile,
        _run,
        _verify,
        _import,
        _opt,
        _inspect,
        _bench,
        _passes,
        _targets,
        _ops,
        _demo,
    ):
        add(commands)
    return parser


class _Version(argparse.Action):
    """Prints versions and ends."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object, **__: object) -> None:
        """Print and exit."""
        from qcc.versions import versions

        print("\n".join(f"{name} {version}" for name, version in versions().items()))
        parser.exit()


def _command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, help: str, module: str = ""
) -> argparse.ArgumentParser:
    parser = commands.add_parser(
        name,
        help=help,
        description=help[0].upper() + help[1:] + ".",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.set_defaults(command_module=module or name)
    return parser


def _pass_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("passes")
    group.add_argument(
        "--load", action="append", default=[], metavar="FILE.py", help="load passes or targets from a Python file"
    )
    group.add_argument(
        "--print-ir-before",
        action="append",
        default=[],
        metavar="PASS",
        help="print the IR before a pass, to standard error",
    )
    group.add_argument(
        "--print-ir-after",
        action="append",
        default=[],
        metavar="PASS",
        help="print the IR after a pass, to standard error",
    )
    group.add_argument("--print-ir-before-all", action="store_true", help="print the IR before each pass")
    group.add_argument("--print-ir-after-all", action="store_true", help="print the IR after each pass")
    group.add_argument(
        "--print-ir-after-change", action="store_true", help="print the IR after each pass that changed it"
    )
    group.add_argument("--dump-ir", type=Path, metavar="DIR", help="write the IR after each pass to numbered files")
    group.add_argument("--timing", action="store_true", help="print how long each pass took, to standard error")
    group.add_argument("--no-verify-each", action="store_true", help="verify only the end result")
    group.add_argument(
        "--reproducer",
        type=Path,
        metavar="DIR",
        help="where a failing pass leaves its reproducer (default: the temporary folder, for unexpected failures)",
    )


def _model_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("model")
    group.add_argument(
        "--batch", type=_positive, default=1, metavar="N", help="size of a symbolic first axis (default 1)"
    )
    group.add_argument(
        "--shape", action="append", default=[], metavar="NAME=D,D,…", help="shape of an input with symbolic dimensions"
    )


def _name(text: str) -> str:
    """Return an argument that names something; an empty one is an error."""
    if not text.strip():
        raise argparse.ArgumentTypeError("it is empty: give a name, or leave the option out")
    return text


def _cpu_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "-mcpu", "--cpu", type=_name, metavar="CPU", help="the target's processor, as LLVM names it: TRIPLE@CPU"
    )


def _compile(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _command(commands, "compile", "compile a model to an artifact folder")
    parser.epilog = SAMPLES + CALIBRATION
    parser.add_argument("model", type=Path, metavar="MODEL", help="an .onnx, .tflite or .qir file")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="the artifact folder to write")
    parser.add_argument(
        "--target",
        default="native",
        help="a target triple with features, `c`, or `native` (default); see `qcc targets`",
    )
    _cpu_option(parser)
    parser.add_argument(
        "--emit",
        choices=["library", "c"],
        help="the form of the code (default: the target's own); `c` on Cortex-M: C with the intrinsics of <arm_acle.h> "
        "or, on the M55, <arm_mve.h>",
    )
    parser.add_argument("--name", help="name of files and functions (default: the model's file name)")
    _model_options(parser)
    group = parser.add_argument_group("quantization")
    group.add_argument("--calibration", type=Path, metavar="X.npz", help="samples by input name, first axis samples")
    group.add_argument(
        "--recipe", default="int8", metavar="NAME|FILE.toml", help="how to quantize (default int8; `float` does not)"
    )
    group.add_argument(
        "--arithmetic",
        metavar="PROFILE",
        help=f"arithmetic profile: {', '.join(PROFILES)} (default: that of the model's file format, else single)",
    )
    group.add_argument(
        "--keep-float",
        action="append",
        default=[],
        metavar="OP|REGEX",
        help="keep operations in float: by operation name, or by a pattern that a value's or node's name matches",
    )
    _pass_options(parser)


def _run(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _command(commands, "run", "run an artifact on inputs from a file", "run_command")
    outputs = (
        "  Outputs have samples as first axis likewise; one without such an axis is stacked, an entry for each run.\n"
        "  Samples are run in their order; a model with states begins as NAME_reset leaves them.\n"
    )
    parser.epilog = SAMPLES + outputs + TYPES
    parser.add_argument("artifact", type=Path, metavar="DIR")
    parser.add_argument(
        "--inputs", type=Path, required=True, metavar="IN.npz", help="arrays by input name, first axis samples"
    )
    parser.add_argument("--outputs", type=Path, required=True, metavar="OUT.npz", help="file to write")
    parser.add_argument("--raw", action="store_true", help="write integer codes, not real numbers")


def _verify(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _command(commands, "verify", "compare an artifact with the reference evaluator, bit for bit")
    parser.epilog = SAMPLES + TYPES
    parser.add_argument("artifact", type=Path, metavar="DIR")
    parser.add_argument(
        "--inputs", type=Path, metavar="IN.npz", help="arrays by input name (default: made up from the seed)"
    )
    parser.add_argument("--seed", type=_natural, default=0, help="for made-up inputs (default 0)")


def _import(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _command(commands, "import", "read a model and write it as IR text", "import_command")
    parser.add_argument("model", type=Path, metavar="MODEL")
    parser.add_argument(
        "-o", "--output", type=Path, metavar="FILE.qir", help="(default: standard output, weights elided)"
    )
    parser.add_argument("--resources", choices=["inline", "beside", "elided"], help="where large constants go")
    _model_options(parser)


def _opt(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _command(commands, "opt", "run passes on IR text or a model")
    parser.add_argument("model", type=Path, metavar="FILE.qir|MODEL", help="`-` reads IR text from standard input")
    parser.add_argument(
        "-p", "--pipeline", required=True, metavar="PASS,PASS{opt=v},…", help="passes in order; see `qcc passes`"
    )
    parser.add_argument("-o", "--output", type=Path, metavar="FILE.qir", help="(default: standard output)")
    parser.add_argument("--resources", choices=["inline", "beside", "elided"], help="where large constants go")
    parser.add_argument("--target", default="c", help="the target whose constraints passes consult (default c)")
    _cpu_option(parser)
    parser.add_argument("--calibration", type=Path, metavar="X.npz", help="samples for `calibrate`")
    _model_options(parser)
    _pass_options(parser)


def _inspect(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _command(commands, "inspect", "show inputs, outputs, operations and sizes of a model, IR file or artifact")
    parser.add_argument("model", type=Path, metavar="MODEL|FILE.qir|DIR")
    parser.add_argument("--json", action="store_true", help="print machine-readable")
    _model_options(parser)


def _bench(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _command(
        commands, "bench", "time an artifact on this machine, or count its instructions under an emulator"
    )
    parser.add_argument("artifact", type=Path, metavar="DIR")
    parser.add_argument(
        "--threads", type=_positive, default=1, metavar="N", help="callers at the same time (default 1)"
    )
    parser.add_argument("--seconds", type=float, default=2.0, metavar="S", help="how long to measure (default 2)")
    parser.add_argument("--json", action="store_true", help="print machine-readable")


def _passes(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    _listing(commands, "passes", "list the passes, or explain one", "PASS", "passes")


def _targets(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    _listing(commands, "targets", "list the targets, or explain one", "TARGET", "targets")


def _ops(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    _listing(commands, "ops", "list the operations of the IR, or explain one", "OP", "operations")


def _listing(
    commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, help: str, entry: str, entries: str
) -> None:
    parser = _command(commands, name, help, "lists")
    parser.add_argument("name", nargs="?", metavar=entry)
    text = f"load {entries} from a Python file"
    parser.add_argument("--load", action="append", default=[], metavar="FILE.py", help=text)
    parser.set_defaults(listing=name)


def _demo(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    parser = _command(commands, "demo", "quantize and compile a small classifier that comes along, and check it")
    parser.add_argument(
        "-o", "--output", type=Path, metavar="DIR", help="keep the artifacts here (default: a folder that is removed)"
    )


def _positive(text: str) -> int:
    """Return a whole number of at least 1."""
    return _natural(text, 1)


def _natural(text: str, least: int = 0) -> int:
    """Return a whole number of at least `least`."""
    if not text.isascii() or not text.isdigit() or int(text) < least:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least {least}")
    return int(text)
