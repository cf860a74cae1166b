"""How each real operation on quantized values becomes integer operations (profile `single`), one file a family."""

from . import arithmetic, functions, movement, products, sums
from .multipliers import capped_multipliers, multipliers, sum_shift
from .realizer import Realizer, Rule, realization_of, realizes

__all__ = [
    "Realizer",
    "Rule",
    "arithmetic",
    "capped_multipliers",
    "functions",
    "movement",
    "multipliers",
    "products",
    "realization_of",
    "realizes",
    "sum_shift",
    "sums",
]
