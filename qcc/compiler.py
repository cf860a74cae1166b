"""Compilation: a module, samples and options to an artifact."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from qcc.frontends import load
from qcc.ir import Array, Module, Op, PassError, Stage, UsageError, c_identifier, ops, registered_ops
from qcc.passes import (
    ORT_DEFAULT,
    Part,
    Pass,
    PassContext,
    PassManager,
    Pipeline,
    Progress,
    default_pipeline,
    load_recipe,
    profile_named,
)
from qcc.samples import Samples, check_samples
from qcc.targets import Target
from qcc.targets.emission import LONGEST_NAME, emit

from .artifact import Artifact

#: The recipe that leaves the model as it is.
FLOAT = "float"


@dataclass(frozen=True)
class CompileOptions:
    """How to compile.

    Attributes:
        target: a target text.
        recipe: name of a recipe, path of a TOML file, or `float`, which does not quantize.
        arithmetic: arithmetic profile; None takes the model's own, else the target's.
        keep_float: operation names, or regular expressions on names of values and nodes.
        progress: shows long work.
        make_manager: makes the pass manager, where it should print, dump or time.
        report: called with manager and context once the passes have run.
    """

    target: str = "native"
    recipe: str = "int8"
    arithmetic: str | None = None
    keep_float: Sequence[str] = ()
    progress: Progress | None = None
    make_manager: Callable[[Iterable[Pass]], PassManager] = PassManager
    report: Callable[[PassManager, PassContext], None] = field(default=lambda manager, context: None)


def compile(
    model: Module | str | Path,
    *,
    target: str = "native",
    calibration: Mapping[str, Array] | None = None,
    recipe: str = "int8",
    arithmetic: str | None = None,
    keep_float: Sequence[str] = (),
    batch: int = 1,
    name: str | None = None,
) -> Artifact:
    """Return the artifact of a model.

    Args:
        model: a module, or the path of a model file.
        target: a triple with features such as `x86_64-linux-gnu+avx512-vnni`, `c`, or `native` for the host.
        calibration: samples by input name, the first axis is samples; needed to quantize a float model.
        recipe: how to quantize: a name, the path of a TOML file, or `float` for not at all.
        arithmetic: arithmetic profile; None takes the model's own, else the target's.
        keep_float: what stays in float: operation names, or regular expressions on names of values and nodes.
        batch: size of a symbolic first axis, for a model file.
        name: of files and functions; None takes the module's.

    Raises:
        QccError: what is wrong, where, and what to do next.
    """
    module = model if isinstance(model, Module) else load(model, batch=batch)
    module = module if name is None else renamed(module, name)
    samples = None if calibration is None else check_samples(calibration, module.caller_inputs, "calibration")
    options = CompileOptions(target, recipe, arithmetic, tuple(keep_float))
    return compile_module(module, samples, options)


def renamed(module: Module, name: str) -> Module:
    """Return the module under another name, which must be a C identifier."""
    if name != c_identifier(name):
        raise UsageError(f"{name!r} is not a C identifier", help=f"--name {c_identifier(name)}")
    return module.replace(name=name)


def compile_module(module: Module, samples: Samples | None, options: CompileOptions) -> Artifact:
    """Run the pipeline that the module's stage and the recipe ask for, and generate code."""
    check_interface(module)
    if len(module.name.encode()) > LONGEST_NAME:
        message = f"the name has {len(module.name)} characters, files can have {LONGEST_NAME}"
        raise UsageError(message, place=f"{module.name[:20]}…", help="give a shorter one: --name NAME")
    target = Target.parse(options.target)
    if samples is None and not module.caller_inputs and module.stage is Stage.FLOAT:
        samples = Samples({}, "no inputs")
    pipeline = choose_pipeline(module, samples is not None, options)
    context = PassContext(hardware=target.hardware, progress=options.progress, target=target)
    if samples is not None:
        inputs, data = module.caller_inputs, samples
        context.calibration = lambda: data.batches(inputs)
    manager = options.make_manager(pipeline)
    given = module.stage
    try:
        module = manager.run(module, context)
    except PassError as error:
        if given is Stage.QUANTIZED and (not error.help or "float" in error.help):
            error.help = QUANTIZED_ELSEWHERE
        raise
    options.report(manager, context)
    return Artifact.of(emit(module, target, str(pipeline), options.progress))


def check_interface(module: Module) -> None:
    """Raise UsageError where an input or output has no elements."""
    inputs = [("input", v.name, v.type) for v in module.caller_inputs]
    outputs = [("output", o.name, o.value.type) for o in module.outputs]
    for what, name, type in (*inputs, *outputs):
        if type.size == 0:
            help = "give each of its dimensions a size of at least 1 in the model"
            raise UsageError(f"{what} {name!r} has no elements: its shape is {list(type.shape)}", help=help)


def choose_pipeline(module: Module, calibrated: bool, options: CompileOptions) -> Pipeline:
    """Return the default pipeline from the module's stage on; an error where data or sense is missing."""
    if module.stage is not Stage.FLOAT:
        check_decided(module.stage, calibrated, options)
        parts = [Part.TARGET] if module.stage is Stage.INTEGER else [Part.QUANTIZE, Part.TARGET]
        return without_calibration(default_pipeline(parts, {"insert-rescale": profile_options(options)}))
    if options.recipe == FLOAT:
        if options.arithmetic is not None:
            raise UsageError("the recipe `float` has no arithmetic profile", help="leave --arithmetic out")
        return default_pipeline([Part.FLOAT, Part.TARGET], keep_float=keep_float_options(options.keep_float))
    if holds_quantization(module, calibrated):
        check_decided(module.stage, calibrated, options)
        profile = profile_options(options)
        given = {"insert-rescale": profile, "absorb-quantization": profile}
        parts = [Part.FLOAT, Part.ABSORB, Part.QUANTIZE, Part.TARGET]
        if profile.get("profile") == ORT_DEFAULT:
            parts.insert(0, Part.SHARED_CODES)
        return without_calibration(default_pipeline(parts, given, keep_float_options(options.keep_float)))
    recipe = load_recipe(options.recipe)
    if not calibrated:
        help = "give samples: --calibration X.npz, keys input names, first axis samples; or --recipe float"
        raise UsageError("a float model needs calibration data to be quantized", help=help)
    given = {**recipe.pass_options(), "insert-rescale": profile_options(options)}
    kept = merged(recipe.keep_float_options(), keep_float_options(options.keep_float))
    return default_pipeline(options=given, keep_float=kept)


def without_calibration(pipeline: Pipeline) -> Pipeline:
    """Return the pipeline without the passes that choose quantized types, for a module that has them."""
    done = ("calibrate", "propagate-ranges", "nudge-zero-points")
    return Pipeline(p for p in pipeline if p.name not in done)


def holds_quantization(module: Module, calibrated: bool) -> bool:
    """True where a float module says itself how it is quantized: by its operations on codes and on integers.

    Dequantized weights alone leave the choice to the user: without calibration data they stay as they are. A module
    without real numbers has nothing to quantize.
    """
    if not any(v.type.is_float for v in module.values.values()):
        return True
    for op in module.ops:
        if isinstance(op, ops.Quantize | ops.StorageCast) or (isinstance(op, ops.Dequantize) and not calibrated):
            return True
        if isinstance(op, ops.Conv2d | ops.Matmul) and op.result.type.element.storage.is_integer:
            return True
    return False


QUANTIZED_ELSEWHERE = (
    "give another profile by --arithmetic (`qcc compile --help` lists them), "
    "or leave the operation in float where the model is quantized"
)
"""What to do about an operation of a quantized model that can't be compiled: it can't be kept in float any more."""

ANEW = {
    "--calibration": "to choose scales anew, compile the float model from which this one was made",
    "--recipe": "to quantize in another way, compile the float model from which this one was made",
    "--keep-float": "to keep operations in float, compile the float model from which this one was made, or leave them "
    "out when you quantize it there: what stands between a dequantize and a quantize stays in float",
    "--arithmetic": "an arithmetic profile is chosen when the quantized model is compiled",
}
"""How to get what an option asks for in vain of a model that is quantized already."""


def check_decided(stage: Stage, calibrated: bool, options: CompileOptions) -> None:
    """Raise UsageError where an option asks for what has been decided in a quantized or integer module."""
    given = {
        "--calibration": calibrated,
        "--recipe": options.recipe != CompileOptions.recipe,
        "--keep-float": bool(options.keep_float) and stage is not Stage.FLOAT,
        "--arithmetic": options.arithmetic is not None and stage is Stage.INTEGER,
    }
    useless = [flag for flag, is_given in given.items() if is_given]
    if useless:
        already = "quantized" if stage is Stage.FLOAT else stage.value
        message = f"the module is {already} already: {', '.join(useless)} can't change it"
        in_float = "; --recipe float computes it in float" if stage is Stage.FLOAT and useless[0] == "--recipe" else ""
        raise UsageError(message, help=f"leave it out; {ANEW[useless[0]]}{in_float}")


def profile_options(options: CompileOptions) -> dict[str, str]:
    """Return the options of `insert-rescale`; an error lists the profiles where it is given another name."""
    return {} if options.arithmetic is None else {"profile": profile_named(options.arithmetic).name}


def keep_float_options(wanted: Sequence[str]) -> dict[str, object]:
    """Return the options of the pass `keep-float` for operation names and regular expressions on names."""
    known = registered_ops()
    kinds = tuple(w for w in wanted if w in known)
    patterns = [w for w in wanted if w not in known]
    options: dict[str, object] = {"ops": kinds} if kinds else {}
    if patterns:
        options["pattern"] = tuple(patterns)
    return options


def merged(first: Mapping[str, object] | None, second: Mapping[str, object]) -> dict[str, object]:
    """Return the options of `keep-float` of a recipe and of the command line together."""
    result: dict[str, object] = dict(first or {})
    for key, value in second.items():
        old = result.get(key)
        if not old:
            result[key] = value
        elif isinstance(old, tuple) and isinstance(value, tuple):
            result[key] = tuple(dict.fromkeys((*old, *value)))
    return result


def total_macs(ops: Iterable[Op]) -> int:
    """Return the multiply-accumulates of operations."""
    return int(np.sum([op.cost().macs for op in ops], dtype=np.int64))
