"""The instructions of a library's entry functions, which must be those of the weakest processor of its family."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

Instruction = tuple[int, str, str]
"""Bytes, mnemonic, operands."""

_LINE = re.compile(r"^ *[0-9a-f]+:\s+((?:[0-9a-f]{2} )*[0-9a-f]{2})\s*\t(\S+)\s*([^\n]*)$")


def entry_instructions(library: Path, name: str, objdump: str) -> list[Instruction]:
    """Return the instructions of all functions of a module's library but its kernels."""
    text = subprocess.run([objdump, "-d", str(library)], capture_output=True, text=True, check=True).stdout
    found: list[Instruction] = []
    functions = []
    for block in re.split(r"\n\n", text):
        head = re.match(r"[0-9a-f]+ <(\w+)>:", block.lstrip("\n"))
        if head is None or not head[1].startswith(f"{name}_") or head[1].startswith(f"{name}_k_"):
            continue
        functions.append(head[1])
        for line in block.splitlines():
            parsed = _LINE.match(line)
            if parsed is not None:
                found.append((len(parsed[1].replace(" ", "")) // 2, parsed[2], parsed[3]))
    assert {f"{name}_run", f"{name}_run_within", f"{name}_check_cpu"} <= set(functions)
    return found


_THUMB_32 = {"bl", "mrs", "msr", "dmb", "dsb", "isb"}
"""The instructions of four bytes that Armv6-M has (Armv6-M Architecture Reference Manual, chapter A5.3)."""
_AARCH64 = re.compile(
    r"(add|sub|and|orr|orn|eor|bic)s?|adrp?|mov[knz]?|mvn|neg|nop|lsl|lsr|asr|ldr[bhs]?\w?|ldur|ldp|str[bh]?|stur|stp"
    r"|b(\.\w\w)?|bl|blr|br|ret|cbn?z|tbn?z|cmp|cmn|ccmp|ccmn|tst|cs\w+|cinc|cinv|cneg|[su]xt[bhw]|[su]bfi?[xz]?"
)
"""Integer instructions of Armv8.0-A."""
_NEWER_X86 = re.compile(
    r"v.*|(andn|bextr|blsi|blsmsk|blsr|bzhi|mulx|pdep|pext|rorx|sarx|shlx|shrx|[lt]zcnt|popcnt|movbe|crc32|ad[co]x)[lqw]?"
)
"""Vector instructions of AVX and later, and those of general registers that the first x86-64 processors lack."""


def beyond_baseline(target: str, instructions: list[Instruction]) -> list[Instruction]:
    """Return those that the weakest processor of the target's family has not."""
    rules: dict[str, Callable[[Instruction], bool]] = {
        "thumb": lambda i: (i[0] == 4 and i[1] not in _THUMB_32) or i[1].startswith(("cb", "it")),
        "armv7": lambda i: i[1].startswith("v") or i[1].startswith(("sdiv", "udiv")),
        "aarch64": lambda i: _AARCH64.fullmatch(i[1]) is None,
        "x86_64": lambda i: _NEWER_X86.fullmatch(i[1]) is not None,
        "hexagon": lambda i: bool(re.search(r"\bv\d|\bvmem|<unknown>", i[1] + i[2])),
    }
    rule = next(rule for beginning, rule in rules.items() if target.startswith(beginning))
    return [i for i in instructions if rule(i) and not i[1].startswith(".")]
