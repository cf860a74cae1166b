"""The importer of ONNX graphs: nodes in order, each by the importer of its operation, problems collected."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import onnx

from qcc.ir import FrontendError, Location, Module

from ..frontend import Shapes
from ..importer_tables import no_importer
from .emission import Emitter, Tensor
from .functions import inline_functions
from .graph import describe, node_label, ordered_nodes
from .interface import input_types, output_mismatch
from .node import Node
from .ops import IMPORTERS, MICROSOFT, MICROSOFT_IMPORTERS, importer_for, importer_note
from .problem import IMPORT_ERRORS, Problem, failure_reason, raise_problems
from .reading import check_outline, opset_of
from .tensor_data import NARROW_TYPES, tensor_array


def import_model(
    model: onnx.ModelProto,
    name: str = "model",
    batch: int = 1,
    shapes: Shapes | None = None,
    folder: Path | None = None,
) -> Module:
    """Return the float module of an ONNX model.

    Args:
        name: of the file, for provenance and messages; the module is named after its stem.
        batch: takes the place of a symbolic first dimension of the inputs.
        shapes: whole shapes of inputs by name.
        folder: of the model, where external data lies.

    Raises:
        FrontendError: lists all that can't be imported.
    """
    try:
        check_outline(model, name)
        model = inline_functions(model, name)
        return GraphImporter(model, name, folder).run(batch, shapes or {})
    except UnicodeDecodeError as error:  # protobuf decodes a text when it is read
        raise FrontendError("holds names that are not text", place=name, help="the file is damaged") from error


class GraphImporter:
    """The state of one import.

    A tensor that could not be imported is None in `tensors`; nodes that read it are not imported either, and say
    nothing of it, so that every problem is reported once.
    """

    def __init__(self, model: onnx.ModelProto, name: str, folder: Path | None) -> None:
        self.graph = model.graph
        self.name = name
        self.opset = opset_of(model) or 0
        self.folder = folder
        self.problems: list[Problem] = []
        self.tensors: dict[str, Tensor | None] = {}
        names = [v.name for v in self.graph.input] + [o for n in self.graph.node for o in n.output if o]
        self.emitter = Emitter(Path(name).stem, names)

    def run(self, batch: int, shapes: Shapes) -> Module:
        """Return the module."""
        nodes = ordered_nodes(self.graph, self.name)
        for name, type in input_types(self.graph, batch, shapes, self.name).items():
            self.tensors[name] = self.emitter.input(name, type)
        self._read_initializers()
        for index, proto in nodes:
            self._node(index, proto)
        self._outputs(resized=bool(shapes))
        raise_problems([*self.problems, *self.emitter.problems], self.name)
        return self.emitter.build()

    def _read_initializers(self) -> None:
        for proto in self.graph.initializer:
            place = f"tensor {proto.name!r}"
            try:
                note = "bfloat16 to f32" if proto.data_type == onnx.TensorProto.BFLOAT16 else ""
                array, narrow = tensor_array(proto, self.folder, place), NARROW_TYPES.get(proto.data_type)
                self.tensors[proto.name] = Tensor(proto.name, array, note=note, narrow=narrow)
            except FrontendError as error:
                self.problems.append(Problem(place, error.message))
                self.tensors[proto.name] = None
        for sparse in self.graph.sparse_initializer:
            self.problems.append(Problem(f"tensor {sparse.values.name!r}", "sparse tensors are not supported"))
            self.tensors[sparse.values.name] = None

    def _node(self, index: int, proto: onnx.NodeProto) -> None:
        reason = self._import(index, proto)
        if reason is not None:
            self.emitter.discard()
            self.tensors.update((name, None) for name in proto.output if name)
            if reason:
                self.problems.append(Problem(describe(proto, index), reason))

    def _import(self, index: int, proto: onnx.NodeProto) -> str | None:
        """Import a node; return why it can't be, empty where it reads what could not be imported."""
        importer = importer_for(proto.domain, proto.op_type)
        if importer is None:
            return _no_importer(proto)
        if any(name and self.tensors[name] is None for name in proto.input):
            return ""
        inputs = [self.tensors[name] if name else None for name in proto.input]
        self.emitter.location = Location(self.name, node_label(proto, index))
        self.emitter.hint = next((name for name in proto.output if name), "v")
        node = Node(proto, self.opset, inputs, self.emitter)
        try:
            results = importer(node)
            node.refuse_unread()
        except IMPORT_ERRORS as error:
            return failure_reason(error)
        results = (results,) if isinstance(results, Tensor) else results
        unknown = [name for name in proto.output[len(results) :] if name]
        if unknown:
            return f"the outputs {', '.join(map(repr, unknown))} are not supported"
        used = [(name, t) for name, t in zip(proto.output, results, strict=False) if name]
        finished = self.emitter.finish([n for n, _ in used], [t for _, t in used])
        self.tensors.update(zip((n for n, _ in used), finished, strict=True))
        return None

    def _outputs(self, resized: bool) -> None:
        """Add the outputs; where no input was `resized`, their declared shapes must be the computed ones."""
        counts = Counter(o.name for o in self.graph.output)
        for declared in {o.name: o for o in self.graph.output}.values():
            name, tensor = declared.name, self.tensors[declared.name]
            place = f"output {name!r}"
            if counts[name] > 1:
                self.problems.append(Problem(place, "is there twice"))
            elif tensor is not None:
                mismatch = "" if resized else output_mismatch(declared, tensor.shape)
                if mismatch:
                    self.problems.append(Problem(place, mismatch))
                self.emitter.output(name, tensor)


def _no_importer(proto: onnx.NodeProto) -> str:
    if proto.domain not in ("", "ai.onnx", MICROSOFT):
        return f"operations of the domain {proto.domain!r} are not supported"
    if proto.domain == MICROSOFT:
        return f"of the domain {MICROSOFT!r} only {', '.join(sorted(MICROSOFT_IMPORTERS))} are supported"
    return no_importer(proto.op_type, importer_note(proto.op_type), IMPORTERS)
