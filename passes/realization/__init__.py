"""How each real operation on quantized values becomes integer operations, one file a family of rules."""

from . import arithmetic, functions, movement, ort_elements, ort_products, products, sums, tflite, xnnpack
from .multipliers import multipliers, multipliers_into, sum_shift
from .realizer import Realizer, Rule, profiles_with, realization_of, realizes

__all__ = [
    "Realizer",
    "Rule",
    "arithmetic",
    "multipliers_into",
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
