"""What a target is: data. A triple, features and a cpu, and what passes and code generation need to know of them."""

from __future__ import annotations

import importlib
import platform
import re
import sys
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from qcc.ir import TargetError, nearest
from qcc.passes import HardwareSpec

from .cpu_check import CpuCheck
from .cross import Emulator, LinkRecipe

NATIVE = "native"
"""The name of the target that is the host."""


@dataclass(frozen=True)
class Target:
    """A chip to compile for.

    Attributes:
        triple: as LLVM writes it, or `c`.
        features: what the chip has beyond the triple's baseline, as written in a target text.
        cpu: a processor's name, empty where only the features count.
        family: name of the family that it belongs to.
        llvm: the entries of TVM's target dictionary; `kind` is `c` or `llvm`.
        table: `module:name` of the table of vector instructions that the loop nests use; empty: scalar nests only.
        cpu_flags: what the processor must have, as /proc/cpuinfo names it; empty where any will do.
        machine: `platform.machine()` of hosts that run the code; empty where any host with a C compiler does.
        hardware: what the integer unit wants of a quantized model.
        alignment: bytes to which tensors in the arena and constants are aligned; a power of two.
        link: how code is compiled and linked for a chip that is not the host's; None: the host's tools do it.
        baseline: what selects the weakest processor of the family in the host's C compiler, for the entry functions of
            a target without a link recipe.
        emulator: what runs it on another machine; None where nothing does.
        cpu_check: how the code itself finds out whether the processor can run it; empty: it does not.
    """

    triple: str
    features: tuple[str, ...] = ()
    cpu: str = ""
    family: str = ""
    llvm: tuple[tuple[str, str | int | tuple[str, ...]], ...] = (("kind", "c"),)
    table: str = ""
    cpu_flags: tuple[str, ...] = ()
    machine: str = ""
    hardware: HardwareSpec = field(default_factory=HardwareSpec)
    alignment: int = 16
    link: LinkRecipe | None = None
    baseline: tuple[str, ...] = ()
    emulator: Emulator | None = None
    cpu_check: CpuCheck = field(default_factory=CpuCheck)

    def __str__(self) -> str:
        """The text that parses back to this target: `TRIPLE[+FEATURE…][@CPU]`."""
        return self.triple + "".join(f"+{f}" for f in self.features) + (f"@{self.cpu}" if self.cpu else "")

    @staticmethod
    def parse(text: str, cpu: str = "") -> Target:
        """Return the target that `text` names: `c`, `native`, or `TRIPLE[+FEATURE…][@CPU]`.

        `cpu` is a processor given beside it. A TargetError names the nearest triple, feature or cpu, and lists all.
        """
        from .registry import families, family_of

        text = with_cpu(text, cpu)
        if text.strip() == NATIVE:
            return native_target()
        rest, at, cpu = text.strip().partition("@")
        if at and not cpu:
            help = "name one, or leave the @ away"
            raise TargetError("no processor behind the @", place=f"target {text!r}", help=help)
        triple, *features = rest.split("+")
        family = family_of(triple)
        if triple == NATIVE:
            help = "leave them away: native finds the host's features itself; or name a triple, see `qcc targets`"
            raise TargetError("native takes no features and no cpu", place=f"target {text!r}", help=help)
        if family is None:
            triples = [t for f in families().values() for t in f.triples]
            raise _unknown("triple", triple, [*triples, NATIVE], text)
        for feature in features:
            if feature not in family.features:
                raise _unknown("feature", feature, list(family.features), text)
        if cpu and cpu not in family.cpus_of(triple):
            raise _unknown_cpu(cpu, family.cpus_of(triple), text)
        return family.target(triple, tuple(dict.fromkeys(features)), cpu)

    @property
    def emits_c(self) -> bool:
        """True where the artifact is C source, False where it is machine code."""
        return dict(self.llvm)["kind"] == "c"

    def tvm_target(self) -> dict[str, Any]:
        """Return TVM's target dictionary."""
        return {key: list(value) if isinstance(value, tuple) else value for key, value in self.llvm}

    @property
    def instructions(self) -> Any:
        """The table of vector instructions (`VectorLevel`), None where only scalar nests are used.

        Loads the code generator.
        """
        if not self.table:
            return None
        module, _, name = self.table.partition(":")
        return getattr(importlib.import_module(module), name)

    def missing_on_host(self) -> tuple[str, ...]:
        """Return what this host lacks to run the code; empty if nothing."""
        return missing_on_host(self.machine, self.cpu_flags)


@dataclass(frozen=True)
class TargetFamily:
    """Targets of one kind; one file each, registered by `register_family`.

    Attributes:
        name: of the family.
        summary: one line for `qcc targets`.
        triples: the triples that belong to it.
        features: what may follow a triple, with one line each.
        cpus: names that may follow `@`, each with the features that it stands for.
        c_feature: the feature that stands for C source instead of machine code; empty where there is none.
    """

    name: str
    summary: str
    triples: tuple[str, ...]
    features: dict[str, str] = field(default_factory=dict)
    cpus: dict[str, tuple[str, ...]] = field(default_factory=dict)
    c_feature: str = ""

    def target(self, triple: str, features: tuple[str, ...], cpu: str) -> Target:
        """Return the target for a triple, features and a cpu, all of them known to the family."""
        raise TargetError(f"family {self.name} makes no targets", help="define target(self, triple, features, cpu)")

    def cpus_of(self, triple: str) -> tuple[str, ...]:
        """Return the processors of a triple of the family, by default all of the family."""
        return tuple(self.cpus)

    def triples_with(self, cpu: str) -> tuple[str, ...]:
        """Return the triples of the family that have a processor."""
        return tuple(triple for triple in self.triples if cpu in self.cpus_of(triple))

    def refuse(self, triple: str, features: tuple[str, ...], allowed: tuple[str, ...]) -> None:
        """Raise a TargetError for a feature of the family that this triple of it does not have."""
        text = triple + "".join(f"+{feature}" for feature in features)
        for feature in features:
            if feature not in allowed:
                raise _unknown("feature", feature, list(allowed), text)

    def cpu_has(self, cpu: str, feature: str) -> bool:
        """Return whether a processor of the family has a feature; by default features are ordered, weakest first."""
        order = list(self.features)
        return order.index(feature) <= max(order.index(name) for name in self.cpus[cpu])

    def refuse_beyond_cpu(self, triple: str, features: tuple[str, ...], cpu: str) -> None:
        """Raise a TargetError for a feature that the cpu has not."""
        for feature in features:
            if cpu and not self.cpu_has(cpu, feature):
                text = triple + "".join(f"+{name}" for name in features) + f"@{cpu}"
                help = f"leave +{feature} or the processor away, or name another one"
                raise TargetError(f"the processor {cpu!r} has no {feature!r}", place=f"target {text!r}", help=help)

    def native(self) -> Target | None:
        """Return the best target of the family for this host, None if the host does not belong to it."""
        return None


def with_cpu(text: str, cpu: str) -> str:
    """Return the target text with a processor that was given beside it; a TargetError if it names another.

    `TRIPLE -mcpu=CPU` in one text is `TRIPLE@CPU`.
    """
    text = re.sub(r"^\s*([^\s@]+)\s+-mcpu=(\S+)\s*$", r"\1@\2", text)
    own = text.strip().partition("@")[2]
    if not cpu or cpu == own:
        return text
    if own:
        message = f"the target names the processor {own!r}, beside it {cpu!r} is given"
        raise TargetError(message, place=f"target {text!r}", help="give one of them")
    return f"{text.strip()}@{cpu}"


def with_emission(text: str, emit: str | None) -> str:
    """Return the target text for code of a form, `c` or `library`; a TargetError if the target has no such code.

    None leaves the form to the target.
    """
    from .registry import families

    target = Target.parse(text)
    if emit is None or target.emits_c == (emit == "c"):
        return text
    family = families()[target.family]
    if emit == "library":
        message, help = f"{target} is C source", "leave --emit away, or name a processor: see `qcc targets`"
        raise TargetError(message, place="--emit library", help=help)
    if not family.c_feature:
        help = "use --target c for portable C99, or a Cortex-M target for C with intrinsics"
        raise TargetError(f"there is no C source for {target}, only machine code", place="--emit c", help=help)
    rest, at, cpu = text.strip().partition("@")
    return f"{rest}+{family.c_feature}{at}{cpu}"


def native_target() -> Target:
    """Return the best target for this host, by its processor's features; a TargetError if no family knows it."""
    from .registry import families

    for family in families().values():
        found = family.native()
        if found is not None:
            return found
    raise TargetError(
        f"no target makes machine code for this host ({platform.machine()}, {sys.platform})",
        help="use the target c, which any C99 compiler takes",
    )


@cache
def host_cpu_flags() -> frozenset[str]:
    """Return the features of the host's processor as /proc/cpuinfo names them; empty where there is no such file."""
    path = Path("/proc/cpuinfo")
    if not path.exists():
        return frozenset()
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        if line.startswith(("flags", "Features")):
            return frozenset(line.partition(":")[2].split())
    return frozenset()


def missing_on_host(machine: str, cpu_flags: tuple[str, ...]) -> tuple[str, ...]:
    """Return what this host lacks of a machine and of features of its processor; empty if nothing.

    An empty machine stands for any host.
    """
    if machine and (platform.machine() != machine or sys.platform != "linux"):
        return (f"a {machine} processor under Linux",)
    return missing_cpu_flags(cpu_flags)


def missing_cpu_flags(needed: tuple[str, ...]) -> tuple[str, ...]:
    """Return those of the `needed` processor features that the host lacks."""
    return tuple(flag for flag in needed if flag not in host_cpu_flags())


def _unknown(what: str, name: str, known: list[str], text: str) -> TargetError:
    """Return the error for an unknown part of a target text, with the nearest name and the whole list."""
    listing = f"known {what}s: " + ", ".join(known) if known else f"this triple takes no {what}s"
    hint = nearest(name, [k for k in known if what != "triple" or k.startswith(name[:3])])
    help = f"{hint} ({listing})" if hint.startswith("did") else listing
    return TargetError(f"there is no {what} {name!r}", place=f"target {text!r}", help=help)


def _unknown_cpu(cpu: str, known: tuple[str, ...], text: str) -> TargetError:
    """Return the error for a processor that the triple has not, with the triple that has it, or the nearest name."""
    from .registry import families

    having = [f"{family.triples_with(cpu)[0]}@{cpu}" for family in families().values() if family.triples_with(cpu)]
    if not having:
        return _unknown("cpu", cpu, list(known), text)
    listing = f"this triple's: {', '.join(known)}" if known else "this triple takes no cpus"
    help = f"did you mean {' or '.join(map(repr, having))}? ({listing})"
    return TargetError(f"this triple has no cpu {cpu!r}", place=f"target {text!r}", help=help)
