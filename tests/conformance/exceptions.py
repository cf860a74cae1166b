"""What is not exact, and where a reference has no kernel: by operation, type and profile, with the reason."""

from __future__ import annotations

from typing import TypeAlias

Key: TypeAlias = tuple[str, str, str]
"""Operation, type, profile."""

EXCEPTIONS: dict[Key, str] = {
    (
        "ADD",
        "uint8",
        "litert-xnn",
    ): "exact but where a scale is 2^8 times the result's or more: XNNPACK refuses it, LiteRT's 16-bit lanes overflow",
    (
        "QUANTIZE",
        "float32→int16",
        "litert-xnn",
    ): "exact but for near-ties in the last, incomplete vector of 8, where LiteRT divides in binary64",
}
"""What the table says where it does not say `exact`."""

NOT_IN_REFERENCE: dict[Key, str] = {
    ("LOGISTIC", "uint8", "tflm"): "not in TensorFlow Lite Micro",
    ("TANH", "uint8", "tflm"): "not in TensorFlow Lite Micro",
}
"""What is not compared, for the reference has nothing to compare with."""
