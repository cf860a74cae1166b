"""The operations, one class each; `qcc ops` lists them."""

from ..float_rounding import fused_multiply_add
from .constant import Constant, Dequantize, Quantize, Requantize, StorageCast
from .convolution import Conv2d, ConvTranspose2d, SlidingWindow, window_positions
from .elementwise import Add, Binary, Clamp, Div, Maximum, Minimum, Mul, Pow, Sub
from .float_arithmetic import AvgPoolFloat, SumFloat
from .interpolation import Interpolate
from .kernel_softmax import SoftmaxFixedPoint, SoftmaxFloatTable, SoftmaxInterpolated
from .l2_normalization import LONGEST_NORM, L2Normalize, L2NormalizeFixedPoint
from .linear import Matmul
from .movement import Broadcast, Concat, Gather, Movement, Pad, Reshape, Slice, Split, Transpose
from .normalization import BatchNorm, Prelu
from .pool import AvgPool2d, MaxPool2d, Pool, SumPool2d
from .reduction import ArgMax, ReduceMax, ReduceMean, ReduceMin, ReduceSum, Reduction
from .rescaling import LARGEST_SHIFT, Cast, Rescale, RescaleFloat, Table
from .resize import WEIGHT_BITS, Resize
from .sigmoid import SigmoidFixedPoint, SigmoidInterpolated
from .softmax import Softmax, SoftmaxTable
from .svdf import Svdf
from .unary import (
    Abs,
    Elu,
    Erf,
    Exp,
    Gelu,
    HardSigmoid,
    HardSwish,
    LeakyRelu,
    Log,
    Neg,
    Reciprocal,
    Round,
    Sigmoid,
    Silu,
    Sqrt,
    Tanh,
    Unary,
)

__all__ = [
    "LONGEST_NORM",
    "SoftmaxInterpolated",
    "SoftmaxFloatTable",
    "SoftmaxFixedPoint",
    "SigmoidInterpolated",
    "SigmoidFixedPoint",
    "L2NormalizeFixedPoint",
    "Interpolate",
    "LARGEST_SHIFT",
    "WEIGHT_BITS",
    "Abs",
    "Add",
    "ArgMax",
    "AvgPool2d",
    "AvgPoolFloat",
    "BatchNorm",
    "Binary",
    "Broadcast",
    "Cast",
    "Clamp",
    "Concat",
    "Constant",
    "Conv2d",
    "ConvTranspose2d",
    "Dequantize",
    "Div",
    "Elu",
    "Erf",
    "Exp",
    "Gather",
    "Gelu",
    "HardSigmoid",
    "HardSwish",
    "L2Normalize",
    "LeakyRelu",
    "Log",
    "Matmul",
    "MaxPool2d",
    "Maximum",
    "Minimum",
    "Movement",
    "Mul",
    "Neg",
    "Pad",
    "Pool",
    "Pow",
    "Prelu",
    "Quantize",
    "Reciprocal",
    "ReduceMax",
    "ReduceMean",
    "ReduceMin",
    "ReduceSum",
    "Reduction",
    "Requantize",
    "Rescale",
    "RescaleFloat",
    "Reshape",
    "Resize",
    "Round",
    "Sigmoid",
    "Silu",
    "Slice",
    "SlidingWindow",
    "Softmax",
    "SoftmaxTable",
    "Split",
    "Sqrt",
    "StorageCast",
    "Sub",
    "SumFloat",
    "SumPool2d",
    "Svdf",
    "Table",
    "Tanh",
    "Transpose",
    "Unary",
    "fused_multiply_add",
    "window_positions",
]
