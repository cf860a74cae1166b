"""What is not exact, and where a reference has no kernel: by operation, type and profile, with the reason."""

from __future__ import annotations

from typing import TypeAlias

Key: TypeAlias = tuple[str, str, str]
"""Operation, type, profile."""

OVERFLOWS = "exact but where a factor is 2^8 or more: XNNPACK refuses it, 16-bit lanes of LiteRT's kernel overflow"

EXCEPTIONS: dict[Key, str] = {
    ("ADD", "uint8", "litert-xnn"): OVERFLOWS,
    ("MUL", "uint8", "litert-xnn"): OVERFLOWS,
    (
        "QUANTIZE",
        "float32→int16",
        "litert-xnn",
    ): "exact but for near-ties in the last, incomplete vector of 8, where LiteRT divides in binary64",
    (
        "SUM",
        "int16",
        "litert-ref",
    ): "not supported: LiteRT's reference kernel reads half of the bytes of 16-bit codes",
}
"""What the table says where it does not say `exact`."""

NOT_IN_REFERENCE: dict[Key, str] = {
    ("LOGISTIC", "uint8", "tflm"): "not in TensorFlow Lite Micro",
    ("TANH", "uint8", "tflm"): "not in TensorFlow Lite Micro",
}
"""What is not compared, for the reference has nothing to compare with."""
