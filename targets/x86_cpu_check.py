"""How x86-64 code finds out whether the processor has the features that it was compiled for: by CPUID.

In a virtual machine a CPUID instruction takes more than a microsecond, too long for every run of a small model. glibc
(2.33 and later) keeps what the instruction said when the program began, so the code asks that copy where it is linked,
else the processor. Reference: Intel 64 and IA-32 Architectures Software Developer's Manual, volume 2, CPUID; the GNU C
Library manual, Platform-specific facilities, X86.
"""

from __future__ import annotations

from collections.abc import Iterable

from .cpu_check import CpuCheck

_EAX, _EBX, _ECX = range(3)
_BASIC, _EXTENDED, _MORE, _AMD = (0x1, 0, 0), (0x7, 0, 1), (0x7, 1, 6), (0x80000001, 0, 2)
"""Leaves: number, part, and place in glibc's copy."""

_BITS = {
    "fma": (_BASIC, _ECX, 12),
    "sse4_2": (_BASIC, _ECX, 20),
    "movbe": (_BASIC, _ECX, 22),
    "popcnt": (_BASIC, _ECX, 23),
    "osxsave": (_BASIC, _ECX, 27),
    "avx": (_BASIC, _ECX, 28),
    "f16c": (_BASIC, _ECX, 29),
    "bmi1": (_EXTENDED, _EBX, 3),
    "avx2": (_EXTENDED, _EBX, 5),
    "bmi2": (_EXTENDED, _EBX, 8),
    "avx512f": (_EXTENDED, _EBX, 16),
    "avx512dq": (_EXTENDED, _EBX, 17),
    "avx512cd": (_EXTENDED, _EBX, 28),
    "avx512bw": (_EXTENDED, _EBX, 30),
    "avx512vl": (_EXTENDED, _EBX, 31),
    "avx512_vnni": (_EXTENDED, _ECX, 11),
    "avx_vnni": (_MORE, _EAX, 4),
    "abm": (_AMD, _ECX, 5),
}
"""Where CPUID tells of a feature, which is named as in /proc/cpuinfo: leaf, register, bit."""

_ALWAYS = ("sse4_2", "popcnt", "osxsave", "avx")
"""What all vector code needs beside its own features; `osxsave` comes with leaves up to 13, and with XGETBV."""
_YMM, _ZMM = 0x6, 0xE6
"""Bits of XCR0: the operating system keeps the 256-bit registers, and the 512-bit ones."""

_CHECK = """\
    extern const uint32_t *__x86_get_cpuid_feature_leaf(unsigned int) __attribute__((weak)); /* glibc's copy of CPUID */
    static const uint32_t needed[][7] = {{ /* leaf, part, place in that copy; bits of eax, ebx, ecx, edx */
{rows}
    }};
    for (size_t i = 0; i < sizeof needed / sizeof needed[0]; ++i) {{
        uint32_t registers[4];
        const uint32_t *found = registers;
        if (__x86_get_cpuid_feature_leaf != NULL) {{
            found = __x86_get_cpuid_feature_leaf(needed[i][2]);
        }} else {{
            __asm__ volatile("cpuid"
                             : "=a"(registers[0]), "=b"(registers[1]), "=c"(registers[2]), "=d"(registers[3])
                             : "a"(needed[i][0]), "c"(needed[i][1]));
        }}
        for (size_t j = 0; j < 4; ++j) {{
            if ((needed[i][3 + j] & ~found[j]) != 0) {{
                return 0;
            }}
        }}
    }}
    uint32_t enabled, high;
    __asm__ volatile("xgetbv" : "=a"(enabled), "=d"(high) : "c"(0)); /* what the operating system keeps */
    if ((enabled & 0x{state:x}u) != 0x{state:x}u) {{
        return 0;
    }}
"""


def x86_cpu_check(flags: Iterable[str]) -> CpuCheck:
    """Return the check for code that needs features, which are named as in /proc/cpuinfo."""
    names = [*_ALWAYS, *flags]
    rows = []
    for leaf in (_BASIC, _EXTENDED, _MORE, _AMD):  # the first one tells whether there are the others
        own = [name for name in dict.fromkeys(names) if _BITS[name][0] == leaf]
        masks = [sum(1 << _BITS[n][2] for n in own if _BITS[n][1] == register) for register in range(4)]
        numbers = ", ".join(f"0x{number:x}u" for number in (*leaf, *masks))
        if own:
            rows.append(f"        {{{numbers}}}, /* {', '.join(own)} */")
    state = _ZMM if any(name.startswith("avx512") for name in names) else _YMM
    return CpuCheck(_CHECK.format(rows="\n".join(rows), state=state))
