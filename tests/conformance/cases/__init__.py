"""All generated single-operation models, by operation."""

from tests.conformance.cases import arithmetic, functions, movement, products  # noqa: F401  # they register families
from tests.conformance.cases.case import FAMILIES, Case, Family

__all__ = ["FAMILIES", "Case", "Family"]
