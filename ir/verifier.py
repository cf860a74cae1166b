"""The verifier: what is legal in each stage."""

from __future__ import annotations

from .errors import IrError, VerifyError
from .module import Module, Output, State
from .naming import c_identifier
from .op import Op, Stage, check_arity
from .printer import print_op
from .types import TensorType
from .value import Value


def verify(module: Module) -> None:
    """Check SSA form, types and stage legality; VerifyError names the operation and the rule it breaks."""
    if c_identifier(module.name) != module.name:
        raise _error(module, f"module name {module.name!r} is no C identifier", f"use {c_identifier(module.name)!r}")
    defined: dict[str, Value] = {}
    for value in module.inputs:
        _define(defined, value, None)
    for op in module.ops:
        _verify_operands(op, defined)
        _verify_types(op)
        _verify_stage(op, module.stage)
        for value in op.results:
            _define(defined, value, op)
    _verify_outputs(module, defined)
    _verify_states(module)


def _error(subject: Op | Value | Output | State | Module, message: str, help: str = "") -> VerifyError:
    if isinstance(subject, Op):
        place = ":".join(p for p in (subject.location.file, subject.location.node) if p)
        error = VerifyError(message, place=place, op=print_op(subject), help=help or f"see `qcc ops {subject.name}`")
    else:
        error = VerifyError(message, help=help or "see docs/ir.md")
    error.subject = subject
    return error


def _define(defined: dict[str, Value], value: Value, op: Op | None) -> None:
    if value.name in defined:
        raise _error(op or value, f"%{value.name} is defined twice", "give each value a name of its own")
    defined[value.name] = value


def _verify_operands(op: Op, defined: dict[str, Value]) -> None:
    try:
        check_arity(op)
    except IrError as error:
        raise _error(op, error.message, error.help) from error
    if op.offsets and len(op.offsets) != len(op.results):
        raise _error(
            op, f"{len(op.offsets)} arena offsets for {len(op.results)} results", "give each result its offset"
        )
    for value in op.operands:
        if value.name not in defined:
            raise _error(op, f"%{value.name} is used before it is defined", "order operations by their operands")
        if defined[value.name].type != value.type:
            raise _error(op, f"%{value.name} is used as {value.type}, but defined as {defined[value.name].type}")


def _verify_types(op: Op) -> None:
    try:
        inferred = op.infer()
    except IrError as error:
        raise _error(op, error.message, error.help) from error
    if len(inferred) != len(op.results):
        raise _error(op, f"{op.name} has {len(inferred)} results, {len(op.results)} are named")
    for value, expected in zip(op.results, inferred, strict=True):
        if value.type.shape != expected.shape:
            raise _error(op, f"%{value.name} has shape {list(value.type.shape)}, should be {list(expected.shape)}")
        if not _element_allowed(value.type, expected):
            raise _error(op, f"%{value.name} has elements {value.type.element}, should be {expected.element}")


def _element_allowed(declared: TensorType, inferred: TensorType) -> bool:
    if declared.element == inferred.element:
        return True
    return inferred.is_float and declared.element.expressed == inferred.element.expressed


def _verify_stage(op: Op, stage: Stage) -> None:
    types = [v.type for v in (*op.operands, *op.results)]
    if op.boundary:
        return
    quantized = any(t.is_quantized for t in types)
    in_float_region = all(not t.is_quantized for t in types) and Stage.FLOAT in op.stages
    if quantized and stage is not Stage.QUANTIZED:
        raise _error(op, f"{op.name} has quantized operands or results in the {stage.value} stage")
    if stage not in op.stages and not in_float_region:
        allowed = ", ".join(sorted(s.value for s in op.stages))
        raise _error(op, f"{op.name} is not legal in the {stage.value} stage", f"it belongs to: {allowed}")


def _verify_states(module: Module) -> None:
    """Check that each state is an input and an output of one type, and that its initial data is of that type."""
    inputs = {v.name: v.type for v in module.inputs}
    outputs = {o.name: o.value.type for o in module.outputs}
    if len(module.initial_states) != len(module.states):
        raise _error(module, "a state is declared twice", "remove one of the declarations")
    for state in module.states:
        if state.name not in inputs or state.name not in outputs:
            raise _error(
                state, f"state {state.name!r} is not both an input and an output", "a run reads it and gives the next"
            )
        before, after = inputs[state.name], outputs[state.name]
        ranges = before.is_float and after.is_float and before.element.expressed == after.element.expressed
        if before.shape != after.shape or (before.element != after.element and not ranges):
            raise _error(state, f"state {state.name!r} is read as {before} and becomes {after}", "one type for both")
        data = state.initial.array
        if data.shape != before.shape or data.dtype != before.element.storage.dtype:
            raise _error(state, f"state {state.name!r} begins as {data.dtype}{list(data.shape)}, it is {before}")


def _verify_outputs(module: Module, defined: dict[str, Value]) -> None:
    names: set[str] = set()
    for output in module.outputs:
        if output.name in names:
            raise _error(output, f"two outputs are named {output.name!r}", "give each output a name of its own")
        names.add(output.name)
        if defined.get(output.value.name) != output.value:
            message = f"output {output.name!r} returns %{output.value.name}, which is not defined so"
            raise _error(output, message, "return the value as its operation defines it")
