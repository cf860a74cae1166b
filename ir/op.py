"""What an operation is: one class holds its meaning, types, evaluation, cost and algebraic facts.

A subclass is a frozen dataclass. Its class variables describe it, its dataclass fields are its attributes, and
`Operand` descriptors name its operands:

    @register
    @dataclass(frozen=True, kw_only=True)
    class Clamp(Op):
        '''Limit to a range: `y = min(max(x, minimum), maximum)`.'''
        name = "clamp"
        x = Operand(0)
        minimum: float
        maximum: float
        def infer(self): return (self.x.type,)
        def evaluate(self, x): return np.clip(x, self.minimum, self.maximum)
"""

from __future__ import annotations

from dataclasses import MISSING, dataclass, field, fields
from enum import Enum
from typing import Any, ClassVar, Self, TypeVar, overload

from .attributes import normalize_fields
from .errors import IrError, nearest
from .types import Array, ScalarType, TensorType
from .value import Location, Value


class Stage(Enum):
    """What a module means: real arithmetic, quantized values with real meaning, or integers only."""

    FLOAT = "float"
    QUANTIZED = "quantized"
    INTEGER = "integer"


ANY_STAGE = frozenset(Stage)
REAL_STAGES = frozenset({Stage.FLOAT, Stage.QUANTIZED})


@dataclass(frozen=True)
class Cost:
    """What one execution costs: multiply-accumulates, and bytes read and written."""

    macs: int = 0
    bytes: int = 0


class OperandDescriptor:
    """Base of descriptors that give operands names; `index` is the position of the (first) operand."""

    def __init__(self, index: int, doc: str = "") -> None:
        self.index = index
        self.doc = doc
        self.name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self.name = name


class Operand(OperandDescriptor):
    """Descriptor of a required operand by position."""

    @overload
    def __get__(self, op: None, owner: type) -> Self: ...
    @overload
    def __get__(self, op: Op, owner: type) -> Value: ...
    def __get__(self, op: Op | None, owner: type) -> Self | Value:
        if op is None:
            return self
        if self.index >= len(op.operands):
            raise IrError(f"{op.name} has no operand {self.name!r}: {len(op.operands)} operands are given")
        return op.operands[self.index]


class OptionalOperand(OperandDescriptor):
    """Descriptor of a trailing operand that may be absent."""

    @overload
    def __get__(self, op: None, owner: type) -> Self: ...
    @overload
    def __get__(self, op: Op, owner: type) -> Value | None: ...
    def __get__(self, op: Op | None, owner: type) -> Self | Value | None:
        if op is None:
            return self
        return op.operands[self.index] if self.index < len(op.operands) else None


class Operands(OperandDescriptor):
    """Descriptor of all operands from a position on."""

    @overload
    def __get__(self, op: None, owner: type) -> Self: ...
    @overload
    def __get__(self, op: Op, owner: type) -> tuple[Value, ...]: ...
    def __get__(self, op: Op | None, owner: type) -> Self | tuple[Value, ...]:
        return self if op is None else op.operands[self.index :]


@dataclass(frozen=True, kw_only=True)
class Op:
    """Base of all operations.

    Attributes:
        operands: values read.
        results: values defined.
        location: provenance.
        notes: decisions and their reasons, by topic (`keep-float`: "asked for by --keep-float softmax").
        fusion: name of the kernel that this operation is fused into; empty before `fuse-epilogue`.
        offsets: byte offsets of the results in the arena; empty before `plan-memory`, -1 for a result outside it.
    """

    operands: tuple[Value, ...] = ()
    results: tuple[Value, ...] = ()
    location: Location = field(default_factory=Location)
    notes: tuple[tuple[str, str], ...] = ()
    fusion: str = ""
    offsets: tuple[int, ...] = ()

    name: ClassVar[str] = ""
    stages: ClassVar[frozenset[Stage]] = REAL_STAGES
    #: The meaning is the same on codes as on real numbers: only moves or selects elements.
    moves_data: ClassVar[bool] = False
    #: Operands and result share one scale and zero point when quantized.
    shares_parameters: ClassVar[bool] = False
    #: Works element by element, with NumPy broadcasting among the operands.
    elementwise: ClassVar[bool] = False
    #: Compares codes as they are: the result is the same on codes as on real numbers, and is not quantized.
    reads_codes: ClassVar[bool] = False
    #: Converts between real, quantized and storage types: legal in every stage, sees codes, not real values.
    boundary: ClassVar[bool] = False
    #: Computes with floats inside and promises every bit: compilers must keep each rounding.
    exact_floats: ClassVar[bool] = False
    #: On floats at most one correctly rounded step, so that every compiler gives the same bits unasked.
    rounds_once: ClassVar[bool] = False
    #: A clamp behind the operation can become its `clamp` attribute.
    fusable_clamp: ClassVar[bool] = False

    def __post_init__(self) -> None:
        normalize_fields(self, self.name or type(self).__name__, f"see `qcc ops {self.name}`")

    @property
    def result(self) -> Value:
        """The only result."""
        if len(self.results) != 1:
            raise IrError(f"{self.name} has {len(self.results)} results, not one")
        return self.results[0]

    def infer(self) -> tuple[TensorType, ...]:
        """Return the types of the results; IrError says which operand or attribute does not fit.

        For real arithmetic the element type returned is the expressed float type; a result may then be declared
        calibrated or quantized over it.
        """
        raise IrError(f"{self.name} does not infer types")

    def evaluate(self, *operands: Array) -> Array | tuple[Array, ...]:
        """Return the results for the operands given, as arrays of the inferred storage types.

        In the integer stage this is the definition of the bits. In the quantized stage the evaluator gives float
        operands and quantizes what comes back.
        """
        raise IrError(f"{self.name} can't be evaluated")

    def cost(self) -> Cost:
        """Return multiply-accumulates and bytes moved; by default the bytes of all operands and results."""
        return Cost(0, sum(v.type.bytes for v in (*self.operands, *self.results)))

    def attributes(self) -> dict[str, Any]:
        """Return the attributes by name, in order of declaration."""
        return {f.name: getattr(self, f.name) for f in attribute_fields(type(self))}

    def note(self, topic: str) -> str:
        """Return the note on `topic`, or an empty string."""
        return dict(self.notes).get(topic, "")

    def with_note(self, topic: str, reason: str) -> Self:
        """Return the operation with a note set."""
        return replace_op(self, notes=tuple({**dict(self.notes), topic: reason}.items()))


def replace_op(op: OpT, **changes: Any) -> OpT:
    """Return a copy of `op` with fields changed."""
    import dataclasses

    return dataclasses.replace(op, **changes)


OpT = TypeVar("OpT", bound=Op)
_BASE_FIELDS = frozenset(f.name for f in fields(Op))
_REGISTRY: dict[str, type[Op]] = {}


def attribute_fields(op_class: type[Op]) -> list[Any]:
    """Return the dataclass fields of `op_class` that are attributes."""
    return [f for f in fields(op_class) if f.name not in _BASE_FIELDS]


def required_attributes(op_class: type[Op]) -> list[str]:
    """Return the names of the attributes of `op_class` that have no default."""
    return [f.name for f in attribute_fields(op_class) if f.default is MISSING and f.default_factory is MISSING]


def check_arity(op: Op) -> None:
    """Raise IrError where an operation has too few or too many operands."""
    names = operand_names(type(op))
    fewest = sum(not n.endswith(("?", "*")) for n in names)
    variadic = any(n.endswith("*") for n in names)
    count = len(op.operands)
    if count < fewest or (count > len(names) and not variadic):
        raise IrError(f"{op.name} is given {count} operands", help=f"operands: {', '.join(names) or 'none'}")


def operand_names(op_class: type[Op]) -> list[str]:
    """Return operand names by position: `x`, `bias?` (optional), `inputs*` (variadic)."""
    found: dict[int, str] = {}
    for base in reversed(op_class.__mro__):
        for name, member in vars(base).items():
            if isinstance(member, Operand):
                found[member.index] = name
            elif isinstance(member, OptionalOperand):
                found[member.index] = name + "?"
            elif isinstance(member, Operands):
                found[member.index] = name + "*"
    return [found[index] for index in sorted(found)]


def register(op_class: type[OpT]) -> type[OpT]:
    """Class decorator: make an operation known to printer, parser and `qcc ops` under its name."""
    if not op_class.name or op_class.name in _REGISTRY:
        raise IrError(f"operation name {op_class.name!r} is empty or taken")
    _REGISTRY[op_class.name] = op_class
    return op_class


def registered_ops() -> dict[str, type[Op]]:
    """Return all operation classes by name."""
    return dict(sorted(_REGISTRY.items()))


def op_class_named(name: str) -> type[Op]:
    """Return the operation class of that name; an IrError names the nearest."""
    if name not in _REGISTRY:
        raise IrError(f"there is no operation {name!r}", help=nearest(name, list(_REGISTRY)))
    return _REGISTRY[name]


def require_real(op: Op, *types: TensorType) -> None:
    """Raise IrError unless every type stands for real numbers."""
    for type in types:
        if not type.element.expressed.is_float:
            raise IrError(f"{op.name} takes real numbers, not {type}")


def require_axes(op: Op, rank: int, *axes: int) -> None:
    """Raise IrError unless every axis, negative ones counted from the end, is one of `rank` and given once."""
    if any(not -rank <= a < rank for a in axes) or len({a % rank for a in axes if rank}) != len(axes):
        message = f"{op.name}: axes {list(axes)} of a tensor of rank {rank}"
        raise IrError(message, help="give each axis once, below the rank")


def common_expressed(*types: TensorType) -> ScalarType:
    """Return the one expressed type of several operands; an IrError if they differ."""
    found = {t.element.expressed for t in types}
    if len(found) != 1:
        raise IrError(f"operands of different element types: {', '.join(sorted(map(str, found)))}")
    return found.pop()
