"""Running an artifact: in this process, or by an emulator."""

from .library import BoundCall, CompiledModel, load_library
from .model import load_model

__all__ = ["BoundCall", "CompiledModel", "load_library", "load_model"]
