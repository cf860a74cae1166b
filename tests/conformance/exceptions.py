"""What is not exact, and where a reference has no kernel: by operation, type and profile, with the reason."""

from __future__ import annotations

from typing import TypeAlias

Key: TypeAlias = tuple[str, str, str]
"""Operation, type, profile."""

EXCEPTIONS: dict[Key, str] = {}
"""What the table says where it does not say `exact`."""

NOT_IN_REFERENCE: dict[Key, str] = {
    ("LOGISTIC", "uint8", "tflm"): "not in TensorFlow Lite Micro",
    ("TANH", "uint8", "tflm"): "not in TensorFlow Lite Micro",
}
"""What is not compared, for the reference has nothing to compare with."""
