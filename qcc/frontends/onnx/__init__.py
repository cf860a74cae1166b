"""The importer of ONNX models: `import_model` for a model in memory, `read_model` for the bytes of a file."""

from .importer import import_model
from .ops import IMPORTERS
from .reading import parse_model, read_model

__all__ = ["IMPORTERS", "import_model", "parse_model", "read_model"]
