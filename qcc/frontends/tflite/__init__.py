"""The importer of TFLite models: `read_model` for a file, `ModelFile` for bytes, `import_model` for the module."""

from .documentation import DOCUMENTATION
from .importer import import_model
from .model_file import ModelFile, read_model
from .ops import IMPORTERS

__all__ = ["DOCUMENTATION", "IMPORTERS", "ModelFile", "import_model", "read_model"]
