"""Vectors of TIR as intrinsics of <arm_mve.h>, for C source: the vectors that TVM's C generator prints are no C.

Functions are rewritten behind the lowering passes, which so see loads, sums and products instead of calls. Each
operation on lanes becomes a call of the intrinsic that does it (`vaddq_s32`); loads and stores convert on the way
(`vldrbq_s32`, `vstrbq_s32`). The operators that some compilers have on vectors are not used. `c_source` gives the
types, printed as TVM names them (`int32_t4`), their names in C.

*Registers.* The lanes of a vector decide the register that keeps it: up to four take 32 bits each, up to eight 16 bits,
sixteen 8 bits, each with the value of the element, extended. Lanes beyond those of the vector hold anything.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import tvm
from tvm import tirx
from tvm_ffi import StructuralKey

from qcc.ir import TargetError
from qcc.targets import tir
from qcc.targets.tir import Body, Buffer, Expr

LANES = "qcc_lanes"
"""The C function that joins four int32 to a vector."""

_WITH_SCALAR = {"Add": "vaddq", "Sub": "vsubq", "Mul": "vmulq"}
"""Operations that also take one number for all lanes on the right, by the name of TIR's class."""

_ON_VECTORS = {"Min": "vminq", "Max": "vmaxq", "BitwiseAnd": "vandq", "BitwiseOr": "vorrq", "BitwiseXor": "veorq"}
"""Operations on two vectors."""

_UNITS = {8: "b", 16: "h", 32: "w"}
"""How loads and stores name the elements in memory, by their bits."""


def _no_intrinsic(what: object) -> TargetError:
    """The error for vector code that the nests of this target do not have."""
    return TargetError(f"no intrinsic of Helium does {what}", help="--emit library makes machine code of the kernel")


@dataclass(frozen=True)
class Vector:
    """The type of a vector: signed or not, bits of an element, lanes."""

    signed: bool
    bits: int
    lanes: int

    @staticmethod
    def of(dtype: Any) -> Vector:
        """The vector type that TIR writes `uint8x4`."""
        element, _, lanes = str(dtype).partition("x")
        digits = element.lstrip("uint")
        if not element.startswith(("int", "uint")) or not digits.isdigit():
            raise _no_intrinsic(f"vectors of {element}")
        return Vector(element.startswith("i"), int(digits), int(lanes or 1))

    @property
    def slots(self) -> int:
        """Lanes of the register that keeps it."""
        slots = next((n for n in (4, 8, 16) if n >= self.lanes), 0)
        if not slots or self.bits * slots > 128:
            raise _no_intrinsic(f"vectors of {self.lanes} × {self.bits} bits")
        return slots

    @property
    def register(self) -> Vector:
        """The type of the register that keeps it."""
        return Vector(self.signed, 128 // self.slots, self.slots)

    @property
    def fills(self) -> bool:
        """Whether it is as wide as the register."""
        return self.register == self

    @property
    def suffix(self) -> str:
        """How intrinsics name the register: `s32`."""
        return f"{'s' if self.signed else 'u'}{self.register.bits}"

    @property
    def element(self) -> str:
        """TIR's name of the element's type."""
        return f"{'int' if self.signed else 'uint'}{self.bits}"

    def __str__(self) -> str:
        """TIR's name of the type."""
        return f"{self.element}x{self.lanes}"

    def call(self, name: str, *arguments: Expr) -> Expr:
        """A call of an intrinsic, its name without the suffix, that gives this vector."""
        return tirx.call_pure_extern(str(self.register), f"{name}_{self.suffix}", *arguments)


def _lanes(value: Expr) -> int:
    """The lanes of an expression; a pointer is one thing, though TIR has a vector for it."""
    dtype = getattr(value.ty, "dtype", None)
    return 1 if dtype is None or dtype == tir.POINTER else int(getattr(dtype, "lanes", 1))


def _vector(value: Expr) -> Vector | None:
    """The vector type of an expression, None for scalars."""
    return Vector.of(value.ty.dtype) if _lanes(value) > 1 else None


def _as(value: Expr, wanted: Vector) -> Expr:
    """The bits of a register as those of the register of another vector."""
    found = Vector.of(value.ty.dtype)
    if found.register == wanted.register:
        return value
    name = f"vreinterpretq_{wanted.suffix}_{found.suffix}"
    return tirx.call_pure_extern(str(wanted.register), name, value)


def _some(vector: Vector) -> tuple[Expr, ...]:
    """The predicate that chooses the lanes of a vector that does not fill its register."""
    if vector.lanes == vector.slots:
        return ()
    return (tirx.call_pure_extern("uint16", f"vctp{128 // vector.slots}q", tir.constant(vector.lanes)),)


def _address(buffer: Any, ramp: Any) -> Expr:
    """Where a vector begins in memory."""
    if not isinstance(ramp, tirx.Ramp) or int(ramp.stride) != 1:
        raise _no_intrinsic(f"the access to {buffer.name}, whose elements are no neighbours")
    return tirx.address_of(tirx.BufferLoad(buffer, [ramp.base]))


def _number(vector: Any) -> int | None:
    """The constant that all lanes of a vector are, None where they are none."""
    same = isinstance(vector, tirx.Broadcast) and isinstance(vector.value, tirx.IntImm)
    return int(vector.value) if same else None


class _Expressions:
    """Expressions without operations on vectors."""

    def __init__(self) -> None:
        self._renamed: dict[Any, Any] = {}
        self._named: dict[Any, Any] = {}
        self._loads = 0

    @contextmanager
    def scope(self) -> Iterator[None]:
        """Within this context values get names that are not known outside."""
        outside = dict(self._named)
        yield
        self._named = outside

    def bind(self, variable: Any, node: Any) -> Any:
        """The statement that gives a value its name, for later uses of the value too.

        The simplifier put the value into these; behind a load memory may have changed.
        """
        vector, loads = _vector(variable), self._loads
        value = self(node)
        if vector is None:
            return tirx.Bind(variable, value)
        if not vector.fills:
            self._renamed[variable] = tirx.Var(variable.name, value.ty)
        held = self._renamed.get(variable, variable)
        if loads == self._loads and not isinstance(value, tirx.Var):
            self._named[StructuralKey(node)] = held
        return tirx.Bind(held, value)

    def __call__(self, node: Any) -> Expr:
        """The expression that stands for `node`."""
        if isinstance(node, tirx.Var):
            return self._renamed.get(node, node)
        if self._named and _lanes(node) > 1 and (name := self._named.get(StructuralKey(node))) is not None:
            return name
        if isinstance(node, tirx.Shuffle):
            return self._shuffle(node)
        vector = _vector(node)
        if vector is None or isinstance(node, tvm.ir.Call):
            return self._scalar(node) if vector is None else self._call(node, vector)
        if isinstance(node, tvm.ir.TensorLoad):
            return self._load(node, vector)
        if isinstance(node, tirx.Broadcast):
            return vector.call("vdupq_n", self(node.value))
        if isinstance(node, tirx.Cast):
            return self._cast(node, vector)
        return self._operation(node, vector)

    def _scalar(self, node: Any) -> Expr:
        """A scalar, which may have vectors in it."""
        if hasattr(node, "a") and hasattr(node, "b"):
            return type(node)(self(node.a), self(node.b))
        if isinstance(node, tirx.Not | tirx.BitwiseNot):
            return type(node)(self(node.a))
        if isinstance(node, tirx.Cast):
            return tirx.Cast(node.ty.dtype, self(node.value))
        if isinstance(node, tirx.Select):
            return tirx.Select(self(node.condition), self(node.true_value), self(node.false_value))
        if isinstance(node, tvm.ir.TensorLoad):
            self._loads += 1
            return tirx.BufferLoad(node.source, [self(index) for index in node.indices])
        return self._call(node, None) if isinstance(node, tvm.ir.Call) else node

    def _call(self, node: Any, vector: Vector | None) -> Expr:
        """A call with its arguments rewritten; of TIR's own functions only `reinterpret` gives vectors."""
        if vector is not None and node.op.same_as(tvm.ir.Op.get("tirx.reinterpret")):
            return _as(self(node.args[0]), vector)
        arguments = [self(a) if isinstance(a, tvm.ir.Expr) else a for a in node.args]
        return tvm.ir.Call(node.op, arguments, node.attrs, node.ty_args, ret_ty=node.ty)

    def _load(self, node: Any, vector: Vector) -> Expr:
        """One load; a vector that is an element of a local array is read as it is."""
        (index,) = node.indices
        self._loads += 1
        if _lanes(index) == 1:
            return tirx.BufferLoad(node.source, [self(index)])
        predicate = _some(vector)
        name = f"vldr{_UNITS[vector.bits]}q{'_z' if predicate else ''}"
        return vector.call(name, _address(node.source, index), *predicate)

    def _cast(self, node: Any, vector: Vector) -> Expr:
        """The value, in the bits of the new type."""
        value = self(node.value)
        found = Vector.of(node.value.ty.dtype)
        value = _as(value, vector)
        if found.bits < vector.bits or vector.fills:  # of the register each lane is used, or holds the value already
            return value
        by = tir.constant(vector.register.bits - vector.bits)
        return vector.call("vshrq_n", vector.call("vshlq_n", value, by), by)

    def _shuffle(self, node: Any) -> Expr:
        """A lane, the first lanes of a vector, or four scalars joined."""
        first, chosen = node.vectors[0], [int(i) for i in node.indices]
        vector, result = _vector(first), _vector(node)
        if vector is None:
            if result != Vector(True, 32, 4) or chosen != [0, 1, 2, 3]:
                raise _no_intrinsic(f"the joining of {len(chosen)} scalars")
            return tirx.call_pure_extern(str(result), LANES, *(self(value) for value in node.vectors))
        if result is None:
            return self._lane(first, vector, chosen[0])
        if chosen != list(range(len(chosen))) or result.slots != vector.slots:
            raise _no_intrinsic(f"the choice of lanes {chosen}")
        return self(first)

    def _lane(self, value: Expr, vector: Vector, lane: int) -> Expr:
        """One lane as a scalar of the element's type."""
        register = vector.register
        found = tirx.call_pure_extern(register.element, f"vgetq_lane_{vector.suffix}", self(value), tir.constant(lane))
        return found if vector.bits == register.bits else tirx.Cast(vector.element, found)

    def _operation(self, node: Any, vector: Vector) -> Expr:
        """Arithmetic on lanes."""
        kind = type(node).__name__
        if kind in _ON_VECTORS:
            return vector.call(_ON_VECTORS[kind], self(node.a), self(node.b))
        if not vector.fills or kind not in (*_WITH_SCALAR, "LShift", "RShift"):
            raise _no_intrinsic(f"{kind} of {vector}")
        if kind in ("LShift", "RShift"):
            return self._shift(node, vector, kind == "LShift")
        if kind == "Sub" and _number(node.a) == 0:
            return vector.call("vnegq", self(node.b))
        if isinstance(node.b, tirx.Broadcast):
            return vector.call(f"{_WITH_SCALAR[kind]}_n", self(node.a), self(node.b.value))
        return vector.call(_WITH_SCALAR[kind], self(node.a), self(node.b))

    def _shift(self, node: Any, vector: Vector, left: bool) -> Expr:
        """A shift by one number, or by those of another vector: to the right by negative ones."""
        if _number(node.b) is not None:
            return vector.call("vshlq_n" if left else "vshrq_n", self(node.a), node.b.value)
        by = self(node.b) if left else vector.call("vnegq", self(node.b))
        return vector.call("vshlq", self(node.a), by)


class _Statements:
    """Statements without operations on vectors."""

    def __init__(self) -> None:
        self._expression = _Expressions()

    def __call__(self, node: Any) -> Any:
        """The statement that stands for `node`."""
        if isinstance(node, tirx.SeqStmt):
            return tirx.SeqStmt([self(part) for part in node.seq])
        if isinstance(node, tirx.For):
            extent = self._expression(node.extent)
            return tirx.For(node.loop_var, node.min, extent, node.kind, self._block(node.body))
        if isinstance(node, tirx.IfThenElse):
            otherwise = None if node.else_case is None else self._block(node.else_case)
            return tirx.IfThenElse(self._expression(node.condition), self._block(node.then_case), otherwise)
        if isinstance(node, tirx.AttrStmt):
            return tirx.AttrStmt(node.node, node.attr_key, node.value, self._block(node.body))
        if isinstance(node, tirx.Bind):
            return self._expression.bind(node.var, node.value)
        if isinstance(node, tirx.BufferStore):
            return self._store(node)
        return tirx.Evaluate(self._expression(node.value)) if isinstance(node, tirx.Evaluate) else node

    def _block(self, node: Any) -> Any:
        """The statement that stands for `node`, a block of its own."""
        with self._expression.scope():
            return self(node)

    def _store(self, node: Any) -> Any:
        """One store, of as many bits of each lane as the memory has."""
        (index,), value = node.indices, node.value
        if _lanes(index) == 1:
            return tirx.BufferStore(node.buffer, self._expression(value), [self._expression(index)])
        vector = Vector.of(value.ty.dtype)
        if isinstance(value, tirx.Cast) and Vector.of(value.value.ty.dtype).slots == vector.slots:
            value = value.value
        predicate = _some(vector)
        name = f"vstr{_UNITS[vector.bits]}q{'_p' if predicate else ''}_{vector.suffix}"
        stored = _as(self._expression(value), vector)
        return tirx.Evaluate(tirx.call_extern("void", name, _address(node.buffer, index), stored, *predicate))


def with_intrinsics(module: Any) -> Any:
    """A lowered module without operations on vectors in the functions that were made for <arm_mve.h>.

    A TargetError names what no intrinsic does.
    """
    functions = {name: _rewritten(function) for name, function in module.functions.items()}
    return tvm.IRModule(functions, attrs=module.attrs)


def _rewritten(function: Any) -> Any:
    """The function, of its vectors only loads, stores and intrinsics."""
    if tir.HELIUM not in function.attrs:
        return function
    return tirx.PrimFunc(function.params, _Statements()(function.body), function.ret_type, function.attrs)


def saturated(body: Body, value: Expr, output_type: str) -> Expr:
    """Four int32 lanes whose low bytes are the value within the range of `output_type`, int8 or uint8."""
    halves = tirx.call_pure_extern("int16x8", "vqmovnbq_s32", tir.reinterpret(value, "int16x8"), value)
    halves = body.let("halves", halves)
    name = "vqmovnbq_s16" if output_type == "int8" else "vqmovunbq_s16"
    kept = f"{output_type}x16"
    found = tirx.call_pure_extern(kept, name, tir.reinterpret(halves, kept), halves)
    return tir.reinterpret(found, "int32x4")


def gathered(source: Buffer, offset: Expr, repeat: int) -> Expr:
    """Four int32 lanes of the bytes from `offset` on, each in `repeat` lanes, 2 or 4, by one load."""
    lanes = tirx.call_pure_extern("uint32x4", "vidupq_n_u32", tir.constant(0), tir.constant(1))
    places = tirx.call_pure_extern("uint32x4", "vshrq_n_u32", lanes, tir.constant(repeat.bit_length() - 1))
    first = tirx.address_of(tir.load(source, offset))
    kept = Vector.of(f"{source.dtype}x4")
    return tir.reinterpret(kept.call("vldrbq_gather_offset", first, places), "int32x4")
