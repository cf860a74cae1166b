"""Rules of the profiles `tflm` and `litert-ref`: the arithmetic of TFLite's reference kernels."""

from . import arithmetic, codes, functions, norm, products, resizing, softmax, sums, svdf
from .bounds import activation_bounds
from .rescales import of_wide_sums, twice_rounded

__all__ = [
    "activation_bounds",
    "arithmetic",
    "codes",
    "functions",
    "norm",
    "of_wide_sums",
    "products",
    "resizing",
    "softmax",
    "sums",
    "svdf",
    "twice_rounded",
]
