"""The entry functions: NAME_run and NAME_run_within check their arguments and call the kernels in order.

A model with states has NAME_reset too, and its NAME_run takes the states behind the outputs.
"""

from __future__ import annotations

import re

from .c_text import c_type, comment
from .interface import Interface
from .program import Argument, Call, Copy, Place, Program

HIDDEN = '__attribute__((visibility("hidden")))'
"""Marks what is in another object file of the same library, so that it is addressed directly."""


def visible_symbols(interface: Interface) -> tuple[str, ...]:
    """Return the functions of the C API."""
    name = interface.name
    reset = (f"{name}_reset",) if interface.states else ()
    return f"{name}_check_cpu", *reset, f"{name}_run", f"{name}_run_within"


def entry_text(interface: Interface, program: Program, apart: str = "") -> str:
    """Return the definitions of NAME_check_cpu, NAME_run_within and NAME_run.

    Args:
        interface: of the module.
        program: its steps and checks.
        apart: what keeps a function from being inlined. Where it is given the kernels, which are in the same file, are
            called by such a function: a compiler that inlines them into the checks saves registers of the vector unit
            before it is known that there is one.
    """
    return _Writer(interface, program, apart).text()


def prototypes_text(program: Program) -> str:
    """Return declarations of the kernels as functions of another object file."""
    lines = []
    for function in program.functions:
        parameters = [f"{'' if written else 'const '}{kind} *" for kind, written in function.parameters]
        lines.append(f"{HIDDEN} void {function.symbol}({', '.join(parameters)});")
    return "\n".join(lines) + "\n"


def constant_declarations_text(program: Program) -> str:
    """Return declarations of the constants as objects of another object file."""
    lines = [
        f"{HIDDEN} extern const {c_type(constant.array.dtype)} {constant.symbol}[{max(constant.array.size, 1)}];\n"
        for constant in program.constants
    ]
    return "".join(lines)


class _Writer:
    def __init__(self, interface: Interface, program: Program, apart: str) -> None:
        self.interface = interface
        self.program = program
        self.apart = apart
        self.inputs = {p.name: p.identifier for p in interface.inputs}
        self.outputs = {p.name: p.identifier for p in interface.outputs}
        self.states = {p.name: p.identifier for p in interface.states}

    def text(self) -> str:
        """Return the definitions."""
        name = self.program.name
        state, given = (f"{name}_state *state, ", "state, ") if self.states else ("", "")
        signature = f"const {name}_inputs *in, {name}_outputs *out, {state}void *arena"
        within = f"{signature}, size_t arena_bytes"
        steps = self._steps()
        lines = [*self._cpu_check(), *self._reset()]
        if self.apart:
            known = {"in": f"const {name}_inputs *in", "out": f"{name}_outputs *out"}
            known |= {"state": f"{name}_state *state"} if self.states else {}
            known |= {"memory": "uint8_t *memory"} if self._needs_memory() else {}
            used = [argument for argument in known if re.search(rf"\b{argument}\b", "\n".join(steps))]
            parameters = ", ".join(known[argument] for argument in used) or "void"
            lines += [f"{self.apart} static void {name}_kernels({parameters}) {{", *steps, "}", ""]
            steps = [f"    {name}_kernels({', '.join(used)});"]
            steps += ["    (void)memory;"] if "memory" in known and "memory" not in used else []
        lines += [f"static int {name}_checked_run({within}) {{", *self._checks(), *steps]
        lines += [f"    return {name}_OK;", "}"]
        lines += ["", f"int {name}_run_within({within}) {{"]
        lines += [f"    return {name}_checked_run(in, out, {given}arena, arena_bytes);", "}"]
        lines += ["", f"int {name}_run({signature}) {{"]
        lines += [f"    return {name}_checked_run(in, out, {given}arena, {name}_ARENA_BYTES);", "}"]
        return "\n".join(lines) + "\n"

    def _steps(self) -> list[str]:
        """Return the calls of the kernels and the copies, in order."""
        lines = []
        for step in self.program.steps:
            lines.append(f"    {comment(step.comment)}")
            lines += self._call(step) if isinstance(step, Call) else [self._copy(step)]
        return lines

    def _needs_memory(self) -> bool:
        """Return whether a step reads or writes the arena, be it of no bytes: tensors may have no elements."""
        places = (p for step in self.program.steps for p in _places(step))
        return bool(self.program.arena_bytes) or any(p.kind == "arena" for p in places)

    def _cpu_check(self) -> list[str]:
        """Return the definition of NAME_check_cpu."""
        name, check = self.program.name, self.program.cpu_check
        if not check:
            return [f"int {name}_check_cpu(void) {{", f"    return {name}_OK;", "}", ""]
        return [
            f"static int {name}_cpu_is_able(void) {{",
            check.rstrip("\n"),
            "    return 1;",
            "}",
            "",
            f"int {name}_check_cpu(void) {{",
            f"    return {name}_cpu_is_able() ? {name}_OK : {name}_ERROR_CPU;",
            "}",
            "",
        ]

    def _reset(self) -> list[str]:
        """Return the definition of NAME_reset, of a model with states."""
        if not self.states:
            return []
        lines = []
        for port in self.interface.states:
            initial, count = self.program.initial[port.name], port.type.size
            if isinstance(initial, str):
                lines.append(f"    memcpy(state->{port.identifier}, {initial}, {port.bytes});")
            elif count:
                lines.append(f"    for (size_t i = 0; i < {count}; ++i) {{")
                lines += [f"        state->{port.identifier}[i] = {initial};", "    }"]
        name = self.program.name
        return [f"void {name}_reset({name}_state *state) {{", *lines, "}", ""]

    def _checks(self) -> list[str]:
        """Return declarations and the checks of the arguments."""
        name = self.program.name
        pointers = ["in", "out", *(["state"] if self.states else [])]
        members = [f"in->{m}" for m in self.inputs.values()] + [f"out->{m}" for m in self.outputs.values()]
        needed = self._needs_memory()
        lines = ["    uint8_t *const memory = (uint8_t *)arena;"] if needed else []
        for group in (pointers, members):
            tests = " || ".join(f"{pointer} == NULL" for pointer in group)
            lines += [f"    if ({tests}) {{", f"        return {name}_ERROR_NULL_POINTER;", "    }"]
        if self.program.arena_bytes:
            lines += ["    if (memory == NULL) {", f"        return {name}_ERROR_NULL_POINTER;", "    }"]
            lines += [f"    if ((uintptr_t)arena % {name}_ARENA_ALIGNMENT != 0) {{"]
            lines += [f"        return {name}_ERROR_ARENA_ALIGNMENT;", "    }"]
            lines += [
                f"    if (arena_bytes < {name}_ARENA_BYTES) {{",
                f"        return {name}_ERROR_ARENA_SIZE;",
                "    }",
            ]
        else:
            lines += ["    (void)arena_bytes;"] if needed else ["    (void)arena;", "    (void)arena_bytes;"]
        wide = [f"in->{p.identifier}" for p in self.interface.inputs if p.dtype.itemsize > 1]
        wide += [f"out->{p.identifier}" for p in self.interface.outputs if p.dtype.itemsize > 1]
        wide += [f"state->{p.identifier}" for p in self.interface.states[:1] if p.dtype.itemsize > 1]  # the widest
        if wide:
            tests = " || ".join(f"(uintptr_t){pointer} % sizeof *{pointer} != 0" for pointer in wide)
            lines += [f"    if ({tests}) {{", f"        return {name}_ERROR_BUFFER_ALIGNMENT;", "    }"]
        if self.program.cpu_check:
            lines += [f"    if (!{name}_cpu_is_able()) {{", f"        return {name}_ERROR_CPU;", "    }"]
        return lines

    def _call(self, call: Call) -> list[str]:
        texts = [self._pointer(a) for a in call.arguments]
        flat = f"    {call.symbol}({', '.join(texts)});"
        if len(flat) <= 116:
            return [flat]
        return [f"    {call.symbol}(", *(f"        {t}," for t in texts[:-1]), f"        {texts[-1]});"]

    def _copy(self, copy: Copy) -> str:
        return f"    memcpy({self._place(copy.destination)}, {self._place(copy.source)}, {copy.bytes});"

    def _pointer(self, argument: Argument) -> str:
        text = self._place(argument.place)
        qualifier = "" if argument.written else "const "
        return text if argument.place.kind != "arena" else f"({qualifier}{argument.c_type} *)({text})"

    def _place(self, place: Place) -> str:
        if place.kind == "arena":
            return f"memory + {place.key}" if self.program.arena_bytes else "memory"
        if place.kind == "constant":
            return str(place.key)
        if place.kind == "state":
            return f"state->{self.states[str(place.key)]}"
        return f"in->{self.inputs[str(place.key)]}" if place.kind == "input" else f"out->{self.outputs[str(place.key)]}"


def _places(step: Call | Copy) -> list[Place]:
    """Return the memory that a step reads and writes."""
    return [a.place for a in step.arguments] if isinstance(step, Call) else [step.source, step.destination]
