"""The frontend of qcc's own text."""

from __future__ import annotations

from pathlib import Path

from qcc.ir import FrontendError, Module, load_module

from .frontend import Shapes


class QirFrontend:
    """Reads `.qir` text, of any stage."""

    name = "qir"
    suffixes = (".qir",)

    def recognizes(self, head: bytes) -> bool:
        """True where the text begins with the word `module`."""
        return head.lstrip().startswith(b"module ")

    def load(self, path: Path, batch: int, shapes: Shapes) -> Module:
        """Return the module, verified; its shapes are fixed, so `batch` and `shapes` must agree with them."""
        module = load_module(path)
        unknown = sorted(set(shapes) - {v.name for v in module.inputs})
        if unknown:
            help = "inputs: " + ", ".join(v.name for v in module.inputs)
            raise FrontendError(f"there is no input {unknown[0]!r} to give a shape", place=str(path), help=help)
        for value in module.inputs:
            asked = tuple(shapes.get(value.name, value.type.shape))
            if asked != value.type.shape or (batch != 1 and value.type.shape[:1] != (batch,)):
                raise FrontendError(
                    f"input {value.name!r} has the fixed shape {list(value.type.shape)}",
                    place=str(path),
                    help="import the original model again with another --batch or --shape",
                )
        return module
