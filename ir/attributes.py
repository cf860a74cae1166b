"""Values of an operation's fields: held against the annotations, and brought to plain Python types.

An attribute may be given as a NumPy number or a list; it is kept as `int`, `float`, `bool` or `tuple`, so that
equality, hashing and printing mean the same for every origin. A NaN is no attribute: it would not equal itself.
"""

from __future__ import annotations

import dataclasses
import re
import types
import typing
from collections.abc import Iterable
from typing import Any

import numpy as np

from .errors import IrError, nearest

_MISFIT = object()
_FIELD_TYPES: dict[type, dict[str, Any]] = {}


def field_types(owner: Any) -> dict[str, Any]:
    """Return the annotation of each dataclass field of `owner`, resolved."""
    if owner in _FIELD_TYPES:
        return _FIELD_TYPES[owner]
    try:
        hints = typing.get_type_hints(owner)
    except NameError as error:
        raise IrError(
            f"{owner.__name__}: an annotation can't be resolved: {error}", help="import the name at module level"
        ) from error
    _FIELD_TYPES[owner] = {f.name: hints[f.name] for f in dataclasses.fields(owner)}
    return _FIELD_TYPES[owner]


def normalize_fields(instance: Any, title: str, help: str = "see docs/ir.md") -> None:
    """Bring every field of a frozen dataclass instance to the type that it is annotated with.

    Raises:
        IrError: names the field, its value and the type that it should have.
    """
    for name, hint in field_types(type(instance)).items():
        value = getattr(instance, name)
        plain = _normalized(value, hint)
        if plain is _MISFIT:
            should = type_text(type(instance), name)
            raise IrError(f"{title}: {name} is {_short(value)}, should be {should}", help=help)
        if plain is not value:
            object.__setattr__(instance, name, plain)


def type_text(owner: type, name: str) -> str:
    """Return the annotation of a field as text: `tuple[int, int]`, `ScalarType`, `float | None`."""
    hint = field_types(owner)[name]
    if isinstance(hint, type) and typing.get_origin(hint) is None:
        return hint.__name__
    return re.sub(r"\b[a-z_.]+\.(?=[A-Z])", "", str(hint))


def check_names(title: str, known: Iterable[str], required: Iterable[str], given: Iterable[str]) -> None:
    """Raise IrError for an attribute given that is not known, and for required ones that are missing."""
    names, present = list(known), list(given)
    for name in present:
        if name not in names:
            help = nearest(name, names) if names else f"{title} has no attributes"
            raise IrError(f"{title} has no attribute {name!r}", help=help)
    missing = [name for name in required if name not in present]
    if missing:
        raise IrError(f"{title} needs the attribute {', '.join(missing)}", help=f"attributes: {', '.join(names)}")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _normalized(value: Any, hint: Any) -> Any:
    """Return `value` as `hint` wants it, or _MISFIT."""
    if isinstance(hint, type) and hint in _SCALARS:
        return _SCALARS[hint](value)
    origin = typing.get_origin(hint)
    if origin is typing.Union or origin is types.UnionType:
        found = (_normalized(value, option) for option in typing.get_args(hint))
        return next((plain for plain in found if plain is not _MISFIT), _MISFIT)
    if origin is tuple:
        return _tuple(value, typing.get_args(hint))
    expected = origin or hint
    return value if not isinstance(expected, type) or isinstance(value, expected) else _MISFIT


def _tuple(value: Any, hints: tuple[Any, ...]) -> Any:
    if not isinstance(value, tuple | list):
        return _MISFIT
    each = [hints[0]] * len(value) if hints[-1] is Ellipsis else list(hints)
    if len(each) != len(value):
        return _MISFIT
    items = [_normalized(item, hint) for item, hint in zip(value, each, strict=True)]
    if any(item is _MISFIT for item in items):
        return _MISFIT
    same = isinstance(value, tuple) and all(a is b for a, b in zip(items, value, strict=True))
    return value if same else tuple(items)


def _bool(value: Any) -> Any:
    return bool(value) if isinstance(value, bool | np.bool_) else _MISFIT


def _int(value: Any) -> Any:
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | np.integer):
        return _MISFIT
    return int(value) if -(2**63) <= value < 2**63 else _MISFIT


def _float(value: Any) -> Any:
    if isinstance(value, bool | np.bool_) or not isinstance(value, int | float | np.integer | np.floating):
        return _MISFIT
    if isinstance(value, int | np.integer) and abs(int(value)) >= 2**63:
        return _MISFIT
    plain = float(value)
    return _MISFIT if plain != plain else plain  # a NaN differs from itself


_SCALARS: dict[type, Any] = {
    bool: _bool,
    int: _int,
    float: _float,
    type(None): lambda value: None if value is None else _MISFIT,
}
