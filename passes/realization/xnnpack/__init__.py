"""Rules of the profile `litert-xnn`: the arithmetic of XNNPACK on x86 and, in part, of LiteRT's optimized kernels.

What XNNPACK does not take keeps the rule of `litert-ref`.
"""

from . import arithmetic, codes, functions, products, resizing, softmax, sums
from .bounds import activation_bounds

__all__ = ["activation_bounds", "arithmetic", "codes", "functions", "products", "resizing", "softmax", "sums"]
