"""Arithmetic profiles: whose rounding, and in which precision multipliers are formed. Data, and who inherits whom."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from qcc.ir import F32, F64, PassError, ScalarType, nearest

from .hardware import HardwareSpec

COMMON = "common"
"""The profile name of rules that belong to every profile, because they only move codes."""

SINGLE = "single"
"""The name of qcc's own profile."""

ORT_DEFAULT = "ort-default"
"""The name of the profile whose integer and float layers are those of ONNX Runtime's default session."""


@dataclass(frozen=True)
class ArithmeticProfile:
    """A named arithmetic: the bits of one implementation.

    Attributes:
        name: as in `--arithmetic NAME`, the option of `insert-rescale`, and the module attribute `arithmetic`.
        summary: one line for users.
        base: the profile whose rules it takes where it has none of its own; empty for none.
        floats: IEEE types in which the target must compute exactly as the standard says.
    """

    name: str
    summary: str
    base: str = ""
    floats: tuple[ScalarType, ...] = ()


_PROFILES: dict[str, ArithmeticProfile] = {}


def register_profile(profile: ArithmeticProfile) -> ArithmeticProfile:
    """Make a profile known; one of the same name is an error."""
    if not profile.name or profile.name == COMMON or profile.name in _PROFILES:
        raise PassError(f"profile name {profile.name!r} is empty or taken")
    if profile.base:
        profile_named(profile.base)
    _PROFILES[profile.name] = profile
    return profile


def registered_profiles() -> dict[str, ArithmeticProfile]:
    """Return all profiles by name, in order of registration."""
    return dict(_PROFILES)


def profile_named(name: str) -> ArithmeticProfile:
    """Return the profile of that name; a PassError names the nearest and lists all."""
    if name in _PROFILES:
        return _PROFILES[name]
    hint = nearest(name, list(_PROFILES))
    listing = "profiles: " + ", ".join(_PROFILES)
    help = f"{hint} ({listing})" if hint.startswith("did") else listing
    raise PassError(f"there is no arithmetic profile {name!r}", help=help)


def lineage(name: str) -> Iterator[str]:
    """Yield the names under which rules for a profile are looked for: its own, those of its bases, the common ones."""
    while name:
        yield name
        name = profile_named(name).base
    yield COMMON


def check_floats(profile: ArithmeticProfile, hardware: HardwareSpec, target: object = None) -> None:
    """Raise PassError where the target does not compute in the IEEE types that the profile needs."""
    missing = [str(f) for f in profile.floats if f not in hardware.ieee_floats]
    if not missing:
        return
    fitting = [p.name for p in _PROFILES.values() if all(f in hardware.ieee_floats for f in p.floats)]
    place = "the target" if target is None else str(target)
    message = f"profile {profile.name!r} needs IEEE {' and '.join(missing)}, which {place} does not have"
    raise PassError(message, help=f"give one of --arithmetic {', '.join(fitting)}, whose bits will differ")


register_profile(ArithmeticProfile(SINGLE, "qcc's own: every result rounded once, ties toward +∞, integers only"))
register_profile(ArithmeticProfile("tflm", "TFLite Micro and CMSIS-NN: two roundings, integers only"))
register_profile(
    ArithmeticProfile("litert-ref", "the reference kernels of the LiteRT interpreter", base="tflm", floats=(F64,))
)
register_profile(
    ArithmeticProfile(
        "litert-xnn",
        "the LiteRT interpreter as it runs by default: XNNPACK, its other kernels where XNNPACK has none",
        base="litert-ref",
        floats=(F32, F64),
    )
)
register_profile(ArithmeticProfile("ort", "ONNX Runtime's quantized kernels on x86", floats=(F32,)))
register_profile(
    ArithmeticProfile(
        ORT_DEFAULT,
        "ONNX Runtime's default session on x86 with VNNI, one thread: int8 that is read twice in binary32",
        base="ort",
        floats=(F32,),
    )
)
