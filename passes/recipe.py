"""Recipes: how to quantize, as data that names the passes' options; read from TOML files."""

from __future__ import annotations

import dataclasses
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qcc.ir import PassError, nearest

from .pipeline_text import make_pass


@dataclass(frozen=True)
class WeightScheme:
    """How weights are quantized; None takes what the target's hardware wants.

    Attributes:
        per_channel: one scale an output channel.
        narrow_range: the lowest code is not used.
    """

    per_channel: bool | None = None
    narrow_range: bool | None = None


@dataclass(frozen=True)
class ActivationScheme:
    """How activations are quantized; None takes what the target's hardware wants.

    Attributes:
        storage: bits of a code.
        symmetric: zero points are 0.
        power_of_two: scales are powers of two.
    """

    storage: int | None = None
    symmetric: bool | None = None
    power_of_two: bool | None = None


@dataclass(frozen=True)
class CalibrationScheme:
    """How ranges are observed: the options of the pass `calibrate`."""

    observer: str = "sqnr"
    percentile: float = 99.999
    momentum: float = 0.0


@dataclass(frozen=True)
class KeepFloatScheme:
    """What stays in float: kinds of operations, and regular expressions on the names of values and nodes."""

    ops: tuple[str, ...] = ()
    pattern: tuple[str, ...] = ()


@dataclass(frozen=True)
class Recipe:
    """How to quantize a model.

    A TOML file has the sections `[weights]`, `[activations]`, `[calibration]` and `[keep-float]`, each with the fields
    of the scheme as keys; what it leaves out is as in the recipe `int8`.
    """

    name: str = "int8"
    weights: WeightScheme = field(default_factory=WeightScheme)
    activations: ActivationScheme = field(default_factory=ActivationScheme)
    calibration: CalibrationScheme = field(default_factory=CalibrationScheme)
    keep_float: KeepFloatScheme = field(default_factory=KeepFloatScheme)

    def pass_options(self) -> dict[str, dict[str, Any]]:
        """Return the options that the recipe sets, by pass name."""
        return {
            "calibrate": dataclasses.asdict(self.calibration),
            "nudge-zero-points": _given(self.activations),
            "quantize-weights": _given(self.weights),
        }

    def keep_float_options(self) -> dict[str, Any] | None:
        """Return the options of the pass `keep-float`, None where nothing stays in float."""
        options = {key: value for key, value in dataclasses.asdict(self.keep_float).items() if value}
        return options or None

    @classmethod
    def from_toml(cls, path: str | Path) -> Recipe:
        """Return the recipe in a TOML file; a PassError says which line or key is wrong."""
        path = Path(path)
        try:
            data = tomllib.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            help = "give the path of a TOML file, or one of: " + ", ".join(RECIPES)
            raise PassError(f"the recipe can't be read: {error.strerror}", place=str(path), help=help) from error
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            help = "sections: [weights], [activations], [calibration], [keep-float]"
            raise PassError(f"the recipe is not valid TOML: {error}", place=str(path), help=help) from error
        try:
            return recipe_of(data, path.stem)
        except PassError as error:
            error.place = str(path)
            raise


#: Recipes by name.
RECIPES: dict[str, Recipe] = {
    "int8": Recipe(),
    "int8-min-max": Recipe("int8-min-max", calibration=CalibrationScheme("min-max")),
    "int8-percentile": Recipe("int8-percentile", calibration=CalibrationScheme("percentile")),
    "int8-per-tensor": Recipe("int8-per-tensor", weights=WeightScheme(per_channel=False)),
    "int8-symmetric": Recipe("int8-symmetric", activations=ActivationScheme(symmetric=True)),
}

_SECTIONS: dict[str, type] = {
    "weights": WeightScheme,
    "activations": ActivationScheme,
    "calibration": CalibrationScheme,
    "keep-float": KeepFloatScheme,
}

#: The pass whose options a section's keys are; it checks their types and values.
_PASSES = {
    "weights": "quantize-weights",
    "activations": "nudge-zero-points",
    "calibration": "calibrate",
    "keep-float": "keep-float",
}


def load_recipe(name: str) -> Recipe:
    """Return the recipe of that name, or that of the TOML file `name`; a PassError names the nearest."""
    if name in RECIPES:
        return RECIPES[name]
    if name.endswith(".toml"):
        return Recipe.from_toml(name)
    hint = nearest(name.lower(), [*RECIPES])
    listing = "one of: " + ", ".join(["float (nothing is quantized)", *sorted(RECIPES)]) + "; or give a .toml file"
    help = f"{hint} ({listing})" if hint.startswith("did") else listing
    raise PassError(f"there is no recipe {name!r}", help=help)


def recipe_of(data: dict[str, Any], name: str) -> Recipe:
    """Return the recipe that parsed TOML describes; a PassError names the section or key that is wrong."""
    schemes: dict[str, Any] = {}
    for section, values in data.items():
        if section == "name" and isinstance(values, str):
            name = values
            continue
        if section not in _SECTIONS:
            raise PassError(f"there is no section {section!r} in a recipe", help=nearest(section, [*_SECTIONS]))
        if not isinstance(values, dict):
            raise PassError(f"{section!r} is a section, not a value", help=f"write [{section}] above its keys")
        schemes[section.replace("-", "_")] = _scheme(section, values)
    return Recipe(name, **schemes)


def _scheme(section: str, values: dict[str, Any]) -> Any:
    """Return a section's scheme, its values as the options of its pass take them."""
    scheme = _SECTIONS[section]
    keys = [f.name for f in dataclasses.fields(scheme)]
    options = {}
    for key, value in values.items():
        name = key.replace("-", "_")
        if name not in keys:
            raise PassError(f"section [{section}] has no key {key!r}", help=nearest(name, keys))
        options[name] = tuple(map(str, value)) if isinstance(value, list) else value
    checked = make_pass(_PASSES[section], options)
    return scheme(**{key: getattr(checked, key) for key in options})


def _given(scheme: Any) -> dict[str, Any]:
    return {key: value for key, value in dataclasses.asdict(scheme).items() if value is not None}
