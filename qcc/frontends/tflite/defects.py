"""Defects of a file whose meaning is clear: collected over the model, told once each."""

from __future__ import annotations

import warnings

from ..frontend import FrontendWarning

#: How many places one warning names.
LISTED = 4


class Defects:
    """The defects met so far, by reason."""

    def __init__(self) -> None:
        self._places: dict[str, list[str]] = {}

    def add(self, place: str, reason: str) -> None:
        """Record that something is wrong with a place, and how it is read."""
        self._places.setdefault(reason, []).append(place)

    def tell(self, file: str) -> None:
        """Issue one `FrontendWarning` for each reason."""
        for reason, places in self._places.items():
            names = list(dict.fromkeys(places))
            more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
            warnings.warn(f"{file}: {', '.join(names[:LISTED])}{more}: {reason}", FrontendWarning, stacklevel=2)
