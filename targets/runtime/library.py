"""Loads an artifact's library and calls it: codes in, codes out."""

from __future__ import annotations

import ctypes
import shutil
import tempfile
import threading
import weakref
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from qcc.ir import (
    Array,
    ArtifactError,
    TargetError,
    Value,
)
from qcc.targets.emission import c_compiler, manifest_interface, read_manifest
from qcc.targets.emission.figures import C_FLAGS
from qcc.targets.emission.interface import Interface
from qcc.targets.emission.toolchain import run_tool
from qcc.targets.loaded_model import LoadedModel, require_ok
from qcc.targets.target import missing_on_host

#: What the address of a state is a multiple of; no element is wider.
_STATE_ALIGNMENT = 16


def load_library(folder: str | Path) -> CompiledModel:
    """Return the compiled model of an artifact's folder, ready to run on this host.

    A C artifact is compiled with the host's C compiler first, into a folder that is removed at once. Raises an
    ArtifactError if the folder is no whole artifact, a TargetError if this host can't run it, a ToolError if there is
    no C compiler or it fails.
    """
    folder = Path(folder)
    manifest = read_manifest(folder)
    try:
        missing = missing_on_host(manifest["machine"], tuple(manifest["cpu_flags"]))
        target, name = manifest["target"], manifest["name"]
        arena, alignment = int(manifest["arena_bytes"]), int(manifest["arena_alignment"])
    except (KeyError, TypeError, ValueError) as error:
        message = f"the manifest is not whole: {type(error).__name__}: {error}"
        raise ArtifactError(message, place=str(folder), help="compile the model again") from error
    if missing:
        raise TargetError(
            f"the artifact was compiled for {target}; this host lacks {', '.join(missing)}",
            place=str(folder),
            help="compile it for `--target native` or `--target c`",
        )
    interface = manifest_interface(manifest, str(folder))
    library = _open(folder, name, manifest["files"], needs_math=bool(manifest.get("has_float")))
    entry = _Entry(library, name, bool(interface.states))
    return CompiledModel(interface, manifest, entry, arena, alignment)


@dataclass(frozen=True)
class CompiledModel(LoadedModel):
    """A compiled model that this process can call, also from several threads.

    Attributes:
        entry: the functions of its library.
        arena_bytes, arena_alignment: of the memory that it works in.
    """

    entry: _Entry = field(repr=False)
    arena_bytes: int
    arena_alignment: int
    _local: threading.local = field(default_factory=threading.local, repr=False, compare=False)

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Return the outputs by name for one set of inputs: one array for each input, of its shape and storage type.

        States may be given as inputs, else they are as before the first run; what they become is among the outputs.
        An EvaluationError says which input is missing or does not fit.
        """
        call = self.bind(inputs)
        call.run()
        return {**call.outputs, **call.states}

    def run_many(self, samples: Iterable[Mapping[str, Array]]) -> Iterator[dict[str, Array]]:
        """Yield the outputs by name for each sample; states go from each run to the next."""
        states: dict[str, Array] = {}
        for sample in samples:
            outputs = self.run({**states, **sample})
            states = {port.name: outputs[port.name] for port in self.interface.states}
            yield outputs

    def bind(self, inputs: Mapping[str, Array]) -> BoundCall:
        """Return a call with its memory, which can be run again and again (for measurements)."""
        kept = [Value(port.name, port.type) for port in self.interface.states if port.name in inputs]
        checked = self._checked(inputs, tuple(kept))
        arrays = [np.ascontiguousarray(checked[value.name]) for value in self.inputs]
        outputs = {v.name: np.zeros(v.type.shape, v.type.element.storage.dtype) for v in self.outputs}
        if not hasattr(self._local, "arena"):
            self._local.arena = aligned_bytes(self.arena_bytes, self.arena_alignment)
        memory = StateMemory(self.interface, self.entry)
        memory.write({value.name: checked[value.name] for value in kept})
        return BoundCall(self.entry, tuple(arrays), outputs, memory, self._local.arena)


class StateMemory:
    """The memory that holds the states of a model: NAME_state, made by NAME_reset."""

    def __init__(self, interface: Interface, entry: _Entry) -> None:
        self.interface = interface
        self.memory = aligned_bytes(interface.state_bytes, _STATE_ALIGNMENT)
        if interface.states and entry.reset is not None:
            entry.reset(self.memory.ctypes.data)

    def write(self, states: Mapping[str, Array]) -> None:
        """Change some of the states."""
        for name, array in states.items():
            start = self.interface.state_offsets[name]
            data = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
            self.memory[start : start + data.size] = data

    def read(self) -> dict[str, Array]:
        """Return a copy of all states, by name."""
        found = {}
        for port in self.interface.states:
            start = self.interface.state_offsets[port.name]
            data = self.memory[start : start + port.bytes].copy()
            found[port.name] = data.view(port.dtype).reshape(port.type.shape)
        return found


class BoundCall:
    """A call of NAME_run with inputs, outputs, states and arena in place.

    Attributes:
        outputs: what the last run gave, by name.
    """

    def __init__(
        self,
        entry: _Entry,
        inputs: tuple[Array, ...],
        outputs: dict[str, Array],
        memory: StateMemory,
        arena: Array,
    ) -> None:
        self.outputs = outputs
        self._memory = memory
        self._entry = entry
        self._kept = inputs
        self._in = _pointers(inputs)
        self._out = _pointers(tuple(outputs.values()))
        self._arena = arena

    def run(self) -> None:
        """Compute the outputs; an EvaluationError if the library reports an error."""
        pointers: list[Any] = [ctypes.byref(self._in), ctypes.byref(self._out)]
        if self._memory.interface.states:
            pointers.append(self._memory.memory.ctypes.data)
        status = self._entry.function(*pointers, self._arena.ctypes.data)
        require_ok(status)

    @property
    def states(self) -> dict[str, Array]:
        """What the states became in the last run, by name."""
        return self._memory.read()


class _Entry:
    """The functions NAME_run and NAME_reset of a loaded library, which is unloaded with this object."""

    def __init__(self, library: ctypes.CDLL, name: str, has_states: bool) -> None:
        wanted = [f"{name}_run", *([f"{name}_reset"] if has_states else [])]
        try:
            found = [getattr(library, symbol) for symbol in wanted]
        except AttributeError as error:
            missing = next(symbol for symbol in wanted if not hasattr(library, symbol))
            message = f"its library has no function {missing}"
            raise ArtifactError(message, help="compile the model again") from error
        self.function = found[0]
        self.reset = found[1] if has_states else None
        self.function.argtypes = [ctypes.c_void_p] * (4 if has_states else 3)
        if self.reset is not None:
            self.reset.argtypes = [ctypes.c_void_p]
            self.reset.restype = None
        self.function.restype = ctypes.c_int
        weakref.finalize(self, _unload, library._handle)


def _unload(handle: int) -> None:
    close = ctypes.CDLL(None).dlclose
    close.argtypes = [ctypes.c_void_p]
    close(handle)


def _open(folder: Path, name: str, listed: Container[str], needs_math: bool) -> ctypes.CDLL:
    """Load a copy of the artifact's library, or of one compiled from its C source.

    A copy, since a library that was loaded under the same path once would be taken for the new one.
    """
    shared, source = folder / f"lib{name}.so", folder / f"{name}.c"
    with tempfile.TemporaryDirectory(prefix="qcc-") as text:
        copy = Path(text) / f"lib{name}.so"
        try:
            if shared.name in listed:
                shutil.copyfile(shared, copy)
            elif source.name in listed:
                math = ["-lm"] if needs_math else []
                flags = [*C_FLAGS, "-fPIC", "-shared", "-I", str(folder.absolute())]
                command = [c_compiler().path, *flags, "-o", copy.name, str(source.absolute()), *math]
                run_tool(command, Path(text), copy.name)
            else:
                message = f"there is neither {shared.name} nor {source.name} among its files"
                raise ArtifactError(message, place=str(folder), help="compile the model again")
            return ctypes.CDLL(str(copy))
        except OSError as error:
            message = f"its library can't be loaded: {error.strerror or error}"
            raise ArtifactError(message, place=str(folder), help="compile the model again") from error


def _pointers(arrays: tuple[Array, ...]) -> ctypes.Array[ctypes.c_void_p]:
    """Return a structure of pointers to arrays: NAME_inputs or NAME_outputs."""
    return (ctypes.c_void_p * max(len(arrays), 1))(*(a.ctypes.data for a in arrays))


def aligned_bytes(size: int, alignment: int) -> Array:
    """Return `size` bytes of memory, zeroed, whose address is a multiple of `alignment`."""
    memory = np.zeros(size + alignment, np.uint8)
    start = -memory.ctypes.data % alignment
    return memory[start : start + max(size, 1)]
