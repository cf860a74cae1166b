"""Passes: one file each, and the manager that runs them."""

if __name__ != "qcc.passes":
    raise ImportError(f"import qcc.passes, not {__name__}: a second copy of its classes would not equal the first")

from .absorb_quantization import AbsorbQuantization
from .base import Calibration, Pass, PassContext, Progress, Remark
from .calibrate import Calibrate
from .canonicalize import Canonicalize
from .eliminate_dead_code import EliminateDeadCode
from .fold_batch_norm import FoldBatchNorm
from .fold_constants import FoldConstants
from .foreign import loaded_entry_points
from .fuse_activation import FuseActivation
from .fuse_tables import FuseTables
from .hardware import HardwareSpec
from .insert_rescale import ARITHMETIC, InsertRescale
from .intervals import Interval, interval_of
from .keep_float import KeepFloat
from .keep_shared_codes import KeepSharedCodes
from .legalize_layout import LegalizeLayout
from .manager import ALL, PassManager, Timing, check_stages, reproducer_text
from .nudge_zero_points import NudgeZeroPoints
from .operands import KEEP_FLOAT, KERNEL, POWERS_OF_TWO, UNDELEGATED
from .pipeline import DEFAULT_PASSES, Part, default_pipeline
from .pipeline_text import Pipeline, make_pass, parse_pipeline, pipeline_text, type_text
from .profiles import COMMON, ORT_DEFAULT, ArithmeticProfile, profile_named, register_profile, registered_profiles
from .propagate_ranges import PropagateRanges
from .prove_accumulators import ProveAccumulators
from .quantize_weights import QuantizeWeights
from .realization import Realizer, realizes
from .recipe import RECIPES, ActivationScheme, CalibrationScheme, KeepFloatScheme, Recipe, WeightScheme, load_recipe
from .registry import ENTRY_POINTS, load_file, pass_named, register_pass, registered_passes

__all__ = [  # by topic
    # what a pass is
    "Calibration",
    "HardwareSpec",
    "Pass",
    "PassContext",
    "Progress",
    "Remark",
    # the passes
    "Canonicalize",
    "EliminateDeadCode",
    "Calibrate",
    "PropagateRanges",
    "AbsorbQuantization",
    "NudgeZeroPoints",
    "QuantizeWeights",
    "InsertRescale",
    "FuseTables",
    "ProveAccumulators",
    "FoldBatchNorm",
    "FoldConstants",
    "FuseActivation",
    "KeepFloat",
    "KeepSharedCodes",
    "LegalizeLayout",
    # which there are
    "ENTRY_POINTS",
    "load_file",
    "loaded_entry_points",
    "pass_named",
    "register_pass",
    "registered_passes",
    # bounds of integer values
    "Interval",
    "interval_of",
    # arithmetic profiles
    "ARITHMETIC",
    "COMMON",
    "ORT_DEFAULT",
    "ArithmeticProfile",
    "profile_named",
    "register_profile",
    "registered_profiles",
    # integer forms of operations
    "Realizer",
    "realizes",
    # recipes
    "RECIPES",
    "ActivationScheme",
    "CalibrationScheme",
    "KeepFloatScheme",
    "Recipe",
    "WeightScheme",
    "load_recipe",
    # pipelines
    "ALL",
    "DEFAULT_PASSES",
    "KEEP_FLOAT",
    "KERNEL",
    "POWERS_OF_TWO",
    "UNDELEGATED",
    "Part",
    "PassManager",
    "Pipeline",
    "Timing",
    "check_stages",
    "default_pipeline",
    "make_pass",
    "parse_pipeline",
    "pipeline_text",
    "reproducer_text",
    "type_text",
]
