"""Dense layers: `output[rows, columns] = epilogue(input[rows, depth] · weightsᵀ)`."""

from __future__ import annotations

from qcc.targets.nests.convolution import Convolution
from qcc.targets.nests.epilogue import Epilogue
from qcc.targets.nests.products import InputType


def matmul(
    name: str,
    rows: int,
    columns: int,
    depth: int,
    input_type: InputType,
    epilogue: Epilogue,
    input_zero_point: int = 0,
) -> Convolution:
    """A product with constant weights `[columns, depth]`: a pointwise convolution of `rows` × 1 pixels."""
    return Convolution(name, (1, rows, 1, depth), columns, input_type, epilogue, input_zero_point=input_zero_point)
