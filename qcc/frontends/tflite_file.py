"""The frontend of TFLite files; the importer is loaded when a file is."""

from __future__ import annotations

from pathlib import Path

from qcc.ir import Module

from .frontend import Shapes


class TfliteFrontend:
    """Reads TensorFlow Lite (LiteRT) models, float and quantized."""

    name = "tflite"
    suffixes = (".tflite",)

    def recognizes(self, head: bytes) -> bool:
        """True where the bytes 4 to 8 are the identifier of the format."""
        return head[4:8] == b"TFL3"

    def load(self, path: Path, batch: int, shapes: Shapes) -> Module:
        """Return the module of a model file."""
        from .tflite import import_model, read_model

        return import_model(read_model(path), path.name, batch, shapes)
