"""The frontend of ONNX files; the importer and the onnx package are loaded when a file is."""

from __future__ import annotations

from pathlib import Path

from qcc.ir import Module

from .frontend import Shapes


class OnnxFrontend:
    """Reads ONNX models, external data beside them included."""

    name = "onnx"
    suffixes = (".onnx",)

    def recognizes(self, head: bytes) -> bool:
        """True where the bytes begin like a model: field 1 is a small IR version, field 2, 7 or 8 follows."""
        return len(head) > 3 and head[0] == 0x08 and 3 <= head[1] < 64 and head[2] in (0x12, 0x3A, 0x42)

    def load(self, path: Path, batch: int, shapes: Shapes) -> Module:
        """Return the float module of a model file."""
        from .onnx import import_model
        from .onnx.reading import read_model

        return import_model(read_model(path), path.name, batch, shapes, path.parent)
