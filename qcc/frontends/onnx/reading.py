"""From the bytes of a file to an ONNX model whose outline is sound."""

from __future__ import annotations

from pathlib import Path

import onnx
from google.protobuf.message import DecodeError

from qcc.ir import FrontendError

from ..model_bytes import read_bytes

#: The oldest operator set whose operations are read as they are defined there; before it, operands broadcast by an
#: attribute `axis`.
OLDEST_OPSET = 7


def read_model(path: Path) -> onnx.ModelProto:
    """Return the model in a file; FrontendError where there is none. External data is not read."""
    return parse_model(read_bytes(path), str(path))


def parse_model(data: bytes, place: str) -> onnx.ModelProto:
    """Return the model that bytes in ONNX's format hold."""
    if not data:
        raise FrontendError("is empty", place=place, help="export the model again")
    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
    except DecodeError as error:
        raise FrontendError(
            "is not a complete ONNX model", place=place, help="the file is truncated or of another format"
        ) from error
    check_outline(model, place)
    return model


def check_outline(model: onnx.ModelProto, place: str) -> None:
    """Raise FrontendError unless the model has a graph with outputs and a version that qcc knows."""
    if not model.HasField("graph") or not model.graph.output:
        raise FrontendError("holds no graph with outputs", place=place, help="the file is damaged or of another format")
    version, newest = opset_of(model), onnx.defs.onnx_opset_version()
    if version is None:
        raise FrontendError("does not say which operator set it uses", place=place, help="export the model again")
    if version < OLDEST_OPSET:
        raise FrontendError(
            f"uses opset {version}, older than {OLDEST_OPSET}",
            place=place,
            help="convert it: onnx.version_converter.convert_version(model, 17)",
        )
    if version > newest:
        raise FrontendError(
            f"uses opset {version}, newer than {newest}",
            place=place,
            help=f"export it with an opset up to {newest}, or install a newer onnx package",
        )


def opset_of(model: onnx.ModelProto) -> int | None:
    """Return the version of ONNX's own operator set, None where the model names none."""
    for imported in model.opset_import:
        if imported.domain in ("", "ai.onnx"):
            return int(imported.version)
    return None
