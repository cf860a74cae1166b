"""Facts of the TFLite schema: names of operations and enumerations, slots of tables.

Source: the public schema of the format (version 3), which keeps slots and numbers for ever. Field names are the
schema's. A field is a slot, the `struct` type of its number and its default.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

#: The bytes 4 to 8 of a file.
IDENTIFIER = b"TFL3"

#: The schema version of every file in the field.
VERSION = 3


class Model(IntEnum):
    """Slots of the root table."""

    VERSION = 0
    OPERATOR_CODES = 1
    SUBGRAPHS = 2
    BUFFERS = 4


class SubGraph(IntEnum):
    """Slots of a subgraph."""

    TENSORS = 0
    INPUTS = 1
    OUTPUTS = 2
    OPERATORS = 3


class Tensor(IntEnum):
    """Slots of a tensor."""

    SHAPE = 0
    TYPE = 1
    BUFFER = 2
    NAME = 3
    QUANTIZATION = 4
    IS_VARIABLE = 5
    SPARSITY = 6
    SHAPE_SIGNATURE = 7
    EXTERNAL_BUFFER = 10


class Quantization(IntEnum):
    """Slots of the quantization parameters of a tensor."""

    SCALE = 2
    ZERO_POINT = 3
    DETAILS_TYPE = 4
    QUANTIZED_DIMENSION = 6


class Operator(IntEnum):
    """Slots of an operator."""

    OPCODE_INDEX = 0
    INPUTS = 1
    OUTPUTS = 2
    OPTIONS_TYPE = 3
    OPTIONS = 4


class OperatorCode(IntEnum):
    """Slots of an operator code."""

    DEPRECATED_CODE = 0
    CUSTOM_CODE = 1
    VERSION = 2
    CODE = 3


class Buffer(IntEnum):
    """Slots of a buffer; `OFFSET` and `SIZE` say where in the file the data of a large model lies."""

    DATA = 0
    OFFSET = 1
    SIZE = 2


#: Element types by their number: name, and the NumPy type of the bytes in the file, empty where qcc has none.
ELEMENTS: tuple[tuple[str, str], ...] = (
    ("FLOAT32", "<f4"),
    ("FLOAT16", "<f2"),
    ("INT32", "<i4"),
    ("UINT8", "u1"),
    ("INT64", "<i8"),
    ("STRING", ""),
    ("BOOL", "?"),
    ("INT16", "<i2"),
    ("COMPLEX64", ""),
    ("INT8", "i1"),
    ("FLOAT64", "<f8"),
    ("COMPLEX128", ""),
    ("UINT64", ""),
    ("RESOURCE", ""),
    ("VARIANT", ""),
    ("UINT32", "<u4"),
    ("UINT16", "<u2"),
    ("INT4", "i1"),
    ("BFLOAT16", ""),
    ("INT2", ""),
    ("UINT4", "u1"),
)

#: Numbers of element types by name.
ELEMENT_NUMBERS = {name: number for number, (name, _) in enumerate(ELEMENTS)}

#: Names of the fused activations, by number.
ACTIVATIONS = ("NONE", "RELU", "RELU_N1_TO_1", "RELU6", "TANH", "SIGN_BIT")

#: Names of the paddings, by number.
PADDINGS = ("SAME", "VALID")

_OPERATIONS = """
ADD AVERAGE_POOL_2D CONCATENATION CONV_2D DEPTHWISE_CONV_2D DEPTH_TO_SPACE DEQUANTIZE EMBEDDING_LOOKUP FLOOR
FULLY_CONNECTED HASHTABLE_LOOKUP L2_NORMALIZATION L2_POOL_2D LOCAL_RESPONSE_NORMALIZATION LOGISTIC LSH_PROJECTION LSTM
MAX_POOL_2D MUL RELU RELU_N1_TO_1 RELU6 RESHAPE RESIZE_BILINEAR RNN SOFTMAX SPACE_TO_DEPTH SVDF TANH CONCAT_EMBEDDINGS
SKIP_GRAM CALL CUSTOM EMBEDDING_LOOKUP_SPARSE PAD UNIDIRECTIONAL_SEQUENCE_RNN GATHER BATCH_TO_SPACE_ND
SPACE_TO_BATCH_ND TRANSPOSE MEAN SUB DIV SQUEEZE UNIDIRECTIONAL_SEQUENCE_LSTM STRIDED_SLICE BIDIRECTIONAL_SEQUENCE_RNN
EXP TOPK_V2 SPLIT LOG_SOFTMAX DELEGATE BIDIRECTIONAL_SEQUENCE_LSTM CAST PRELU MAXIMUM ARG_MAX MINIMUM LESS NEG PADV2
GREATER GREATER_EQUAL LESS_EQUAL SELECT SLICE SIN TRANSPOSE_CONV SPARSE_TO_DENSE TILE EXPAND_DIMS EQUAL NOT_EQUAL LOG
SUM SQRT RSQRT SHAPE POW ARG_MIN FAKE_QUANT REDUCE_PROD REDUCE_MAX PACK LOGICAL_OR ONE_HOT LOGICAL_AND LOGICAL_NOT
UNPACK REDUCE_MIN FLOOR_DIV REDUCE_ANY SQUARE ZEROS_LIKE FILL FLOOR_MOD RANGE RESIZE_NEAREST_NEIGHBOR LEAKY_RELU
SQUARED_DIFFERENCE MIRROR_PAD ABS SPLIT_V UNIQUE CEIL REVERSE_V2 ADD_N GATHER_ND COS WHERE RANK ELU REVERSE_SEQUENCE
MATRIX_DIAG QUANTIZE MATRIX_SET_DIAG ROUND HARD_SWISH IF WHILE NON_MAX_SUPPRESSION_V4 NON_MAX_SUPPRESSION_V5
SCATTER_ND SELECT_V2 DENSIFY SEGMENT_SUM BATCH_MATMUL PLACEHOLDER_FOR_GREATER_OP_CODES CUMSUM CALL_ONCE BROADCAST_TO
RFFT2D CONV_3D IMAG REAL COMPLEX_ABS HASHTABLE HASHTABLE_FIND HASHTABLE_IMPORT HASHTABLE_SIZE REDUCE_ALL
CONV_3D_TRANSPOSE VAR_HANDLE READ_VARIABLE ASSIGN_VARIABLE BROADCAST_ARGS RANDOM_STANDARD_NORMAL BUCKETIZE
RANDOM_UNIFORM MULTINOMIAL GELU DYNAMIC_UPDATE_SLICE RELU_0_TO_1 UNSORTED_SEGMENT_PROD UNSORTED_SEGMENT_MAX
UNSORTED_SEGMENT_SUM ATAN2 UNSORTED_SEGMENT_MIN SIGN BITCAST BITWISE_XOR
"""

#: Names of operations by their number.
OPERATIONS: tuple[str, ...] = tuple(_OPERATIONS.split())

#: An operation number of an old file that stands for a newer field.


@dataclass(frozen=True)
class Field:
    """A number in an options table: slot, `struct` type (`i*` is a vector, `s` a text), default."""

    slot: int
    kind: str = "i"
    default: int | float | bool = 0


@dataclass(frozen=True)
class Options:
    """A kind of options table: its number in the schema's union, and its fields by name."""

    number: int
    fields: dict[str, Field]


def _window(**more: Field) -> dict[str, Field]:
    """Return the fields of a convolution or pool: padding and strides, then those given."""
    return {"padding": Field(0, "b"), "stride_w": Field(1), "stride_h": Field(2), **more}


_ACTIVATION = {"fused_activation_function": Field(0, "b")}
_KEEP_DIMS = Options(27, {"keep_dims": Field(0, "?", False)})
_ARITHMETIC = {**_ACTIVATION, "pot_scale_int16": Field(1, "?", True)}
_POOL = Options(
    5,
    _window(filter_width=Field(3), filter_height=Field(4), fused_activation_function=Field(5, "b")),
)
_NEW_VARIABLE = {"container": Field(0, "s"), "shared_name": Field(1, "s")}

#: The options of each operation that reads any.
OPTIONS: dict[str, Options] = {
    "ADD": Options(11, _ARITHMETIC),
    "ARG_MAX": Options(40, {"output_type": Field(0, "b")}),
    "ARG_MIN": Options(57, {"output_type": Field(0, "b")}),
    "AVERAGE_POOL_2D": _POOL,
    "BATCH_MATMUL": Options(101, {"adj_x": Field(0, "?", False), "adj_y": Field(1, "?", False)}),
    "CALL_ONCE": Options(103, {"init_subgraph_index": Field(0)}),
    "CONCATENATION": Options(10, {"axis": Field(0), "fused_activation_function": Field(1, "b")}),
    "CONV_2D": Options(
        1,
        _window(
            fused_activation_function=Field(3, "b"),
            dilation_w_factor=Field(4, "i", 1),
            dilation_h_factor=Field(5, "i", 1),
            quantized_bias_type=Field(6, "b"),
        ),
    ),
    "DEPTH_TO_SPACE": Options(94, {"block_size": Field(0)}),
    "DEPTHWISE_CONV_2D": Options(
        2,
        _window(
            depth_multiplier=Field(3),
            fused_activation_function=Field(4, "b"),
            dilation_w_factor=Field(5, "i", 1),
            dilation_h_factor=Field(6, "i", 1),
        ),
    ),
    "DIV": Options(29, _ACTIVATION),
    "FAKE_QUANT": Options(
        58,
        {
            "min": Field(0, "f", 0.0),
            "max": Field(1, "f", 0.0),
            "num_bits": Field(2),
            "narrow_range": Field(3, "?", False),
        },
    ),
    "FULLY_CONNECTED": Options(
        8,
        {
            **_ACTIVATION,
            "weights_format": Field(1, "b"),
            "keep_num_dims": Field(2, "?", False),
            "quantized_bias_type": Field(4, "b"),
        },
    ),
    "GATHER": Options(23, {"axis": Field(0), "batch_dims": Field(1)}),
    "GELU": Options(116, {"approximate": Field(0, "?", False)}),
    "L2_NORMALIZATION": Options(12, _ACTIVATION),
    "LEAKY_RELU": Options(75, {"alpha": Field(0, "f", 0.0)}),
    "MAX_POOL_2D": _POOL,
    "MEAN": _KEEP_DIMS,
    "MIRROR_PAD": Options(77, {"mode": Field(0, "b")}),
    "MUL": Options(21, _ACTIVATION),
    "PACK": Options(59, {"values_count": Field(0), "axis": Field(1)}),
    "REDUCE_MAX": _KEEP_DIMS,
    "REDUCE_MIN": _KEEP_DIMS,
    "RESHAPE": Options(17, {"new_shape": Field(0, "i*")}),
    "RESIZE_BILINEAR": Options(15, {"align_corners": Field(2, "?", False), "half_pixel_centers": Field(3, "?", False)}),
    "RESIZE_NEAREST_NEIGHBOR": Options(
        74, {"align_corners": Field(0, "?", False), "half_pixel_centers": Field(1, "?", False)}
    ),
    "SOFTMAX": Options(9, {"beta": Field(0, "f", 0.0)}),
    "SPACE_TO_DEPTH": Options(19, {"block_size": Field(0)}),
    "SPLIT": Options(35, {"num_splits": Field(0)}),
    "SPLIT_V": Options(79, {"num_splits": Field(0)}),
    "SQUEEZE": Options(30, {"squeeze_dims": Field(0, "i*")}),
    "STRIDED_SLICE": Options(
        32,
        {
            "begin_mask": Field(0),
            "end_mask": Field(1),
            "ellipsis_mask": Field(2),
            "new_axis_mask": Field(3),
            "shrink_axis_mask": Field(4),
            "offset": Field(5, "?", False),
        },
    ),
    "SUB": Options(28, _ARITHMETIC),
    "SUM": _KEEP_DIMS,
    "SVDF": Options(6, {"rank": Field(0), "fused_activation_function": Field(1, "b")}),
    "TRANSPOSE_CONV": Options(49, _window(fused_activation_function=Field(3, "b"), quantized_bias_type=Field(4, "b"))),
    "UNIDIRECTIONAL_SEQUENCE_LSTM": Options(
        71,
        {
            **_ACTIVATION,
            "cell_clip": Field(1, "f", 0.0),
            "proj_clip": Field(2, "f", 0.0),
            "time_major": Field(3, "?", False),
        },
    ),
    "UNPACK": Options(64, {"num": Field(0), "axis": Field(1)}),
    "VAR_HANDLE": Options(111, _NEW_VARIABLE),
}
