"""How each real operation on quantized values becomes integer operations, one file a family of rules."""

from . import arithmetic, functions, movement, ort_elements, ort_products, products, sums, tflite, xnnpack
from .multipliers import capped_multipliers, multipliers, sum_shift
from .realizer import Realizer, Rule, profiles_with, realization_of, realizes

__all__ = [
    "Realizer",
    "Rule",
    "arithmetic",
    "capped_multipliers",
    "functions",
    "movement",
    "multipliers",
    "ort_elements",
    "ort_products",
    "profiles_with",
    "products",
    "realization_of",
    "realizes",
    "sum_shift",
    "sums",
    "tflite",
    "xnnpack",
]
