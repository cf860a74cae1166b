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
    EvaluationError,
    Module,
    Stage,
    TargetError,
    Value,
    check_inputs,
)
from qcc.targets.emission import c_compiler, manifest_interface, read_manifest
from qcc.targets.emission.figures import C_FLAGS
from qcc.targets.emission.header import ERROR_MEANINGS, OK
from qcc.targets.emission.toolchain import run_tool
from qcc.targets.target import missing_on_host


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
    inputs, outputs = (tuple(Value(p.name, p.type) for p in ports) for ports in (interface.inputs, interface.outputs))
    library = _open(folder, name, manifest["files"], needs_math=bool(manifest.get("has_float")))
    return CompiledModel(name, inputs, outputs, manifest, _Entry(library, name), arena, alignment)


@dataclass(frozen=True)
class CompiledModel:
    """A compiled model that this process can call, also from several threads.

    Attributes:
        name: of the module.
        inputs, outputs: with their types; quantized ones take and give codes.
        manifest: what the artifact says of itself.
    """

    name: str
    inputs: tuple[Value, ...]
    outputs: tuple[Value, ...]
    manifest: Mapping[str, Any] = field(repr=False)
    entry: _Entry = field(repr=False)
    arena_bytes: int = 0
    arena_alignment: int = 1
    _local: threading.local = field(default_factory=threading.local, repr=False, compare=False)

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Return the outputs by name for one set of inputs: one array for each input, of its shape and storage type.

        An EvaluationError says which input is missing or does not fit.
        """
        call = self.bind(inputs)
        call.run()
        return call.outputs

    def run_many(self, samples: Iterable[Mapping[str, Array]]) -> Iterator[dict[str, Array]]:
        """Yield the outputs by name for each sample."""
        return map(self.run, samples)

    def bind(self, inputs: Mapping[str, Array]) -> BoundCall:
        """Return a call with its memory, which can be run again and again (for measurements)."""
        interface = Module(self.name, Stage.INTEGER, self.inputs, (), ())
        checked = check_inputs(interface, inputs)
        arrays = [np.ascontiguousarray(checked[value.name]) for value in self.inputs]
        outputs = {v.name: np.zeros(v.type.shape, v.type.element.storage.dtype) for v in self.outputs}
        if not hasattr(self._local, "arena"):
            self._local.arena = aligned_bytes(self.arena_bytes, self.arena_alignment)
        return BoundCall(self.entry, tuple(arrays), outputs, self._local.arena)


class BoundCall:
    """A call of NAME_run with inputs, outputs and arena in place.

    Attributes:
        outputs: what the last run gave, by name.
    """

    def __init__(self, entry: _Entry, inputs: tuple[Array, ...], outputs: dict[str, Array], arena: Array) -> None:
        self.outputs = outputs
        self._entry = entry
        self._kept = inputs
        self._in = _pointers(inputs)
        self._out = _pointers(tuple(outputs.values()))
        self._arena = arena

    def run(self) -> None:
        """Compute the outputs; an EvaluationError if the library reports an error."""
        status = self._entry.function(ctypes.byref(self._in), ctypes.byref(self._out), self._arena.ctypes.data)
        if status != OK:
            raise EvaluationError(
                f"the compiled model returned {status}: {ERROR_MEANINGS.get(status, 'an unknown error')}"
            )


class _Entry:
    """The function NAME_run of a loaded library, which is unloaded with this object."""

    def __init__(self, library: ctypes.CDLL, name: str) -> None:
        try:
            self.function = getattr(library, f"{name}_run")
        except AttributeError as error:
            message = f"its library has no function {name}_run"
            raise ArtifactError(message, help="compile the model again") from error
        self.function.argtypes = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p]
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
