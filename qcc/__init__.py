"""qcc: a quantizing compiler from a trained model to a small integer C library for a named chip.

import qcc
model = qcc.load("model.onnx")
artifact = qcc.compile(model, target="x86_64-linux-gnu+avx512-vnni", calibration={"x": samples})
artifact.save("build")
outputs = artifact.run({"x": inputs})
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .artifact import Artifact
    from .compiler import CompileOptions, compile, compile_module
    from .frontends import load
    from .ir import Module, QccError

__all__ = ["Artifact", "CompileOptions", "Module", "QccError", "compile", "compile_module", "load"]

#: Where each public name lives; imported when first asked for, so that `import qcc` is fast.
_HOMES = {
    "Artifact": "artifact",
    "CompileOptions": "compiler",
    "Module": "ir",
    "QccError": "ir",
    "compile": "compiler",
    "compile_module": "compiler",
    "load": "frontends",
}


def __getattr__(name: str) -> Any:
    """Import a public name on first use."""
    import importlib

    if name not in _HOMES:
        raise AttributeError(f"module 'qcc' has no attribute {name!r}")
    return getattr(importlib.import_module(f"qcc.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    """Return the public names."""
    return sorted(__all__)
