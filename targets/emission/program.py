"""A planned module as a program: functions, constants, and the calls between them."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from qcc.ir import Array, Module, State, TargetError, Value, c_identifier, free_name, ops
from qcc.targets.kernel import ConstantArgument, Kernel, LoweredKernel, alias_source, lower_kernel, partition
from qcc.targets.plan_memory import arena_bytes, check_plan
from qcc.targets.target import Target

from .c_text import c_type, c_type_of

Progress = Callable[[str, int, int | None], None]


@dataclass(frozen=True)
class Place:
    """Where a tensor is: in the arena at an offset, behind a pointer of the caller, or among the constants.

    Attributes:
        kind: `arena`, `input`, `output`, `state` or `constant`.
        key: offset in the arena, or the name of the input, output or state, or the constant's symbol.
    """

    kind: str
    key: int | str


@dataclass(frozen=True)
class Argument:
    """A pointer handed to a function: to what, of what C type, and whether the function writes there."""

    place: Place
    c_type: str
    written: bool = False


@dataclass(frozen=True)
class Function:
    """A kernel's code, shared by equal kernels.

    Attributes:
        symbol: its name in C.
        primitive: the TIR function.
        parameters: C types of what the pointers point to, and whether that is written.
    """

    symbol: str
    primitive: Any
    parameters: tuple[tuple[str, bool], ...]


@dataclass(frozen=True)
class Constant:
    """Data in flash; kernels that need the same bytes share them."""

    symbol: str
    array: Array = field(compare=False)
    comment: str = ""


@dataclass(frozen=True)
class Call:
    """One step of the entry function: a call of a kernel."""

    symbol: str
    arguments: tuple[Argument, ...]
    comment: str


@dataclass(frozen=True)
class Copy:
    """One step of the entry function: bytes that move as they are."""

    source: Place
    destination: Place
    bytes: int
    comment: str


@dataclass(frozen=True)
class Program:
    """What the entry function does, and with what.

    Attributes:
        name: of the module, prefix of all symbols.
        functions, constants: each once.
        steps: in order.
        arena_bytes: working memory that the caller gives.
        alignment: of the arena and of constants.
        has_float: some kernel computes with floating-point numbers.
        exact_floats: some kernel promises the bits of floating-point arithmetic.
        cpu_check: statements of C that return 0 where the processor can't run the code, as `CpuCheck` has them; empty:
            any can.
        cpu_note, cpu_declarations: what NAME.h says of it.
        initial: what each state is before the first run, by name: a constant's symbol, or the integer that all its
            elements are.
    """

    name: str
    functions: tuple[Function, ...]
    constants: tuple[Constant, ...]
    steps: tuple[Call | Copy, ...]
    arena_bytes: int
    alignment: int
    has_float: bool
    exact_floats: bool = False
    cpu_check: str = ""
    cpu_note: str = ""
    cpu_declarations: str = ""
    initial: Mapping[str, str | int] = field(default_factory=dict)


def lower_program(module: Module, target: Target, progress: Progress | None = None) -> Program:
    """Return the program of a module that went through the target's passes; loads the code generator.

    A TargetError lists every kernel for which the target has no code.
    """
    check_plan(module)
    maker = _Maker(module, target)
    kernels = partition(module)
    for index, kernel in enumerate(kernels):
        if progress is not None:
            progress("lower", index, len(kernels))
        maker.add(kernel)
    return maker.finish()


class _Maker:
    """Collects the parts of a program, kernel by kernel."""

    def __init__(self, module: Module, target: Target) -> None:
        self.module = module
        self.target = target
        self.planned = -(-arena_bytes(module) // target.alignment) * target.alignment
        self.functions: dict[int, list[Function]] = {}
        self.ordered: list[Function] = []
        self.constants: dict[str, Constant] = {}
        self.steps: list[Call | Copy] = []
        self.has_float = self.has_double = self.exact_floats = False
        self.failures: list[TargetError] = []
        self.outputs: dict[str, str] = {}
        for output in module.outputs:
            self.outputs.setdefault(alias_source(module, output.value).name, output.name)
        self.offsets = {v.name: at for op in module.ops for v, at in zip(op.results, op.offsets, strict=True)}
        self.next_states: dict[str, int] = {}
        for state in module.states:  # what a state becomes waits behind the planned memory until nothing reads the old
            self.next_states[state.name] = self.planned
            self.planned += -(-state.initial.array.nbytes // target.alignment) * target.alignment

    def add(self, kernel: Kernel) -> None:
        """Lower a kernel and append its call; there is none of a kernel whose results have no elements."""
        if not any(value.type.size for value in kernel.outputs):
            return
        try:
            lowered = lower_kernel(kernel, self.target)
        except TargetError as error:
            self.failures.append(error)
            return
        arguments = [self._argument(kernel, a) for a in lowered.arguments]
        read = {a.place for a in arguments if not a.written}
        in_place = any(a.place in read for a in arguments if a.written)
        function = self._function(kernel, lowered, tuple(arguments), in_place)
        written = ", ".join(value.name for value in kernel.outputs)
        self.steps.append(Call(function.symbol, tuple(arguments), f"{written}: {kernel.description}"))
        self.exact_floats |= any(op.exact_floats for op in kernel.ops)
        self.has_float |= self.exact_floats
        self.has_float |= any(v.type.is_float for op in kernel.ops for v in (*op.operands, *op.results))
        self.has_double |= self.has_float and "float64" in str(function.primitive)

    def place(self, value: Value) -> Place:
        """Return where a tensor is."""
        source = alias_source(self.module, value)
        if isinstance(self.module.definition(source), ops.Constant):
            data = self.module.constant(source)
            return self._constant(source.name, np.asarray(data), "returned as it is")
        if self.module.definition(source) is None:
            return Place("state" if source.name in self.next_states else "input", source.name)
        if source.name in self.outputs:
            return self._returned(self.outputs[source.name])
        return Place("arena", self.offsets[source.name])

    def _returned(self, output: str) -> Place:
        """Return where a kernel writes an output."""
        return Place("arena", self.next_states[output]) if output in self.next_states else Place("output", output)

    def finish(self) -> Program:
        """Return the program, with copies of outputs that no kernel writes."""
        if self.failures:
            raise _all_failures(self.failures, self.target)
        self._copy_outputs()
        check = self.target.cpu_check
        initial = {s.name: self._initial(s) for s in self.module.states}  # adds constants
        return Program(
            self.module.name,
            tuple(self.ordered),
            tuple(self.constants.values()),
            tuple(self.steps),
            self.planned,
            self.target.alignment,
            self.has_float,
            self.exact_floats,
            check.statements(floats=self.has_float, doubles=self.has_double),
            check.note,
            check.declarations,
            initial,
        )

    def _copy_outputs(self) -> None:
        """Append copies for outputs that are inputs, constants, or second names of another output."""
        for output in self.module.outputs:
            place, own = self.place(output.value), self._returned(output.name)
            if place != own:
                count = output.value.type.size * output.value.type.element.storage.dtype.itemsize
                self.steps.append(Copy(place, own, count, f"output {output.name}"))
        for state in self.module.states:
            place, own = self._returned(state.name), Place("state", state.name)
            self.steps.append(Copy(place, own, state.initial.array.nbytes, f"state {state.name}"))

    def _initial(self, state: State) -> str | int:
        """Return what a state is before the first run, as `Program.initial` has it."""
        array = state.initial.array
        first = array.reshape(-1)[:1]
        if not array.size or (np.all(array == first) and float(first[0]).is_integer()):
            return int(first[0]) if array.size else 0
        return str(self._constant(f"{c_identifier(state.name)}_initial", array, f"state {state.name} at first").key)

    def _argument(self, kernel: Kernel, argument: Value | ConstantArgument) -> Argument:
        if isinstance(argument, ConstantArgument):
            place = self._constant(f"{kernel.name}_{argument.name}", argument.array, argument.comment)
            return Argument(place, c_type(argument.array.dtype))
        written = any(argument.name == v.name for v in kernel.outputs)
        return Argument(self.place(argument), c_type_of(argument.type.element.storage), written)

    def _constant(self, name: str, array: Array, comment: str) -> Place:
        """Return the place of constant data, shared with what has the same bytes and type."""
        data = np.ascontiguousarray(array)
        digest = hashlib.blake2b(data.dtype.str.encode() + data.tobytes(), digest_size=16).hexdigest()
        if digest not in self.constants:
            symbol = free_name(f"{self.module.name}_c_{name}", {c.symbol for c in self.constants.values()})
            self.constants[digest] = Constant(symbol, data, comment)
        return Place("constant", self.constants[digest].symbol)

    def _function(
        self, kernel: Kernel, lowered: LoweredKernel, arguments: tuple[Argument, ...], in_place: bool
    ) -> Function:
        """Return the function of a kernel: one that is there already if it is the same but for its name."""
        from tvm_ffi import structural_equal, structural_hash

        anonymous = lowered.function.with_attr("global_symbol", "kernel")
        if in_place:  # operand and result share memory: the compiler must not assume otherwise
            anonymous = anonymous.with_attr("tirx.noalias", False)
        known = self.functions.setdefault(int(structural_hash(anonymous)), [])
        for function in known:
            if structural_equal(function.primitive.with_attr("global_symbol", "kernel"), anonymous):
                return function
        symbol = f"{self.module.name}_k_{kernel.name}"
        parameters = tuple((a.c_type, a.written) for a in arguments)
        known.append(Function(symbol, anonymous.with_attr("global_symbol", symbol), parameters))
        self.ordered.append(known[-1])
        return known[-1]


def _all_failures(failures: list[TargetError], target: Target) -> TargetError:
    """Return one error that lists all kernels that have no code."""
    if len(failures) == 1:
        return failures[0]
    lines = [str(failure) for failure in failures]
    message = f"{target} can't compute {len(failures)} operations:\n" + "\n".join(lines)
    return TargetError(message, help="keep them in float (--keep-float), or choose another target")
