"""The importer of TFLite models: operators in order, each by the importer of its operation, problems collected."""

from __future__ import annotations

from pathlib import Path

from qcc.ir import FrontendError, Location, Module, nearest

from ..frontend import Shapes
from ..importer_tables import no_importer
from ..problem import IMPORT_ERRORS, Problem, Unsupported, failure_reason, raise_problems
from .defects import Defects
from .emission import Emitter, Tensor
from .model_file import FileOperator, FileTensor, ModelFile
from .node import Node
from .ops import IMPORTERS, NEWEST_VERSIONS, importer_note
from .tensor_types import element_name, tensor_data, tensor_type
from .variables import Handle, Variables


def import_model(file: ModelFile, name: str = "model", batch: int = 1, shapes: Shapes | None = None) -> Module:
    """Return the module of a model: of the quantized stage where the file quantizes anything, else of the float stage.

    Args:
        name: of the file, for provenance and messages; the module is named after its stem.
        batch: takes the place of an open first dimension of the inputs.
        shapes: whole shapes of inputs by name.

    Raises:
        FrontendError: lists all that can't be imported.
    """
    return GraphImporter(file, name).run(batch, shapes or {})


class GraphImporter:
    """The state of one import.

    A tensor that could not be imported is None in `tensors`; operators that read it are not imported either, and say
    nothing of it, so that every problem is reported once.
    """

    def __init__(self, file: ModelFile, name: str) -> None:
        self.file = file
        self.graph = file.graph(0)
        self.name = name
        self.problems: list[Problem] = []
        self.defects = Defects()
        self.tensors: dict[int, Tensor | None] = {}
        self.emitter = Emitter(Path(name).stem, file.size)
        self.computed = {i for operator in self.graph.operators for i in operator.outputs}
        self.resized = False
        self.variables = Variables(file, self.emitter, self.defects)

    def run(self, batch: int, shapes: Shapes) -> Module:
        """Return the module."""
        self._inputs(batch, shapes)
        for index, operator in enumerate(self.graph.operators):
            self._operator(index, operator)
        self._outputs()
        self.variables.finish()
        raise_problems(self.problems, self.name)
        for index in sorted({*range(1, self.file.graph_count)} - self.variables.initializers):
            self.defects.add(f"subgraph {index}", "is left out; a module is the first subgraph of a file")
        self.defects.tell(self.name)
        return self.emitter.build()

    def _inputs(self, batch: int, shapes: Shapes) -> None:
        tensors = [self.graph.tensors[i] for i in self.graph.inputs]
        names = [t.name for t in tensors]
        for name in shapes:
            if name not in names:
                raise FrontendError(f"there is no input {name!r}", place=self.name, help=nearest(name, names))
        if batch != 1 and not any(t.signature[:1] == (-1,) for t in tensors):
            raise FrontendError(
                f"a batch of {batch} was asked for, the model has a fixed one",
                place=self.name,
                help="convert the model with an open first dimension, or leave --batch away",
            )
        for tensor in tensors:
            if tensor.index in self.tensors or tensor.index in self.computed:
                self._problem(tensor.label, "is an input twice, or an input and a result")
                continue
            try:
                shape = self._input_shape(tensor, batch, shapes)
                type = tensor_type(tensor, shape, self.defects)
                self.tensors[tensor.index] = self.emitter.input(tensor.name or f"input_{tensor.index}", type)
            except Unsupported as error:
                self.tensors[tensor.index] = None
                self._problem(f"input {tensor.name!r}", error.message)

    def _input_shape(self, tensor: FileTensor, batch: int, shapes: Shapes) -> tuple[int, ...]:
        open_shape = tensor.signature or tensor.shape
        shape = tensor.shape
        if batch != 1 and open_shape[:1] == (-1,):
            shape = (batch, *shape[1:])
        if tensor.name in shapes:
            shape = tuple(int(d) for d in shapes[tensor.name])
            fits = len(shape) == len(open_shape) and all(d in (-1, s) for d, s in zip(open_shape, shape, strict=True))
            if not fits or min(shape, default=1) < 1:
                raise Unsupported(f"the shape {list(shape)} given does not fit {list(open_shape)}")
        self.resized = self.resized or shape != tensor.shape
        return shape

    def _tensor(self, index: int) -> Tensor | None:
        """Return a tensor that an operator reads or the model gives; None where it can't be imported."""
        if index in self.tensors:
            return self.tensors[index]
        tensor = self.graph.tensors[index]
        try:
            self.tensors[index] = self._constant(tensor)
        except Unsupported as error:
            self.tensors[index] = None
            self._problem(tensor.label, error.message)
        return self.tensors[index]

    def _constant(self, tensor: FileTensor) -> Tensor:
        if tensor.is_variable:
            type = tensor_type(tensor, tensor.shape, self.defects)
            return Handle(tensor.name, tensor.name or f"variable_{tensor.index}", type)
        if tensor.index in self.computed:
            raise Unsupported("is read before an operator computes it")
        type = tensor_type(tensor, tensor.shape, self.defects)
        if tensor.buffer >= self.file.buffer_count:
            raise Unsupported(f"has its data in buffer {tensor.buffer}, there are {self.file.buffer_count}")
        if type.size and not len(self.file.data(tensor.buffer)):
            raise Unsupported("has no data, and nothing computes it")
        name = tensor.name or f"tensor_{tensor.index}"
        return Tensor(name, type, tensor_data(self.file, tensor, type))

    def _problem(self, place: str, reason: str) -> None:
        self.problems.append(Problem(place, reason))

    def _operator(self, index: int, operator: FileOperator) -> None:
        outputs = [self.graph.tensors[i] for i in operator.outputs]
        node_name = next((t.name for t in outputs if t.name), f"{operator.name}_{index}")
        label = f"{operator.name} {node_name!r}"
        reason = self._import(operator, label, node_name, outputs)
        if reason is not None:
            self.emitter.discard()
            self.tensors.update((i, None) for i in operator.outputs)
            if reason:
                self._problem(label, reason)

    def _import(self, operator: FileOperator, label: str, node_name: str, outputs: list[FileTensor]) -> str | None:
        """Import an operator; return why it can't be, empty where it reads what could not be imported."""
        importer = IMPORTERS.get(operator.name)
        if importer is None:
            return no_importer(operator.name, importer_note(operator.name), IMPORTERS)
        if any(t.index in self.tensors for t in outputs):
            return "computes a tensor that is there already"
        inputs = [None if i < 0 else self._tensor(i) for i in operator.inputs]
        if any(i >= 0 and t is None for i, t in zip(operator.inputs, inputs, strict=True)):
            return ""
        self.emitter.location = Location(self.name, node_name)
        self.emitter.hint = node_name
        newest = NEWEST_VERSIONS.get(operator.name)
        if newest is not None and operator.version > newest:
            self.defects.add(label, f"version {operator.version} of {operator.name} is not known; read as {newest}")
        try:
            node = Node(operator, label, inputs, outputs, self.emitter, self.defects, self.variables)
            node.undelegated = self._undelegated(operator)
            results = importer(node)
            results = (results,) if isinstance(results, Tensor) else tuple(results)
            if len(results) != len(outputs):
                return f"has {len(outputs)} results, should have {len(results)}"
            results = tuple(self._declared(node, i, r) for i, r in enumerate(results))
        except IMPORT_ERRORS as error:
            return failure_reason(error)
        names = [t.name or f"tensor_{t.index}" for t in outputs]
        self.tensors.update(zip(operator.outputs, self.emitter.finish(names, results), strict=True))
        return None

    def _undelegated(self, operator: FileOperator) -> str:
        """Return the note of an operator that reads uint8 codes of one scale along a dimension other than 0."""
        for tensor in (self.graph.tensors[i] for i in operator.inputs if i >= 0):
            given = tensor.quantization
            if given.scales.size == 1 and given.dimension and element_name(tensor.type) == "UINT8":
                return f"{tensor.label} has quantized_dimension {given.dimension}"
        return ""

    def _declared(self, node: Node, index: int, result: Tensor) -> Tensor:
        """Return a result as the file declares it, which must be of its shape and storage type.

        Where only scale or zero point differ, the codes are taken as they are, which is what kernels that move data do.
        """
        declared = node.outputs[index]
        if isinstance(result, Handle):
            return result
        open_shape = declared.signature or declared.shape
        fits = len(result.shape) == len(open_shape) and all(
            d in (-1, s) for d, s in zip(open_shape, result.shape, strict=True)
        )
        if (
            not fits
            and not self.resized
            and (declared.shape or result.type.size == 1)
            and declared.shape != result.shape
        ):
            raise Unsupported(
                f"computes {list(result.shape)}, but {declared.label} is declared as {list(declared.shape)}"
            )
        element = node.element(index)
        if element == result.element:
            return result
        if element.storage != result.element.storage:
            raise Unsupported(f"computes {result.element}, but {declared.label} is declared as {element}")
        self.defects.add(declared.label, "its scale or zero point differs from that of what it copies; codes are kept")
        return node.reinterpreted(result, element)

    def _outputs(self) -> None:
        for index in self.graph.outputs:
            tensor = self._tensor(index)
            if tensor is not None:
                try:
                    self.emitter.output(self.graph.tensors[index].name or tensor.name, tensor)
                except Unsupported as error:
                    self._problem(self.graph.tensors[index].label, error.message)
        if not self.graph.outputs:
            self._problem("the model", "has no outputs")
