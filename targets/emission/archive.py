"""Static libraries: an `ar` archive of one object with its symbol index, the same bytes everywhere (GNU's form)."""

from __future__ import annotations

import struct
from collections.abc import Sequence


def archive(name: str, data: bytes, symbols: Sequence[str]) -> bytes:
    """Return the archive of one object file `name` that defines `symbols`."""
    names = b"".join(symbol.encode() + b"\0" for symbol in symbols)
    index_size = 4 + 4 * len(symbols) + len(names)
    long_names = f"{name}/\n".encode()
    long_names += b"\n" * (len(long_names) % 2)
    place = 8 + 60 + index_size + index_size % 2 + 60 + len(long_names)
    index = struct.pack(f">I{len(symbols)}I", len(symbols), *[place] * len(symbols)) + names
    return b"!<arch>\n" + _member("/", index) + _member("//", long_names) + _member("/0", data)


def _member(name: str, data: bytes) -> bytes:
    """Header and padded contents; date, owner and group are 0."""
    header = f"{name:<16}{0:<12}{0:<6}{0:<6}{'644':<8}{len(data):<10}`\n"
    return header.encode() + data + b"\n" * (len(data) % 2)
