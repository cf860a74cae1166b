"""Running an artifact in this process."""

from .library import BoundCall, CompiledModel, load_library

__all__ = ["BoundCall", "CompiledModel", "load_library"]
