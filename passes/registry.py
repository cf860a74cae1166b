"""Which passes there are: those of qcc, those of installed packages (entry points), those of a file."""

from __future__ import annotations

import importlib.util
import sys
from functools import cache
from pathlib import Path
from typing import TypeVar

from qcc.ir import PassError, c_identifier, nearest

from .base import Pass
from .foreign import foreign_code, loaded_entry_points, raised_at, sentence

ENTRY_POINTS = "qcc.passes"

_REGISTRY: dict[str, type[Pass]] = {}

PassT = TypeVar("PassT", bound=Pass)


def register_pass(pass_class: type[PassT]) -> type[PassT]:
    """Class decorator: make a pass known to pipeline text and to `qcc passes` under its name."""
    name = pass_class.name
    known = _REGISTRY.get(name)
    if not name:
        raise PassError(f"{pass_class.__name__} has no name", help='set `name: ClassVar[str] = "my-pass"`')
    if known is not None and (known.__module__, known.__qualname__) != (pass_class.__module__, pass_class.__qualname__):
        raise PassError(f"two passes are named {name!r}: {known.__module__} and {pass_class.__module__}")
    _REGISTRY[name] = pass_class
    return pass_class


def registered_passes() -> dict[str, type[Pass]]:
    """Return all pass classes by name, those of installed packages included."""
    load_entry_points()
    return dict(sorted(_REGISTRY.items()))


def pass_named(name: str) -> type[Pass]:
    """Return the pass class of that name; a PassError names the nearest."""
    if name not in _REGISTRY:
        load_entry_points()
    if name not in _REGISTRY:
        raise PassError(f"there is no pass {name!r}", help=nearest(name, list(_REGISTRY)))
    return _REGISTRY[name]


@cache
def load_entry_points() -> None:
    """Import the modules that installed packages name in the entry point group `qcc.passes`."""
    for _ in loaded_entry_points(ENTRY_POINTS, "passes", PassError):
        pass  # a module registers its passes while it is loaded


def load_file(path: str | Path) -> dict[str, type[Pass]]:
    """Run a Python file that registers passes (or targets), and return the passes that it registered, by name.

    A PassError says where in the file it failed.
    """
    path = Path(path)
    if not path.is_file():
        raise PassError(f"there is no file {str(path)!r} to load passes from", help="give the path of a Python file")
    name = "qcc_loaded_" + c_identifier(str(path.resolve()))
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise PassError(f"{str(path)!r} is not a Python file", help="its name must end in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up while they are defined

    def as_error(error: BaseException) -> PassError:
        sys.modules.pop(name, None)
        help = "correct the file"
        return PassError(f"{path.name} can't be loaded: {sentence(error)}", place=raised_at(error), help=help)

    with foreign_code(as_error):
        spec.loader.exec_module(module)
    return {key: value for key, value in _REGISTRY.items() if value.__module__ == name}
