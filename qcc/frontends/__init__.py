"""Frontends: one a model format. `load` picks the one that a file is for."""

from .frontend import (
    Frontend,
    FrontendWarning,
    frontend_for,
    load,
    register_frontend,
    registered_frontends,
)

__all__ = ["Frontend", "FrontendWarning", "frontend_for", "load", "register_frontend", "registered_frontends"]
