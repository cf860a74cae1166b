"""Kernels by dot products: which convolutions and matrix products the register-tiled nests compute, and how.

The nest takes the anchor, the rescale behind it and a table. What follows (the addition of a residual, say) works in
place on the nest's result, in a second loop of the same function.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from tvm import tirx

from qcc.ir import Array, Op, Value
from qcc.ir.ops import LARGEST_SHIFT, Conv2d, Matmul, Rescale, RescaleFloat, Table
from qcc.targets.hvx.elementwise import elementwise as vector_elementwise
from qcc.targets.hvx.writer import has_epilogue, vector_table
from qcc.targets.instructions import DotInstruction, VectorLevel
from qcc.targets.kernel import ConstantArgument, Kernel, LoweredKernel
from qcc.targets.nests.convolution import Convolution, convolution, packed_constants
from qcc.targets.nests.epilogue import Epilogue, rescale_for, twice_rounded, used_shifts
from qcc.targets.nests.epilogue import Rescale as RescaleForm
from qcc.targets.nests.matmul import matmul
from qcc.targets.portable.elementwise import elementwise_body
from qcc.targets.portable.parameters import Parameters, storage_dtype
from qcc.targets.portable.sums import sum_bounds

#: Smallest shift and largest of a rescale that the nests have.
SHIFTS = (1, LARGEST_SHIFT)

_COMMENTS = {
    "weights": "weights, packed",
    "bias": "bias, zero points folded in",
    "multiplier": "multipliers",
    "shift": "shifts",
    "factor": "factors",
    "pre_shift": "left shifts before the multiplication",
    "table": "table",
}


@dataclass(frozen=True)
class _Match:
    """The operations of a kernel that the nest takes."""

    anchor: Conv2d | Matmul
    rescale: Rescale | RescaleFloat | None
    table: Table | None
    rest: tuple[Op, ...]

    @property
    def result(self) -> Value:
        """What the nest writes."""
        return (self.table or self.rescale or self.anchor).result


def dot_product_kernel(kernel: Kernel, level: VectorLevel) -> LoweredKernel | None:
    """Return the kernel lowered by the dot-product nests; None where they can't compute it."""
    match = _match(kernel, level.dot)
    if match is None:
        return None
    spec = _specification(kernel, match)
    dot = level.dot_for(kernel.constants[match.anchor.weight.name])
    if not _computes(spec, dot):
        return None
    function = convolution(spec, dot)
    arrays = _constants(kernel, match, spec, dot)
    constants = tuple(ConstantArgument(name, array, _COMMENTS[name]) for name, array in arrays.items())
    if not match.rest:
        return LoweredKernel(function, (match.anchor.x, *constants, match.result))
    return _with_rest(kernel, match, function, constants, level)


def packing(kernel: Kernel, level: VectorLevel) -> str:
    """Return the name of the order in which `dot_product_kernel` stores the weights; empty where that is None."""
    match = _match(kernel, level.dot)
    if match is None:
        return ""
    spec = _specification(kernel, match)
    dot = level.dot_for(kernel.constants[match.anchor.weight.name])
    return spec.packing(dot) if _computes(spec, dot) else ""


def _computes(spec: Convolution, dot: DotInstruction) -> bool:
    """Whether the machine's nests have this convolution."""
    return not dot.staged or has_epilogue(spec.epilogue)


def _match(kernel: Kernel, dot: DotInstruction) -> _Match | None:
    """What of the kernel the nest takes; None where that is not the anchor or not what has to follow."""
    anchor, rest = kernel.anchor, kernel.ops[1:]
    if not isinstance(anchor, Conv2d | Matmul) or not _fits(kernel, anchor):
        return None
    first = rest[0] if rest else None
    rescale = first if isinstance(first, Rescale | RescaleFloat) and first.x == anchor.result else None
    if rescale is not None and not _takes(kernel, anchor, rescale, dot):
        rescale = None
    table = rest[1] if rescale is not None and len(rest) > 1 and isinstance(rest[1], Table) else None
    if table is not None and not (rescale is not None and table.x == rescale.result and _looks_up(kernel, table)):
        table = None
    match = _Match(anchor, rescale, table, rest[(rescale is not None) + (table is not None) :])
    output = kernel.outputs[0].type
    same = match.result.type.shape == output.shape and storage_dtype(match.result.type) == storage_dtype(output)
    if match.rest and not (same and rescale is not None and _is_chain(match)):
        return None
    return match if len(kernel.outputs) == 1 else None


def _is_chain(match: _Match) -> bool:
    """Whether the rest of the kernel reads of the nest's operations only the result."""
    inner = {match.anchor.result.name} | ({match.rescale.result.name} if match.rescale and match.table else set())
    return all(op.elementwise and v.name not in inner for op in match.rest for v in op.operands)


def _fits(kernel: Kernel, anchor: Conv2d | Matmul) -> bool:
    """Whether operands and sums are of the kinds that the nest has."""
    weight = kernel.constants.get(anchor.weight.name)
    if weight is None or weight.dtype != np.int8 or anchor.weight_zero_point or anchor.accumulator.bits != 32:
        return False
    if isinstance(anchor, Matmul) and weight.ndim != 2:
        return False
    if anchor.x.name in kernel.constants or not anchor.x.type.size or not anchor.result.type.size:
        return False
    bias = anchor.bias is None or anchor.bias.name in kernel.constants
    return bias and storage_dtype(anchor.x.type) in ("int8", "uint8")


def _takes(kernel: Kernel, anchor: Conv2d | Matmul, rescale: Rescale | RescaleFloat, dot: DotInstruction) -> bool:
    """Whether the nest's epilogue computes this rescale."""
    if isinstance(rescale, RescaleFloat):
        return "float" in dot.roundings and _takes_float(kernel, rescale)
    if rescale.rounding not in dot.roundings:
        return False
    multiplier, shift = (kernel.constants.get(v.name) for v in (rescale.multiplier, rescale.shift))
    if multiplier is None or shift is None:
        return False
    per_channel = _by_channel(multiplier, rescale)
    in_range = multiplier.min() >= 0 and SHIFTS[0] <= shift.min() and shift.max() <= SHIFTS[1]
    plain = rescale.input_zero_point == 0
    if rescale.rounding != "half_up" and not dot.staged:  # those nests round any sum of 32 bits
        low, high = sum_bounds(anchor, kernel.constants)
        left = max(31 - int(shift.min(initial=31)), 0)
        plain = plain and max(-low, high) << left < dot.sum_limit
    return bool(per_channel and in_range and plain and storage_dtype(rescale.result.type) in ("int8", "uint8", "int32"))


def _takes_float(kernel: Kernel, rescale: RescaleFloat) -> bool:
    """Whether the nest's epilogue computes this rescale in binary32."""
    factor = kernel.constants.get(rescale.factor.name)
    if factor is None or factor.dtype != np.float32 or rescale.offset is not None:
        return False
    plain = rescale.rounding == "half_even" and rescale.input_zero_point == 0
    return plain and _by_channel(factor, rescale) and storage_dtype(rescale.result.type) in ("int8", "uint8")


def _by_channel(constants: Array, op: Rescale | RescaleFloat) -> bool:
    """Whether there is one constant, or one a channel."""
    channels = op.x.type.shape[-1]
    return constants.size == 1 or (constants.size == channels and constants.shape[-1:] == (channels,))


def _looks_up(kernel: Kernel, table: Table) -> bool:
    """Whether the nest's epilogue has this table: one for all channels, of the type of the codes."""
    data = kernel.constants.get(table.table.name)
    if data is None:
        return False
    return data.ndim == 1 and storage_dtype(table.x.type) == storage_dtype(table.result.type) == str(data.dtype)


def _weights(kernel: Kernel, anchor: Conv2d | Matmul) -> Array:
    """The weights as O×KH×KW×I."""
    data = kernel.constants[anchor.weight.name]
    return data if isinstance(anchor, Conv2d) else np.ascontiguousarray(data.T)[:, None, None, :]


def _specification(kernel: Kernel, match: _Match) -> Convolution:
    """The nest's own description of the operation."""
    anchor, epilogue = match.anchor, _epilogue(kernel, match)
    input_type: Any = storage_dtype(anchor.x.type)
    if isinstance(anchor, Matmul):
        depth, columns = anchor.weight.type.shape
        rows = prod(anchor.x.type.shape[:-1])
        return matmul(kernel.name, rows, columns, depth, input_type, epilogue, anchor.input_zero_point)
    top, bottom, left, right = anchor.padding
    n, height, width, channels = anchor.x.type.shape
    return Convolution(
        kernel.name,
        (n, height, width, channels),
        anchor.weight.type.shape[0],
        input_type,
        epilogue,
        anchor.kernel,
        anchor.strides,
        anchor.dilation,
        (top, left, bottom, right),
        anchor.groups,
        anchor.input_zero_point,
    )


def _epilogue(kernel: Kernel, match: _Match) -> Epilogue:
    """The nest's epilogue."""
    output: Any = storage_dtype(match.result.type)
    if match.rescale is None:
        return Epilogue("int32")
    return Epilogue(output, _form(kernel, match.anchor, match.rescale), table=match.table is not None)


def _form(kernel: Kernel, anchor: Conv2d | Matmul, rescale: Rescale | RescaleFloat) -> RescaleForm:
    """The nest's own description of a rescale."""
    ends = (rescale.output_zero_point, rescale.minimum, rescale.maximum)
    if isinstance(rescale, RescaleFloat):
        return RescaleForm(*ends, form="float")
    shift = kernel.constants[rescale.shift.name]
    if rescale.rounding != "half_up":
        return twice_rounded("double" if rescale.rounding == "double" else "double_up", shift, *ends)
    low, high = sum_bounds(anchor, kernel.constants)
    used = used_shifts(kernel.constants[rescale.multiplier.name], shift)
    return rescale_for(used, *ends, min(max(-low, high), 2**31))


def _constants(kernel: Kernel, match: _Match, spec: Convolution, dot: DotInstruction) -> Mapping[str, Array]:
    """The constant arguments by name, in order."""
    anchor = match.anchor
    outputs = spec.output_channels
    bias = np.zeros(outputs, np.int32) if anchor.bias is None else kernel.constants[anchor.bias.name]
    scales: list[Any] = []
    if match.rescale is not None:
        floats = isinstance(match.rescale, RescaleFloat)
        scales = [kernel.constants[v.name].reshape(-1) for v in match.rescale.operands[1:]]
        scales += [np.zeros(1, np.int32)] if floats else []
    arrays: dict[str, Array] = dict(packed_constants(spec, dot, _weights(kernel, anchor), bias, *scales))
    if match.table is not None:
        table = kernel.constants[match.table.table.name]
        arrays["table"] = vector_table(table) if dot.staged else table
    return arrays


def _with_rest(
    kernel: Kernel, match: _Match, function: Any, constants: tuple[ConstantArgument, ...], level: VectorLevel
) -> LoweredKernel:
    """The function with a second loop for the operations that the nest does not take, on its output, in place."""
    output = function.params[-1]
    read = {v.name for op in match.rest for v in op.operands}
    inputs = (match.result, *(v for v in kernel.inputs if v.name in read))
    rest = Kernel(kernel.name, match.rest, inputs, kernel.constants, kernel.outputs)
    taken = [str(p.name) for p in function.params]
    buffers = {match.result.name: output, kernel.outputs[0].name: output}
    second = vector_elementwise(Parameters(rest, buffers, taken)) if level.dot.staged else None
    if second is None:
        parameters = Parameters(rest, buffers, taken)
        elementwise_body(parameters, blocked=False)
        second = parameters.finish()
    known = {match.result.name, kernel.outputs[0].name}
    own = [(p, a) for p, a in zip(second.function.params, second.arguments, strict=True) if _name(a) not in known]
    # A tensor that both loops read is passed twice.
    body = tirx.SeqStmt([function.body, second.function.body])
    merged = tirx.PrimFunc([*function.params[:-1], *(p for p, _ in own), output], body, attrs=function.attrs)
    arguments = (match.anchor.x, *constants, *(a for _, a in own), kernel.outputs[0])
    return LoweredKernel(merged, arguments)


def _name(argument: Value | ConstantArgument) -> str:
    return argument.name if isinstance(argument, Value) else ""
