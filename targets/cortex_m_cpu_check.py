"""How Cortex-M code finds out whether the processor has what it needs: by the identification registers.

Only privileged code can read them; without privileges the code can't tell. Reference: Armv7-M Architecture Reference
Manual, chapters B3.2 and B4; Armv8-M Architecture Reference Manual, chapter D1.2.
"""

from __future__ import annotations

from dataclasses import dataclass

from .cpu_check import CpuCheck

_PRIVILEGES = """\
    uint32_t control, exception;
    __asm__ volatile("mrs %0, control" : "=r"(control));
    __asm__ volatile("mrs %0, ipsr" : "=r"(exception));
    if ((control & 1u) != 0 && exception == 0) {
        return 1; /* a thread without privileges: it can't read what follows */
    }
"""


@dataclass(frozen=True)
class _Field:
    """A field of four bits of a register, and the least that it must be."""

    register: str
    address: int
    shift: int
    least: int

    def refusal(self, meaning: str, unless: str = "") -> str:
        """Return the statement that refuses a processor whose field is less."""
        value = f"(*(const volatile uint32_t *)0x{self.address:X}u >> {self.shift} & 15u)"
        return (
            f"    if ({unless}{value} < {self.least}u) {{ /* {self.register}: {meaning} */\n        return 0;\n    }}\n"
        )


_DSP = _Field("ID_ISAR3", 0xE000ED6C, 4, 3).refusal(
    "the DSP extension; a Cortex-M4 has it", "(*(const volatile uint32_t *)0xE000ED00u >> 4 & 0xFFFu) != 0xC24u && "
)
_MVE = _Field("MVFR1", 0xE000EF44, 8, 1).refusal("Helium")
_MVE_FLOAT = _Field("MVFR1", 0xE000EF44, 8, 2).refusal("Helium in floating point")
_SINGLE = _Field("MVFR0", 0xE000EF40, 4, 2).refusal("single precision")
_DOUBLE = _Field("MVFR0", 0xE000EF40, 8, 2).refusal("double precision")
_FPV5 = _Field("MVFR2", 0xE000EF48, 4, 4).refusal("rounding and selection of FPv5")
_ENABLED = """\
    if ((*(const volatile uint32_t *)0xE000ED88u >> 20 & 5u) != 5u) { /* CPACR: the firmware has not switched them on */
        return 0;
    }
"""


_UNALIGNED = """\
    if ((*(const volatile uint32_t *)0xE000ED14u >> 3 & 1u) != 0) { /* CCR.UNALIGN_TRP: words at odd addresses trap */
        return 0;
    }
"""


@dataclass(frozen=True)
class CortexMCheck:
    """The check for a processor's code.

    Attributes:
        always, floats, doubles: as `CpuCheck` has them.
        vectors: for the machine code's vector instructions, which C source has where its compiler is told so.
    """

    always: str = ""
    vectors: str = ""
    floats: str = ""
    doubles: str = ""

    def of_machine_code(self) -> CpuCheck:
        """Return the check for code that qcc compiles."""
        return CpuCheck(_PRIVILEGES + self.always + self.vectors, self.floats, self.doubles)

    def of_source(self) -> CpuCheck:
        """Return the check for C source: its compiler's flags decide on vectors and floating-point instructions."""
        privileges = f"#if defined(__GNUC__)\n{_PRIVILEGES}#endif\n"
        vectors = f"#if defined(__ARM_FEATURE_MVE)\n{self.vectors}#endif\n" if self.vectors else ""
        floats = f"#if defined(__ARM_FP)\n{self.floats}#endif\n" if self.floats else ""
        doubles = f"#if defined(__ARM_FP) && (__ARM_FP & 8)\n{self.doubles}#endif\n" if self.doubles else ""
        return CpuCheck(privileges + self.always + vectors, floats, doubles)


M4_CHECK = CortexMCheck(always=_DSP + _UNALIGNED, floats=_SINGLE + _ENABLED)
"""The floating-point unit of a Cortex-M4 has no double precision: code for it calls functions for that."""
M7_CHECK = CortexMCheck(always=_DSP + _UNALIGNED, floats=_SINGLE + _FPV5 + _ENABLED, doubles=_DOUBLE)
M55_CHECK = CortexMCheck(
    always=_DSP + _UNALIGNED, vectors=_MVE + _ENABLED, floats=_SINGLE + _FPV5 + _MVE_FLOAT + _ENABLED, doubles=_DOUBLE
)
