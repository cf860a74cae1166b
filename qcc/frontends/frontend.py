"""What a frontend is, which ones there are, and `load`, which chooses by a file's suffix or content.

Other packages add formats by the entry point group `qcc.frontends`; each entry point is a `Frontend` object or class.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

from qcc.ir import FrontendError, Module, UsageError
from qcc.passes import loaded_entry_points

from .model_bytes import read_bytes

ENTRY_POINT_GROUP = "qcc.frontends"

#: Bytes from the start of a file that `Frontend.recognizes` sees.
HEAD_BYTES = 64

Shapes = Mapping[str, Sequence[int]]


class FrontendWarning(UserWarning):
    """A defect of a model file whose meaning is clear, and how it is read."""


@runtime_checkable
class Frontend(Protocol):
    """Reads one model format."""

    @property
    def name(self) -> str:
        """The name of the format, for messages."""
        ...

    @property
    def suffixes(self) -> tuple[str, ...]:
        """The suffixes of its files, lower case with the dot."""
        ...

    def recognizes(self, head: bytes) -> bool:
        """Return True where a file that begins with `head` is surely of this format."""
        ...

    def load(self, path: Path, batch: int, shapes: Shapes) -> Module:
        """Return the module of a file; FrontendError says why it can't be read."""
        ...


# The formats that come with qcc, as "module:class"; imported when first asked for.
_BUILT_IN = {
    "qir": "qcc.frontends.qir:QirFrontend",
    "onnx": "qcc.frontends.onnx_file:OnnxFrontend",
    "tflite": "qcc.frontends.tflite_file:TfliteFrontend",
}
_REGISTERED: dict[str, Frontend] = {}


def register_frontend(frontend: Frontend) -> Frontend:
    """Make a frontend known under its name; a later one of the same name takes the place of an earlier one."""
    _REGISTERED[frontend.name] = frontend
    return frontend


def registered_frontends() -> dict[str, Frontend]:
    """Return all frontends by name: those of qcc, of other packages, and those registered by hand."""
    found = dict(_REGISTERED)
    for place in _BUILT_IN.values():
        module, _, attribute = place.partition(":")
        frontend: Frontend = getattr(importlib.import_module(module), attribute)()
        found.setdefault(frontend.name, frontend)
    for name, loaded in loaded_entry_points(ENTRY_POINT_GROUP, "frontends", FrontendError):
        frontend = loaded() if isinstance(loaded, type) else loaded
        if not isinstance(frontend, Frontend):
            raise FrontendError(
                f"entry point {name!r} of group {ENTRY_POINT_GROUP!r} is not a frontend",
                help="it needs name, suffixes, recognizes and load, as qcc.frontends.Frontend says",
            )
        found.setdefault(frontend.name, frontend)
    return dict(sorted(found.items()))


def frontend_for(path: Path) -> Frontend:
    """Return the frontend for a file: by its suffix, or else by its first bytes."""
    frontends = registered_frontends().values()
    if path.exists() and not path.is_file() and not path.is_dir():
        raise FrontendError("is not a file", place=str(path), help="give the path of a model file")
    head = read_bytes(path, HEAD_BYTES)
    by_content = [f for f in frontends if f.recognizes(head)]
    by_suffix = [f for f in frontends if path.suffix.lower() in f.suffixes]
    if by_suffix and by_content and not set(by_suffix) & set(by_content):
        raise FrontendError(
            f"the suffix says {by_suffix[0].name}, the content is {by_content[0].name}",
            place=str(path),
            help=f"name the file *{by_content[0].suffixes[0]}",
        )
    for frontend in (*by_suffix, *by_content):
        return frontend
    known = ", ".join(f"{s} ({f.name})" for f in frontends for s in f.suffixes)
    raise FrontendError(
        f"no frontend reads files that end in {path.suffix!r}" if path.suffix else "a model file needs a suffix",
        place=str(path),
        help=f"formats: {known}; models of other frameworks are exported to ONNX first",
    )


def load(path: str | Path, batch: int = 1, shapes: Shapes | None = None) -> Module:
    """Return the float module of a model file, or the module in a `.qir` file, verified.

    Args:
        path: the model file; its suffix, or else its content, says which frontend reads it.
        batch: takes the place of a symbolic first dimension of the inputs.
        shapes: whole shapes of inputs, by name, where the model leaves dimensions open.

    Raises:
        FrontendError: the file can't be read, or holds what qcc can't compile; all of that is listed.
        ParseError, VerifyError, UsageError: of `.qir` text, as `qcc.ir.load_module`.
    """
    if batch < 1:
        raise UsageError(f"a batch of {batch} makes no sense", help="--batch takes a number from 1 on")
    path = Path(path)
    return frontend_for(path).load(path, batch, shapes or {})
