"""A compiled model that an emulator runs: codes in, codes out, many samples in one start."""

from __future__ import annotations

import platform
import shutil
import signal
import struct
import subprocess
import tempfile
import weakref
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from qcc.ir import Array, ArtifactError, EvaluationError, TargetError, Value
from qcc.targets.cross import Emulator
from qcc.targets.emission.cross_tools import find_emulator
from qcc.targets.emission.interface import Interface
from qcc.targets.loaded_model import LoadedModel, require_ok
from qcc.targets.target import Target

from .counting import InstructionCount, count_instructions, option_text
from .harness import DESPITE_ERROR, OUTSIDE, Harness, memories

CHUNK_BYTES = 64 << 20
"""About how many bytes of inputs and outputs one start of the emulator handles."""

SECONDS = 3600
"""After this time a program is taken to hang."""

ENDS = {
    2: "could not read what it is asked",
    3: "could not read all of its inputs",
    4: "could not write its outputs",
    100: "was stopped by a fault of the processor",
}
"""What the statuses mean with which the programs of `harness.c` and `cortex_m_start.c` end."""


@dataclass(frozen=True)
class Request:
    """How the program calls the model, other than as its users would: for tests of its checks.

    Attributes:
        shift: bytes by which all inputs and outputs lie behind an aligned address.
        arena_shift: the same for the arena.
        arena_bytes: what the model is told of the arena's size; None leaves it out.
        options: of the emulator, instead of the target's.
    """

    shift: int = 0
    arena_shift: int = 0
    arena_bytes: int | None = None
    options: tuple[str, ...] | None = None

    def header(self, samples: int) -> bytes:
        """Return what the harness reads first."""
        size = -1 if self.arena_bytes is None else self.arena_bytes
        return struct.pack("<4i", samples, self.shift, self.arena_shift, size)


@dataclass(frozen=True)
class EmulatedModel(LoadedModel):
    """A compiled model of a foreign chip.

    Attributes:
        folder: a copy of the library, and the program once it is built.
        target: that the library is for.
    """

    folder: Path = field(repr=False)
    target: Target

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Return the outputs by name for one set of inputs; see `run_many`."""
        return next(self.run_many([inputs]))

    def run_many(self, samples: Iterable[Mapping[str, Array]]) -> Iterator[dict[str, Array]]:
        """Yield the outputs by name for each sample: arrays of the inputs' shapes and storage types.

        The first run reads the states as they are at first; a sample may give states too, under their names. What they
        become is among the outputs.

        An EvaluationError says which input does not fit, or what the model returned.
        """
        remaining = iter(samples)
        types = (*self.inputs, *self.outputs)
        size = sum(v.type.size * v.type.element.storage.dtype.itemsize for v in types)
        # States live as long as the program runs, so all runs of a model that has some are of one start.
        chunk = None if self.interface.states else max(1, CHUNK_BYTES // max(size, 1))
        while block := list(islice(remaining, chunk)):
            for status, outputs in self.call(block):
                require_ok(status)
                yield outputs

    def call(
        self, samples: Iterable[Mapping[str, Array]], request: Request = Request()
    ) -> list[tuple[int, dict[str, Array]]]:
        """Return status and outputs of each sample, from one start of the emulator.

        Where the status is an error, each byte of the outputs is FRESH. An EvaluationError says what the model wrote
        that it must not.
        """
        blocks = [self._input_bytes(sample) for sample in samples]
        data = self._execute(request.header(len(blocks)) + b"".join(blocks), request)
        return self._results(data, len(blocks))

    def count(self, sample: Mapping[str, Array]) -> InstructionCount:
        """Return how many instructions one run of the model executes, in all and step by step."""
        request = Request()
        data = request.header(1) + self._input_bytes(sample)

        def execute(plugin: Path, arguments: str) -> None:
            self._execute(data, request, ("-plugin", f"{option_text(plugin)},{arguments}"))

        return count_instructions(self.program, self.name, self._emulator.unit, execute)

    @cached_property
    def program(self) -> Path:
        """The program that runs the model, built when it is needed first."""
        if self.target.link is None:
            raise TargetError(f"{self.target} has no link recipe", help="give its family one: Target.link")
        needs_math = bool(self.manifest.get("has_float"))
        return Harness(self.interface, self.folder, self.target.link, needs_math).build()

    @property
    def _emulator(self) -> Emulator:
        if self.target.emulator is None:
            raise TargetError(f"nothing on this machine runs code for {self.target}", help="run it on the chip")
        return self.target.emulator

    def _input_bytes(self, sample: Mapping[str, Array]) -> bytes:
        states = tuple(Value(p.name, p.type) for p in self.interface.states)
        given = tuple(v for v in states if v.name in sample)
        checked = self._checked(sample, given)
        blocks = [np.ascontiguousarray(checked[v.name]).tobytes() for v in self.inputs]
        blocks.append(bytes(v in given for v in states))
        for v in states:
            size = v.type.size * v.type.element.storage.dtype.itemsize
            blocks.append(np.ascontiguousarray(checked[v.name]).tobytes() if v in given else bytes(size))
        return b"".join(blocks)

    def _results(self, data: bytes, samples: int) -> list[tuple[int, dict[str, Array]]]:
        """Take the answer of the harness apart."""
        values = (*self.outputs, *(Value(p.name, p.type) for p in self.interface.states))
        size = 4 + sum(v.type.size * v.type.element.storage.dtype.itemsize for v in values)
        if len(data) != samples * size:
            message = f"the emulated program wrote {len(data):,} bytes of outputs, not {samples * size:,}"
            raise EvaluationError(message, help=self._emulator.limit)
        place, found = 0, []
        for _ in range(samples):
            (status,) = struct.unpack_from("<i", data, place)
            self._require_inside(status)
            place += 4
            outputs: dict[str, Array] = {}
            for value in values:
                dtype = value.type.element.storage.dtype
                array = np.frombuffer(data, dtype, value.type.size, place)
                outputs[value.name] = array.reshape(value.type.shape).copy()
                place += array.nbytes
            found.append((status, outputs))
        return found

    def _require_inside(self, status: int) -> None:
        """Raise an EvaluationError where the harness found bytes changed that the model must not write."""
        for kind, what in ((OUTSIDE, "wrote outside of"), (DESPITE_ERROR, "returned an error, yet wrote")):
            number, watched = status - kind, memories(self.interface)
            if 0 <= number < len(watched):
                help = "this is a defect of qcc: report it with the model and the target"
                raise EvaluationError(f"{self.name}_run {what} the memory of {watched[number].what}", help=help)

    def _execute(self, data: bytes, request: Request, plugin: tuple[str, ...] = ()) -> bytes:
        """Run the program on `data` in a folder of its own and return what it wrote."""
        program = self.program
        with tempfile.TemporaryDirectory(prefix="qcc-") as text:
            folder = Path(text)
            (folder / "in.bin").write_bytes(data)
            command = self._command(program, request, plugin)
            with (folder / "in.bin").open("rb") as source, (folder / "out.bin").open("wb") as sink:
                streams: dict[str, Any] = {"stdin": source, "stdout": sink}
                if self._emulator.system:
                    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
                done = _run(command, folder, streams)
            written = (folder / "out.bin").read_bytes()
        if done.returncode:
            message = f"the emulated program {_how_it_ended(done)}"
            raise EvaluationError(message, op=" ".join(command), help=self._emulator.limit)
        return written

    def _command(self, program: Path, request: Request, plugin: tuple[str, ...]) -> list[str]:
        emulator = self._emulator
        options = emulator.options if request.options is None else request.options
        if self.target.machine == platform.machine() and not plugin and not emulator.system:
            return [str(program)]
        found = find_emulator(emulator)
        if not emulator.system:
            return [found, *options, *plugin, str(program)]
        quiet = ("-display", "none", "-monitor", "none", "-serial", "none", "-nic", "none")
        semihosting = ("-semihosting-config", "enable=on,target=native")
        return [found, *options, *quiet, *semihosting, *plugin, "-kernel", str(program)]


def _run(command: list[str], folder: Path, streams: dict[str, Any]) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(command, cwd=folder, stderr=subprocess.PIPE, timeout=SECONDS, check=False, **streams)
    except subprocess.TimeoutExpired as error:
        raise EvaluationError(f"the emulated program did not end within {SECONDS} s", op=" ".join(command)) from error
    except OSError as error:
        raise EvaluationError(f"{command[0]} can't be run: {error.strerror}") from error


def _how_it_ended(done: subprocess.CompletedProcess[bytes]) -> str:
    """What a status or signal means, and the emulator's last words, its warnings left out."""
    lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
    said = [line for line in lines if "warning:" not in line][-3:]
    if done.returncode < 0:
        names = {s.value: s.name for s in signal.Signals}
        how = f"was stopped by signal {-done.returncode} ({names.get(-done.returncode, 'unknown')})"
    elif done.returncode in ENDS:
        how = ENDS[done.returncode]
    else:
        how = f"ended with status {done.returncode}"
    return how + (": " + " ".join(said) if said else "")


def load_emulated(folder: Path, manifest: Mapping[str, Any], interface: Interface) -> EmulatedModel:
    """Return the model of an artifact that holds a library for a foreign chip; the folder may go away afterwards."""
    name = str(manifest["name"])
    target = Target.parse(str(manifest["target"]))
    copy = Path(tempfile.mkdtemp(prefix="qcc-"))
    try:
        for file in (f"{name}.h", f"{name}.c" if target.emits_c else f"lib{name}.a"):
            shutil.copyfile(folder / file, copy / file)
    except OSError as error:
        shutil.rmtree(copy, ignore_errors=True)
        message = f"{file} can't be read: {error.strerror}"
        raise ArtifactError(message, place=str(folder), help="compile the model again") from error
    model = EmulatedModel(interface, manifest, copy, target)
    weakref.finalize(model, shutil.rmtree, str(copy), ignore_errors=True)
    return model
