"""The intermediate representation: types, operations, modules, text and the reference evaluator."""

if __name__ != "qcc.ir":
    raise ImportError(f"this package is qcc.ir, not {__name__}: import it as `import qcc.ir`")

from . import ops
from .builder import Builder
from .documentation import operation_reference, operations_reference
from .errors import (
    ArtifactError,
    CalibrationError,
    EvaluationError,
    FrontendError,
    IrError,
    ParseError,
    PassError,
    QccError,
    TargetError,
    ToolError,
    UsageError,
    VerifyError,
    nearest,
)
from .evaluator import Observer, check_inputs, evaluate, evaluate_op, evaluate_sequence, real, stored
from .files import load_module, parse_bytes, save_module
from .fixed_point import (
    ROUNDINGS,
    quantize_multiplier,
    rescale,
    rounding_divide_by_pot,
    saturating_rounding_doubling_high_mul,
)
from .fixed_point_functions import ARRAYS, Arithmetic, FixedPoint
from .float_rounding import FLOAT_ROUNDINGS
from .interpolated_functions import (
    SIGMOID_ENTRIES,
    interpolated,
    interpolated_sigmoid,
    interpolated_table,
    sigmoid_table,
)
from .module import Module, Output, State
from .naming import c_identifier, free_name
from .op import (
    ANY_STAGE,
    REAL_STAGES,
    Cost,
    Op,
    Operand,
    Operands,
    OptionalOperand,
    Stage,
    attribute_fields,
    op_class_named,
    operand_names,
    register,
    registered_ops,
    replace_op,
)
from .parser import parse_module
from .printer import Printer, Resources, print_module, print_op
from .rewriting import Mismatch, Pattern, Rewriter, RewriteReport, drop_dead, retype, rewrite
from .types import (
    F16,
    F32,
    F64,
    I1,
    I2,
    I4,
    I8,
    I16,
    I32,
    I64,
    SCALAR_TYPES,
    U2,
    U4,
    U8,
    U16,
    U32,
    Array,
    CalibratedType,
    CodebookType,
    ElementType,
    QuantizedType,
    ScalarType,
    Shape,
    TensorType,
    UniformType,
)
from .value import Dense, Location, Value
from .verifier import verify
from .whole_file import write_whole

__all__ = [  # by topic
    # types
    "F16",
    "F32",
    "F64",
    "I1",
    "I2",
    "I4",
    "I8",
    "I16",
    "I32",
    "I64",
    "U2",
    "U4",
    "U8",
    "U16",
    "U32",
    "SCALAR_TYPES",
    "Array",
    "CalibratedType",
    "CodebookType",
    "ElementType",
    "QuantizedType",
    "ScalarType",
    "Shape",
    "TensorType",
    "UniformType",
    # operations and modules
    "ANY_STAGE",
    "REAL_STAGES",
    "Builder",
    "Cost",
    "Dense",
    "Location",
    "Module",
    "Op",
    "Operand",
    "Operands",
    "OptionalOperand",
    "Output",
    "Stage",
    "State",
    "Value",
    "attribute_fields",
    "c_identifier",
    "free_name",
    "op_class_named",
    "operand_names",
    "ops",
    "register",
    "registered_ops",
    "replace_op",
    "verify",
    # text
    "Printer",
    "Resources",
    "load_module",
    "parse_bytes",
    "parse_module",
    "print_module",
    "print_op",
    "save_module",
    "write_whole",
    # meaning
    "ARRAYS",
    "Arithmetic",
    "FixedPoint",
    "Observer",
    "FLOAT_ROUNDINGS",
    "ROUNDINGS",
    "SIGMOID_ENTRIES",
    "check_inputs",
    "evaluate",
    "evaluate_op",
    "evaluate_sequence",
    "interpolated",
    "interpolated_sigmoid",
    "interpolated_table",
    "quantize_multiplier",
    "real",
    "rescale",
    "rounding_divide_by_pot",
    "saturating_rounding_doubling_high_mul",
    "sigmoid_table",
    "stored",
    # documentation
    "operation_reference",
    "operations_reference",
    # rewriting
    "Mismatch",
    "Pattern",
    "RewriteReport",
    "Rewriter",
    "drop_dead",
    "retype",
    "rewrite",
    # errors
    "ArtifactError",
    "CalibrationError",
    "EvaluationError",
    "FrontendError",
    "IrError",
    "ParseError",
    "PassError",
    "QccError",
    "TargetError",
    "ToolError",
    "UsageError",
    "VerifyError",
    "nearest",
]
