"""The inputs of a model: element types and static shapes, the batch and open dimensions filled in."""

from __future__ import annotations

import math
from collections.abc import Sequence

import onnx

from qcc.ir import F32, FrontendError, ScalarType, Shape, TensorType, nearest

from ..frontend import Shapes
from ..limits import TENSOR_LIMIT, check_size
from .emission import scalar_type
from .problem import Problem, Unsupported, raise_problems
from .tensor_data import NARROW_TYPES, numpy_type, type_name

Dimension = int | str


def input_types(graph: onnx.GraphProto, batch: int, shapes: Shapes, place: str) -> dict[str, TensorType]:
    """Return the type of each input that is not an initializer, in the model's order.

    A first dimension without a size is the batch; so is any other dimension of the same name. Floats of any width
    are f32.

    Raises:
        FrontendError: a type is not supported, a dimension is open, `batch` or `shapes` do not fit the model.
    """
    initializers = {t.name for t in graph.initializer}
    inputs = [v for v in graph.input if v.name not in initializers]
    names = [v.name for v in inputs]
    for name in shapes:
        if name not in names:
            raise FrontendError(f"there is no input {name!r}", place=place, help=nearest(name, names))
    declared = {v.name: _declared(v) for v in inputs}
    batch_names: set[Dimension] = {d[0] for d in declared.values() if d and isinstance(d[0], str)}
    problems: list[Problem] = []
    types = {}
    for value in inputs:
        try:
            element = _element(value)
            shape = _static(value.name, declared[value.name], batch, batch_names, shapes.get(value.name))
            types[value.name] = TensorType(shape, element)
            check_size([types[value.name]])
        except Unsupported as error:
            problems.append(Problem(f"input {value.name!r}", error.message))
    raise_problems(problems, place)
    _check_batch(batch, [d for n, d in declared.items() if n not in shapes], place)
    return types


def _declared(value: onnx.ValueInfoProto) -> tuple[Dimension, ...] | None:
    """Return the declared dimensions, a name for each one without a size; None where even the rank is open."""
    tensor = value.type.tensor_type
    if not tensor.HasField("shape"):
        return None
    return tuple(
        d.dim_value if d.HasField("dim_value") and d.dim_value >= 0 else d.dim_param or "?" for d in tensor.shape.dim
    )


def output_mismatch(value: onnx.ValueInfoProto, shape: Shape) -> str:
    """Return how the declared shape of an output contradicts the computed one; empty where it does not.

    A dimension without a size, or of size 0, declares nothing; nor does the first, which is the batch.
    """
    declared = _declared(value) if value.type.HasField("tensor_type") else None
    if declared is None:
        return ""
    pairs = zip(declared[1:], shape[1:], strict=False)
    if len(declared) == len(shape) and all(isinstance(d, str) or d in (0, size) for d, size in pairs):
        return ""
    return f"is declared as {_text(declared)}, but the graph computes {list(shape)}"


def _element(value: onnx.ValueInfoProto) -> ScalarType:
    kind = value.type.WhichOneof("value")
    if kind != "tensor_type":
        raise Unsupported(f"is a {(kind or 'value without a type').removesuffix('_type')}, only tensors are supported")
    narrow = NARROW_TYPES.get(value.type.tensor_type.elem_type)
    if narrow is not None:
        return narrow
    dtype = numpy_type(value.type.tensor_type.elem_type)
    if dtype is None:
        raise Unsupported(f"has elements of {type_name(value.type.tensor_type.elem_type)}, which are not supported")
    return F32 if dtype.kind == "f" else scalar_type(dtype)


def _static(
    name: str,
    declared: tuple[Dimension, ...] | None,
    batch: int,
    batch_names: set[Dimension],
    given: Sequence[int] | None,
) -> tuple[int, ...]:
    if given is not None:
        shape = tuple(int(d) for d in given)
        fits = declared is None or (
            len(declared) == len(shape)
            and all(isinstance(d, str) or d == g for d, g in zip(declared, shape, strict=True))
        )
        if not fits or min(shape, default=1) < 1:
            raise Unsupported(f"the shape {list(shape)} given does not fit {_text(declared)}")
        if math.prod(shape) > TENSOR_LIMIT:
            raise Unsupported(f"the shape {list(shape)} given has more than {TENSOR_LIMIT} elements")
        return shape
    if declared is None:
        raise Unsupported(f"has no shape; give its whole shape: --shape {name}=1,3,224,224")
    filled = tuple(
        batch if isinstance(d, str) and (axis == 0 or (d != "?" and d in batch_names)) else d
        for axis, d in enumerate(declared)
    )
    open_dimensions = [d for d in filled if isinstance(d, str)]
    if open_dimensions:
        names = ", ".join(open_dimensions)
        flag = f"--shape {name}={','.join(map(str, declared))} with numbers in place of {names}"
        raise Unsupported(f"dimensions without a size: {names} in {_text(declared)}; give its whole shape: {flag}")
    return tuple(d for d in filled if not isinstance(d, str))


def _text(declared: tuple[Dimension, ...] | None) -> str:
    return "an open shape" if declared is None else f"[{', '.join(map(str, declared))}]"


def _check_batch(batch: int, declared: list[tuple[Dimension, ...] | None], place: str) -> None:
    """Raise FrontendError where a batch was asked for and every input has another one, fixed."""
    firsts = [d[0] for d in declared if d]
    if batch != 1 and firsts and all(isinstance(d, int) and d != batch for d in firsts):
        raise FrontendError(
            f"a batch of {batch} was asked for, the model has the fixed batch {firsts[0]}",
            place=place,
            help="export the model with a symbolic first dimension, or leave --batch away",
        )
