"""The default pipeline, as data: which passes run, in which order, in each part of a compilation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import Enum
from typing import Any

from .pipeline_text import Pipeline, make_pass


class Part(Enum):
    """A part of a compilation: what a float module becomes.

    ABSORB is for one whose quantization is operations; SHARED_CODES comes first in the profile `ort-default`.
    """

    SHARED_CODES = "shared-codes"
    FLOAT = "float"
    ABSORB = "absorb"
    QUANTIZE = "quantize"
    TARGET = "target"


#: The passes of each part. Those of `Part.TARGET` are registered by `qcc.targets`.
DEFAULT_PASSES: dict[Part, tuple[str, ...]] = {
    Part.FLOAT: (
        "canonicalize",
        "fold-constants",
        "legalize-layout",
        "fold-batch-norm",
        "fuse-activation",
        "canonicalize",
        "eliminate-dead-code",
    ),
    Part.ABSORB: (
        "absorb-quantization",
        "fold-constants",
        "legalize-layout",
        "canonicalize",
        "eliminate-dead-code",
    ),
    Part.SHARED_CODES: ("keep-shared-codes",),
    Part.QUANTIZE: (
        "calibrate",
        "propagate-ranges",
        "nudge-zero-points",
        "quantize-weights",
        "insert-rescale",
        "fuse-tables",
        "prove-accumulators",
    ),
    Part.TARGET: (
        "fuse-epilogue",
        "legalize-for-target",
        "pack-weights",
        "plan-memory",
    ),
}

#: `keep-float` runs behind the first of these, where functions written out have their names, and nothing is fused yet.
KEEP_FLOAT_BEHIND = "canonicalize"


def default_pipeline(
    parts: Iterable[Part] = (Part.FLOAT, Part.QUANTIZE, Part.TARGET),
    options: Mapping[str, Mapping[str, Any]] | None = None,
    keep_float: Mapping[str, Any] | None = None,
) -> Pipeline:
    """Return the default pipeline.

    Args:
        parts: which parts of it.
        options: options by pass name, as a recipe gives them; they go to every run of that pass.
        keep_float: options of `keep-float`, where the user keeps anything in float.
    """
    found = Pipeline()
    given = options or {}
    for part in parts:
        for name in DEFAULT_PASSES[part]:
            found.append(make_pass(name, dict(given.get(name, {}))))
            first = [p.name for p in found].count(KEEP_FLOAT_BEHIND) == 1
            if keep_float and name == KEEP_FLOAT_BEHIND and first:
                found.append(make_pass("keep-float", dict(keep_float)))
    return found
