"""Write TIR statement trees in plain Python: loops, values, vector loads and stores.

Loop nests here are functions of a shape and an instruction table. TVMScript parses source text and can't be split
over functions freely, so the nests build the tree directly, through the few forms of this module.

All index arithmetic is in int32; buffers are one-dimensional.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import tvm
from tvm import tirx
from tvm.ir import PointerType, PrimType

from qcc.ir import TargetError

Expr: TypeAlias = Any
"""A TIR expression (TVM has no type stubs)."""
Buffer: TypeAlias = Any
"""A TIR buffer variable."""
PrimFunc: TypeAlias = Any
"""A TIR function."""


def constant(value: int, dtype: str = "int32") -> Expr:
    """An integer constant of type `dtype`."""
    return tirx.IntImm(dtype, value)


def index(value: Expr | int) -> Expr:
    """`value` as an int32 expression."""
    return constant(value) if isinstance(value, int) else value


_SPELLED: ContextVar[bool] = ContextVar("spelled_floats", default=False)

FLOAT_LITERAL = "float_literal_"
"""How the name of a spelled float constant begins; its width and its bits in hexadecimal follow."""


@contextmanager
def spelled_floats(enabled: bool) -> Iterator[None]:
    """Within this context float constants carry all their bits into C source: TVM prints seven digits of them.

    What is built then must go through `build_c_source`.
    """
    token = _SPELLED.set(enabled)
    try:
        yield
    finally:
        _SPELLED.reset(token)


def number(value: float, dtype: str) -> Expr:
    """A float constant of type `dtype`."""
    if not _SPELLED.get():
        return tirx.FloatImm(dtype, float(value))
    width = int(dtype.removeprefix("float"))
    bits = np.array(value, f"f{width // 8}").view(f"u{width // 8}")
    return tirx.call_pure_extern(dtype, f"{FLOAT_LITERAL}{width}_{int(bits):x}")


def product(left: Expr, right: Expr) -> Expr:
    """The product of floats, rounded by itself: no compiler joins it with a sum to a fused multiply-add.

    In C source the prelude forbids that (`c_source.EXACT_FLOATS`); LLVM gets a fence, since TVM lets it fuse.
    """
    return alone(left * right)


def alone(value: Expr) -> Expr:
    """A float that no compiler joins with what makes or reads it; in C source the prelude sees to that."""
    return value if _SPELLED.get() else fenced(value)


def fused_multiply_add(a: Expr, b: Expr, c: Expr) -> Expr:
    """`a·b + c` of binary32 numbers, rounded once."""
    if _SPELLED.get():
        return tirx.call_pure_extern("float32", "fmaf", a, b, c)
    return llvm("float32", "llvm.fma", a, b, c)


_FENCES: ContextVar[bool] = ContextVar("arithmetic_fences", default=True)


@contextmanager
def arithmetic_fences(enabled: bool) -> Iterator[None]:
    """Within this context `fenced` may use LLVM's arithmetic fence, which its back end for Hexagon does not know."""
    token = _FENCES.set(enabled)
    try:
        yield
    finally:
        _FENCES.reset(token)


def fenced(value: Expr) -> Expr:
    """A float that LLVM computes as it stands before what reads it.

    Without that fence it is the smaller of the float and infinity, which LLVM can not take for the float itself:
    not-a-number would become infinity.
    """
    if not _FENCES.get():
        infinity = number(float("inf"), str(value.ty.dtype))
        return select(value < infinity, value, infinity)
    return llvm(str(value.ty.dtype), "llvm.arithmetic.fence", value)


def splat(value: Expr | int, lanes: int, dtype: str = "int32") -> Expr:
    """A vector with `value` in each lane; a scalar for one lane."""
    if lanes == 1:
        return constant(value, dtype) if isinstance(value, int) else value
    return tirx.Broadcast(constant(value, dtype) if isinstance(value, int) else value, lanes)


def buffer(name: str, elements: int, dtype: str) -> Buffer:
    """Declare a one-dimensional buffer; as a function parameter it becomes a pointer."""
    return tirx.decl_buffer((elements,), dtype, name=name, layout=None)


def load(source: Buffer, offset: Expr | int, lanes: int = 1) -> Expr:
    """Load `lanes` consecutive elements from element `offset`."""
    if lanes == 1:
        return tirx.BufferLoad(source, [index(offset)])
    return tirx.BufferLoad(source, [tirx.Ramp(index(offset), constant(1), lanes)])


def address(source: Buffer, offset: Expr | int, dtype: str = "int64") -> Expr:
    """The address of element `offset`, as an integer `dtype` of the width of a pointer, or as a `POINTER`."""
    if dtype == POINTER:
        return tirx.call_pure_extern(POINTER, POINTER_TO, tirx.address_of(tirx.BufferLoad(source, [index(offset)])))
    wide = tirx.reinterpret("int64", tirx.address_of(tirx.BufferLoad(source, [index(offset)])))
    return wide if dtype == "int64" else cast(wide, dtype)  # TVM reinterprets pointers as 64 bits only


def cast(value: Expr, dtype: str) -> Expr:
    """Convert `value` to `dtype` (sign or zero extension, truncation)."""
    return tirx.Cast(dtype, value)


def reinterpret(value: Expr, dtype: str) -> Expr:
    """The bits of `value` as `dtype`."""
    return tirx.reinterpret(dtype, value)


Dialect: TypeAlias = Literal["llvm", "acle", "mve"]
"""How the instructions of ARM processors are written: for LLVM, or in C with <arm_acle.h>, or also with <arm_mve.h>."""

_DIALECT: ContextVar[Dialect] = ContextVar("dialect", default="llvm")

HELIUM = "qcc.helium"
"""The attribute of functions whose vectors become the intrinsics of <arm_mve.h>."""


@dataclass(frozen=True)
class InC:
    """How an LLVM intrinsic is written in C.

    Attributes:
        name: of the function.
        taken: which arguments it takes. The others are flags, which the tables give as the name in C says: no
            exchange, signed, vshl rounding and without saturation.
        argument, result: their types where they are not those of LLVM.
    """

    name: str
    taken: tuple[int, ...]
    argument: str = ""
    result: str = ""

    def call(self, dtype: str, arguments: Sequence[Expr]) -> Expr:
        """The call that gives a `dtype`."""
        given = [cast(arguments[i], self.argument) if self.argument else arguments[i] for i in self.taken]
        found = tirx.call_pure_extern(self.result or dtype, self.name, *given)
        return cast(found, dtype) if self.result else found


IN_C: dict[str, InC] = {
    "llvm.arm.smlad": InC("__smlad", (0, 1, 2)),
    "llvm.arm.sxtb16": InC("__sxtb16", (0,)),
    "llvm.arm.uxtb16": InC("__uxtb16", (0,), "uint32", "uint32"),
    "llvm.arm.ssat": InC("__ssat", (0, 1)),
    "llvm.arm.usat": InC("__usat", (0, 1), result="uint32"),
    "llvm.arm.mve.vmldava.v16i8": InC("vmladavaq_s8", (3, 4, 5)),
    "llvm.arm.mve.vmulh.v4i32": InC("vmulhq_s32", (0, 1)),
    "llvm.arm.mve.vqrdmulh.v4i32": InC("vqrdmulhq_s32", (0, 1)),
    "llvm.arm.mve.vshl.vector.v4i32.v4i32": InC("vrshlq_s32", (0, 1)),
}
"""LLVM's intrinsics for ARM as <arm_acle.h> and <arm_mve.h> spell them."""

POINTER = "uint32x2"
"""The type that stands for a pointer to constant data in code for C: TIR has no variables of pointers to write to."""

POINTER_TO = "qcc_pointer_to"
"""The mark, in C source, of the address of an element that becomes a pointer of no type."""

POINTER_AT = "qcc_pointer_at"
"""The mark, in C source, of a pointer of no type that becomes one to elements."""

LOAD_WORD = "qcc_load_word"
"""The C function that loads an int32 from any address."""

ROTATE_RIGHT = "qcc_rotate_right"
"""The C function that rotates a uint32."""


@contextmanager
def dialect(chosen: Dialect) -> Iterator[None]:
    """Within this context ARM's instructions are written so; `acle` and `mve` are for `build_c_source`."""
    token = _DIALECT.set(chosen)
    try:
        yield
    finally:
        _DIALECT.reset(token)


def load_word(source: Buffer, offset: Expr) -> Expr:
    """Four bytes from element `offset` of a buffer of bytes, as an int32."""
    if _DIALECT.get() != "llvm":
        place = tirx.address_of(tirx.BufferLoad(source, [index(offset)]))
        return tirx.call_pure_extern("int32", LOAD_WORD, place)
    return reinterpret(load(source, offset, 4), "int32")


def rotate_right(word: Expr, bits: int) -> Expr:
    """The bits of an int32, rotated."""
    if _DIALECT.get() != "llvm":
        return cast(tirx.call_pure_extern("uint32", ROTATE_RIGHT, cast(word, "uint32"), constant(bits)), "int32")
    return (word >> constant(bits)) & constant((1 << (32 - bits)) - 1) | (word << constant(32 - bits))


def llvm(dtype: str, name: str, *arguments: Expr) -> Expr:
    """Call the side-effect-free LLVM intrinsic `name`."""
    if _DIALECT.get() != "llvm":
        if name not in IN_C:
            raise TargetError(f"no function of C stands for {name}", help="give it one: qcc.targets.tir.IN_C")
        return IN_C[name].call(dtype, arguments)
    return tirx.call_llvm_pure_intrin(dtype, name, *arguments)


def hidden(value: Expr) -> Expr:
    """An int32 whose value an ARM compiler can't know: saturated to the 32 bits that it has."""
    return llvm("int32", "llvm.arm.ssat", value, constant(32))


def extract(vector: Expr, lanes: Sequence[int]) -> Expr:
    """The chosen `lanes` of `vector`, a scalar when there is one."""
    if int(vector.ty.dtype.lanes) == 1:
        return vector if len(lanes) == 1 else splat(vector, len(lanes))
    if len(lanes) == 1 and isinstance(vector, tirx.Shuffle) and int(vector.vectors[0].ty.dtype.lanes) == 1:
        return vector.vectors[lanes[0]]
    copies = -(-len(lanes) // int(vector.ty.dtype.lanes))  # a Shuffle has no more lanes than its operands together
    return tirx.Shuffle([vector] * copies, [constant(lane) for lane in lanes])


def join(values: Sequence[Expr]) -> Expr:
    """A vector of scalars; the scalar itself where there is one."""
    return values[0] if len(values) == 1 else tirx.Shuffle(list(values), [constant(i) for i in range(len(values))])


def concatenate(vectors: Sequence[Expr]) -> Expr:
    """The lanes of several vectors of one type as one vector; the vector itself where there is one."""
    total = sum(int(vector.ty.dtype.lanes) for vector in vectors)
    return vectors[0] if len(vectors) == 1 else tirx.Shuffle(list(vectors), [constant(i) for i in range(total)])


def minimum(left: Expr, right: Expr) -> Expr:
    """The smaller of two expressions."""
    return tirx.Min(left, right)


def maximum(left: Expr, right: Expr) -> Expr:
    """The larger of two expressions."""
    return tirx.Max(left, right)


def divide(value: Expr, divisor: int) -> Expr:
    """Quotient of a non-negative expression."""
    return value if divisor == 1 else tirx.truncdiv(value, constant(divisor))


def remainder(value: Expr, divisor: int) -> Expr:
    """Remainder of a non-negative expression."""
    return constant(0) if divisor == 1 else tirx.truncmod(value, constant(divisor))


def select(condition: Expr, yes: Expr, no: Expr) -> Expr:
    """Both sides are evaluated; one is chosen."""
    return tirx.Select(condition, yes, no)


def all_of(*conditions: Expr) -> Expr:
    """The conjunction of one or more conditions."""
    return tirx.all(*conditions) if len(conditions) > 1 else conditions[0]


def negation(condition: Expr) -> Expr:
    """The opposite of a condition."""
    return tirx.Not(condition)


def _sequence(statements: list[Any]) -> Any:
    """One statement from one or more."""
    return statements[0] if len(statements) == 1 else tirx.SeqStmt(statements)


class Body:
    """Collects statements in order; nested blocks are entered with `loop` and `when`."""

    def __init__(self) -> None:
        self._blocks: list[list[Any]] = [[]]

    def add(self, statement: Any) -> None:
        """Append a statement to the innermost open block."""
        self._blocks[-1].append(statement)

    def let(self, name: str, value: Expr) -> Expr:
        """Bind `value` to a new immutable variable."""
        variable = tirx.Var(name, value.ty)
        self.add(tirx.Bind(variable, value))
        return variable

    def view(self, name: str, pointer: Expr, elements: int, dtype: str) -> Buffer:
        """A read-only buffer over the address `pointer`, as `address` gives it."""
        kind = PointerType(PrimType(dtype))
        if pointer.ty.dtype == POINTER:
            declared = buffer(name, elements, dtype)
            typed = self.let(name, tirx.call_pure_extern(kind, POINTER_AT, pointer))
            self.add(tirx.DeclBuffer(declared, data=typed))
            return declared
        pointer = pointer if pointer.ty.dtype == "int64" else cast(pointer, "int64")
        typed = self.let(f"{name}_pointer", tirx.op.call_intrin(kind, "tirx.reinterpret", pointer))
        declared = buffer(name, elements, dtype)
        self.add(tirx.DeclBuffer(declared, data=typed))
        return declared

    def allocate(self, name: str, elements: int, dtype: str) -> Buffer:
        """Allocate a local buffer; constant-indexed ones end up in registers.

        Scalars are aligned to 8 bytes, as every stack is: more would cost an ARM function a register.
        """
        alignment = -1 if "x" in dtype.removesuffix("x1") else 8
        local = tirx.decl_buffer((elements,), dtype, name=name, scope="global", layout=None, data_alignment=alignment)
        self.add(tirx.AllocBuffer(local))
        return local

    def store(self, target: Buffer, offset: Expr | int, value: Expr, lanes: int = 1) -> None:
        """Store `value` to element `offset` (and the `lanes - 1` after it)."""
        place = index(offset) if lanes == 1 else tirx.Ramp(index(offset), constant(1), lanes)
        self.add(tirx.BufferStore(target, value, [place]))

    @contextmanager
    def loop(self, name: str, extent: Expr | int) -> Iterator[Expr]:
        """A serial loop from 0 to `extent`; a loop of one turn is its body with the constant 0."""
        if isinstance(extent, int) and extent == 1:
            yield constant(0)
            return
        variable = tirx.Var(name, "int32")
        self._blocks.append([])
        yield variable
        block = self._blocks.pop()
        self.add(tirx.For(variable, constant(0), index(extent), tirx.ForKind.SERIAL, _sequence(block)))

    @contextmanager
    def repeat_until(self, ends: Callable[[], Expr]) -> Iterator[None]:
        """Execute the block, which runs at least once, until the condition that `ends` makes behind it holds."""
        self._blocks.append([])
        yield
        block = self._blocks.pop()
        self.add(tirx.While(negation(ends()), _sequence(block)))

    @contextmanager
    def when(self, condition: Expr) -> Iterator[None]:
        """Execute the block only where `condition` holds."""
        self._blocks.append([])
        yield
        block = self._blocks.pop()
        self.add(tirx.IfThenElse(condition, _sequence(block), None))

    def function(
        self, name: str, parameters: Sequence[Buffer], aligned: Mapping[Buffer, int] | None = None
    ) -> PrimFunc:
        """Close the body as a function `name` whose parameters do not overlap in memory.

        `aligned`: parameters that lie at multiples of a number of bytes; the others may lie anywhere.
        """
        attributes = {"global_symbol": name, "tirx.noalias": True}
        attributes |= {HELIUM: True} if _DIALECT.get() == "mve" else {}
        body = _sequence(self._blocks[0])
        for parameter, alignment in (aligned or {}).items():
            body = tirx.AttrStmt(parameter, "storage_alignment", constant(alignment), body)
        return tirx.PrimFunc(list(parameters), body, attrs=tvm.ir.make_node("ir.DictAttrs", **attributes))
