"""Hypothesis strategies: random valid modules of each stage, with weights, odd names and provenance.

A module grows one operation at a time: `_GROW` says, for real and for integer values, which functions may add one. Each
takes a value and returns the new ones, or none where the value does not fit it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st

from qcc.ir import (
    F32,
    I8,
    I16,
    I32,
    U8,
    Array,
    Builder,
    CodebookType,
    ElementType,
    Location,
    Module,
    Op,
    ScalarType,
    Stage,
    TensorType,
    UniformType,
    Value,
    ops,
    replace_op,
)

NAMES = st.one_of(
    st.text(alphabet="abcxyz_./-$019", min_size=1, max_size=6), st.text(min_size=0, max_size=4), st.just("a//b")
)
TEXTS = st.text(max_size=6)
MAXIMUM_ELEMENTS = 600
UNARY: tuple[type[Op], ...] = (
    *(ops.Sigmoid, ops.Tanh, ops.LeakyRelu, ops.HardSigmoid, ops.HardSwish, ops.Erf, ops.Gelu, ops.Elu, ops.Silu),
    *(ops.Exp, ops.Log, ops.Sqrt, ops.Reciprocal, ops.Abs, ops.Neg),
)


def scales() -> st.SearchStrategy[float]:
    """Positive binary32 numbers in a useful range."""
    return st.floats(2.0**-10, 4.0, width=32)


@st.composite
def uniform_types(draw: st.DrawFn, storage: ScalarType | None = None) -> UniformType:
    """Per-tensor quantized types, full and narrow range."""
    storage = storage or draw(st.sampled_from([I8, U8, I16]))
    low = storage.minimum + draw(st.integers(0, 1))
    zero_point = draw(st.integers(low, storage.maximum))
    return UniformType(storage, (draw(scales()),), (zero_point,), storage_minimum=low)


@st.composite
def weight_types(draw: st.DrawFn, shape: tuple[int, ...], axis: int) -> UniformType | CodebookType:
    """Quantized types for a weight: per tensor, per channel along `axis`, by blocks, or a palette."""
    kind = draw(st.sampled_from(["tensor", "channel", "block", "palette"]))
    if kind == "palette":
        return CodebookType(U8, tuple(draw(st.lists(st.floats(-2, 2, width=32), min_size=1, max_size=5))))
    if kind == "tensor":
        return draw(uniform_types(I8))
    block = draw(st.integers(1, 3)) if kind == "block" else None
    count = shape[axis]
    if block is not None:
        count = int(np.prod(shape)) // shape[axis] * -(-shape[axis] // block)
    seed = np.random.default_rng(draw(st.integers(0, 2**16)))
    found = tuple(float(s) for s in seed.uniform(0.01, 0.5, count).astype(np.float32))
    return UniformType(I8, found, (0,) * count, axis, -127, 127, block)


@dataclass
class Growth:
    """A module being grown, and the randomness that decides."""

    draw: st.DrawFn
    builder: Builder
    stage: Stage

    def choose(self, *options: Any) -> Any:
        return self.draw(st.sampled_from(options))

    def integer(self, low: int, high: int) -> int:
        return self.draw(st.integers(low, high))

    def numbers(self, shape: tuple[int, ...], low: float = -2.0, high: float = 2.0) -> Array:
        rng = np.random.default_rng(self.integer(0, 2**16))
        return rng.uniform(low, high, shape).astype(np.float32)

    def codes(self, shape: tuple[int, ...], type: ElementType, low: int = -100, high: int = 100) -> Array:
        rng = np.random.default_rng(self.integer(0, 2**16))
        return rng.integers(low, high, shape, endpoint=True).astype(type.storage.dtype)

    def emit(self, op_class: type[Op], *operands: Value, **attributes: Any) -> tuple[Value, ...]:
        """Emit with random name, provenance and notes; real results become quantized in the quantized stage."""
        location = Location(self.draw(TEXTS), self.draw(TEXTS), tuple(self.draw(st.lists(TEXTS, max_size=2))))
        notes = tuple(self.draw(st.dictionaries(TEXTS, TEXTS, max_size=1)).items())
        op = op_class(operands=operands, location=location, notes=notes, **attributes)
        types = [self.declared(t) for t in op.infer()]
        results = tuple(Value(self.builder.unique(self.draw(NAMES)), t) for t in types)
        if self.draw(st.booleans()):
            op = replace_op(op, fusion=self.draw(TEXTS), offsets=tuple(self.integer(-1, 64) for _ in results))
        return self.builder.append(replace_op(op, results=results))

    def declared(self, type: TensorType) -> TensorType:
        if self.stage is Stage.QUANTIZED and type.is_float:
            return type.with_element(self.draw(uniform_types()))
        return type

    def constant(self, array: Array, type: ElementType | None = None) -> Value:
        return self.builder.constant(array, self.draw(NAMES), TensorType(array.shape, type) if type else None)

    def weight(self, shape: tuple[int, ...], axis: int) -> Value:
        """A constant: real in the float stage, quantized in the quantized one, i8 in the integer one."""
        if self.stage is Stage.INTEGER:
            return self.constant(self.codes(shape, I8))
        if self.stage is Stage.FLOAT:
            return self.constant(self.numbers(shape))
        type = self.draw(weight_types(shape, axis))
        return self.constant(type.quantize(self.numbers(shape)), type)

    def bias(self, count: int) -> list[Value]:
        if self.draw(st.booleans()):
            return []
        return [self.constant(self.codes((count,), I32) if self.stage is Stage.INTEGER else self.numbers((count,)))]

    def sum_attributes(self) -> dict[str, Any]:
        if self.stage is Stage.INTEGER:
            return {"input_zero_point": self.integer(-128, 127), "weight_zero_point": self.choose(0, 0, 3)}
        return {"clamp": self.choose(None, (0.0, 6.0), (0, float("inf")))}


def unary(g: Growth, x: Value) -> tuple[Value, ...]:
    return g.emit(g.choose(*UNARY), x)


def clamp(g: Growth, x: Value) -> tuple[Value, ...]:
    low = g.integer(-3, 3)
    return g.emit(ops.Clamp, x, minimum=low, maximum=g.choose(low, low + 4, float("inf")))


def binary(g: Growth, x: Value) -> tuple[Value, ...]:
    shape = tuple(d if g.choose(True, False) else 1 for d in x.type.shape)[g.integer(0, x.type.rank) :]
    if g.stage is Stage.INTEGER:
        if x.type.element == I32:
            return g.emit(g.choose(ops.Add, ops.Sub, ops.Mul), x, g.constant(g.codes(shape, I32)))
        return g.emit(g.choose(ops.Minimum, ops.Maximum), x, x)
    op_class = g.choose(ops.Add, ops.Sub, ops.Mul, ops.Div, ops.Pow, ops.Minimum, ops.Maximum)
    return g.emit(op_class, x, g.choose(x, g.constant(g.numbers(shape))))


def movement(g: Growth, x: Value) -> tuple[Value, ...]:
    rank, shape = x.type.rank, x.type.shape
    if rank == 0:
        return g.emit(ops.Reshape, x, shape=(1, 1))
    axis = g.integer(-rank, rank - 1)
    match g.choose("reshape", "transpose", "concat", "split", "slice", "gather", "broadcast"):
        case "reshape":
            return g.emit(ops.Reshape, x, shape=g.choose((x.type.size,), (1, *shape), shape[::-1]))
        case "transpose":
            return g.emit(ops.Transpose, x, permutation=tuple(g.draw(st.permutations(range(rank)))))
        case "concat":
            return g.emit(ops.Concat, x, x, axis=axis)
        case "split":
            return g.emit(ops.Split, x, axis=axis, sizes=(1, shape[axis] - 1) if shape[axis] > 1 else (1,))
        case "slice":
            last = tuple(d - 1 for d in shape)
            return g.emit(ops.Slice, x, starts=last, sizes=tuple(-(-d // 2) for d in shape), strides=(-2,) * rank)
        case "gather":
            return g.emit(ops.Gather, x, axis=axis, indices=(0, shape[axis] - 1), indices_shape=g.choose((2,), (1, 2)))
        case _:
            return g.emit(ops.Broadcast, x, shape=(2, *shape))


def pad(g: Growth, x: Value) -> tuple[Value, ...]:
    low = tuple(g.integer(0, 2) for _ in x.type.shape)
    return g.emit(ops.Pad, x, low=low, high=low[::-1], value=g.choose(0.0, -3.0), mode=g.choose("constant", "edge"))


def convolution(g: Growth, x: Value) -> tuple[Value, ...]:
    if x.type.rank != 4 or x.type.element == I32:
        return ()
    channels = x.type.shape[3]
    groups = g.choose(1, channels)
    outputs = groups * g.integer(1, 2)
    kernel = g.integer(1, 2), g.integer(1, 3)
    padding = (0, 1, 1, 2)
    weight = g.weight((outputs, *kernel, channels // groups), 0)
    op_class = g.choose(ops.Conv2d, ops.ConvTranspose2d)
    smallest = min(x.type.shape[1], x.type.shape[2])
    attributes = {"strides": (g.integer(1, 2), 1), "groups": groups, **g.sum_attributes()}
    if op_class is ops.Conv2d and smallest >= 2:
        attributes["padding"] = padding
    elif smallest < max(kernel) and op_class is ops.Conv2d:
        return ()
    return g.emit(op_class, x, weight, *g.bias(outputs), **attributes)


def matmul(g: Growth, x: Value) -> tuple[Value, ...]:
    if x.type.rank < 2 or x.type.element == I32:
        return ()
    outputs = g.integer(1, 4)
    return g.emit(
        ops.Matmul, x, g.weight((x.type.shape[-1], outputs), 1), *g.bias(outputs), **g.sum_attributes()
    )  # axis 1: one scale an output


def pool(g: Growth, x: Value) -> tuple[Value, ...]:
    if x.type.rank != 4 or min(x.type.shape[1:3]) < 2 or x.type.element == I32:
        return ()
    attributes: dict[str, Any] = {"kernel": (2, 2), "strides": (g.integer(1, 2), 1), "padding": (1, 0, 0, 1)}
    if g.stage is Stage.INTEGER:
        if g.choose(True, False):
            return g.emit(ops.SumPool2d, x, input_zero_point=g.integer(-128, 127), **attributes)
        return g.emit(ops.MaxPool2d, x, **attributes)
    if g.choose(True, False):
        return g.emit(ops.AvgPool2d, x, count_include_pad=g.choose(True, False), **attributes)
    return g.emit(ops.MaxPool2d, x, **attributes)


def reduction(g: Growth, x: Value) -> tuple[Value, ...]:
    if x.type.rank == 0:
        return ()
    axes = tuple(g.draw(st.sets(st.integers(0, x.type.rank - 1), min_size=1)))
    classes = [ops.ReduceSum, ops.ReduceMax, ops.ReduceMin]
    classes += [] if g.stage is Stage.INTEGER else [ops.ReduceMean]
    return g.emit(g.choose(*classes), x, axes=axes, keep_dims=g.choose(True, False))


def normalization(g: Growth, x: Value) -> tuple[Value, ...]:
    if x.type.rank == 0:
        return ()
    axis = g.integer(-x.type.rank, x.type.rank - 1)
    size = (x.type.shape[axis],)
    match g.choose("batch_norm", "softmax", "l2_normalize", "prelu"):
        case "batch_norm":
            parameters = [g.constant(g.numbers(size)) for _ in range(3)]
            return g.emit(ops.BatchNorm, x, *parameters, g.constant(g.numbers(size, 0.5, 2.0)), axis=axis)
        case "softmax":
            return g.emit(ops.Softmax, x, axis=axis, beta=g.choose(1.0, 0.5))
        case "l2_normalize":
            return g.emit(ops.L2Normalize, x, axis=axis)
        case _:
            return g.emit(ops.Prelu, x, g.constant(g.numbers(x.type.shape[-1:])))


def resize(g: Growth, x: Value) -> tuple[Value, ...]:
    shape = tuple(g.choose(d, d + 1, 2 * d) for d in x.type.shape)
    found = tuple(after / before for before, after in zip(x.type.shape, shape, strict=True))
    coordinates = g.choose("half_pixel", "align_corners", "asymmetric", "pytorch_half_pixel", "half_pixel_symmetric")
    return g.emit(ops.Resize, x, shape=shape, scales=found, mode=g.choose("nearest", "linear"), coordinates=coordinates)


def rescale(g: Growth, x: Value) -> tuple[Value, ...]:
    if x.type.element not in (I8, I32):
        return ()
    shape = g.choose((), x.type.shape[-1:])
    multiplier = g.constant(g.codes(shape, I32, -(2**31), 2**31 - 1))
    to = g.choose(I8, I8, I32)
    zero_point = g.integer(-128, 127)
    rounding = g.choose("half_up", "half_up", "double", "double_up")
    shift = g.constant(g.codes(shape, I8, 31 if x.type.element == I32 else 0, 62))
    bounds = {"minimum": to.minimum, "maximum": to.maximum, "output_zero_point": zero_point}
    return g.emit(ops.Rescale, x, multiplier, shift, to=to, rounding=rounding, **bounds)


def table(g: Growth, x: Value) -> tuple[Value, ...]:
    if x.type.element != I8 or x.type.rank == 0:
        return ()
    if g.choose(True, False):
        exponentials = np.rint(2.0**20 * np.exp(-np.arange(256) / 16)).astype(np.int32)
        return g.emit(ops.SoftmaxTable, x, g.constant(exponentials), axis=g.integer(-1, x.type.rank - 1))
    if g.choose(True, False):
        return codes_function(g, x)
    return g.emit(ops.Table, x, g.constant(g.codes(g.choose((256,), (x.type.shape[-1], 256)), I8)))


def codes_function(g: Growth, x: Value) -> tuple[Value, ...]:
    """A function of codes as integer kernels compute it."""
    axis, to = g.integer(-1, x.type.rank - 1), g.choose(I8, I16)
    match g.choose("fixed", "float", "norm", "interpolate"):
        case "fixed":
            powers = np.floor((2.0**31 - 1) * np.exp(-np.arange(256) / 16)).astype(np.int32)
            return g.emit(ops.SoftmaxFixedPoint, x, g.constant(powers), axis=axis, to=to)
        case "float":
            reals = np.exp(-np.arange(256) / 16).astype(np.float32)
            return g.emit(ops.SoftmaxFloatTable, x, g.constant(reals), axis=axis, to=to)
        case "norm":
            return g.emit(ops.L2NormalizeFixedPoint, x, axis=axis, input_zero_point=g.integer(-128, 127))
        case _ if x.type.rank == 4:
            sizes = x.type.shape[1:3]
            places = [g.constant(np.array([[0, n - 1], [n - 1, 0]], np.int32)) for n in sizes]
            weights = [g.constant(g.codes((2,), I16, -500, 1024)) for _ in sizes]
            operands = (places[0], weights[0], places[1], weights[1])
            return g.emit(ops.Interpolate, x, *operands, rounding=g.choose("half_up", "half_away"))
        case _:
            return ()


def quantized_region(g: Growth, x: Value) -> tuple[Value, ...]:
    """Out of the codes into real numbers and back, as a region that the user keeps in float."""
    if not x.type.is_quantized:
        return ()
    (real,) = g.builder.emit_many(ops.Dequantize, x)
    return g.builder.emit_many(ops.Quantize, real, to=x.type.uniform())


def cast(g: Growth, x: Value) -> tuple[Value, ...]:
    return g.builder.emit_many(ops.Cast, x, to=F32 if g.stage is Stage.FLOAT else x.type.element.storage)


Step = Callable[[Growth, Value], tuple[Value, ...]]
_REAL: tuple[Step, ...] = (unary, clamp, binary, movement, pad, convolution, matmul, pool, reduction, normalization)
_GROW: dict[Stage, tuple[Step, ...]] = {
    Stage.FLOAT: (*_REAL, resize, cast),
    Stage.QUANTIZED: (*_REAL, resize, quantized_region),
    Stage.INTEGER: (
        *(clamp, binary, movement, pad, convolution, matmul, pool, reduction, resize),
        *(rescale, rescale, table, cast),
    ),
}


@st.composite
def modules(draw: st.DrawFn, stage: Stage, operations: int = 5) -> Module:
    """Valid modules of a stage: one or two inputs, up to `operations` steps, every result returned or used."""
    g = Growth(draw, Builder("m" + draw(st.text(alphabet="abc_09", max_size=4)), stage), stage)
    values: list[Value] = []
    for _ in range(draw(st.integers(1, 2))):
        shape = tuple(draw(st.lists(st.integers(1, 4), min_size=1, max_size=4)))
        shape = draw(st.sampled_from([shape, (1, 4, 5, 2), (2, 3, 3, 4)]))
        element = F32 if stage is Stage.FLOAT else draw(uniform_types(I8))
        value = g.builder.input(g.builder.unique(draw(NAMES)) + "_in", TensorType(shape, element))
        values.append(value)
        if stage is Stage.INTEGER:
            values[-1] = g.builder.emit(ops.StorageCast, value)
    for _ in range(draw(st.integers(0, operations))):
        found = draw(st.sampled_from(_GROW[stage]))(g, draw(st.sampled_from(values)))
        values += [v for v in found if 0 < v.type.size <= MAXIMUM_ELEMENTS and v.type.rank <= 5]
    for number, value in enumerate(values):
        g.builder.output(draw(TEXTS) + str(number), value)
    return g.builder.build().with_attribute(draw(TEXTS), draw(TEXTS))


def inputs_for(module: Module, seed: int) -> dict[str, Array]:
    """Random inputs: numbers around 0 for floats, legal codes of the whole range for quantized inputs."""
    rng = np.random.default_rng(seed)
    found: dict[str, Array] = {}
    for value in module.inputs:
        type = value.type
        if isinstance(type.element, UniformType):
            low, high = type.element.minimum, type.element.maximum
            found[value.name] = rng.integers(low, high, type.shape, endpoint=True).astype(type.element.storage.dtype)
        else:
            found[value.name] = rng.normal(size=type.shape).astype(np.float32)
    return found
