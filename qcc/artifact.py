"""An artifact: the compiled library with its integer module and its manifest, in memory or in a folder."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from qcc.ir import Array, ArtifactError, Module, QccError, TargetError, load_module, parse_bytes
from qcc.samples import Samples, check_samples, join, shared_axis, to_codes, to_real
from qcc.targets.emission import MANIFEST_FILE, check_module, read_manifest, save
from qcc.targets.emission import Artifact as Emitted
from qcc.targets.emulation import EmulatedModel, InstructionCount
from qcc.targets.runtime import CompiledModel, load_model


@dataclass(frozen=True, eq=False)
class Artifact:
    """A compiled model.

    Attributes:
        manifest: what the artifact says of itself.
        folder: where it is, None for one that was just compiled.
        files: contents by name of one that was just compiled.
    """

    manifest: Mapping[str, Any]
    folder: Path | None = None
    files: Mapping[str, bytes] = field(default_factory=dict, repr=False)

    @staticmethod
    def of(emitted: Emitted) -> Artifact:
        """Return the artifact that code generation gave."""
        return Artifact(emitted.manifest, None, emitted.files)

    @staticmethod
    def load(folder: str | Path) -> Artifact:
        """Return the artifact in a folder; ArtifactError if there is none."""
        return Artifact(read_manifest(folder), Path(folder))

    def save(self, folder: str | Path) -> Path:
        """Write the artifact to a folder (absent, empty or an artifact): whole, or not at all."""
        if self.folder is not None:
            files = {name: (self.folder / name).read_bytes() for name in (*self.manifest["files"], MANIFEST_FILE)}
            return save(files, folder)
        return save(self.files, folder)

    @cached_property
    def module(self) -> Module:
        """The final module, inputs and outputs typed as the C API takes them."""
        name = f"{self.manifest['name']}.qir"
        if self.folder is None:
            return parse_bytes(self.files[name], file=name)
        try:
            module = load_module(self.folder / name)
        except (OSError, QccError) as error:
            message = f"its module {name} can't be read: {error}"
            raise ArtifactError(message, place=str(self.folder), help="compile the model again") from error
        check_module(module, self.manifest, str(self.folder))
        return module

    @cached_property
    def library(self) -> CompiledModel | EmulatedModel:
        """The library, loaded into this process (a `c` artifact is compiled by the host's compiler first).

        That of a foreign chip is run by an emulator.
        """
        if self.folder is not None:
            return load_model(self.folder)
        with tempfile.TemporaryDirectory(prefix="qcc-") as work:
            return load_model(save(self.files, Path(work) / "artifact"))

    def run(self, inputs: Mapping[str, Array], raw: bool = False) -> dict[str, Array]:
        """Run samples: arrays by input name, first axis samples; outputs by name, likewise.

        Where the model's inputs share a first axis (see `qcc.samples`) that axis is samples, in outputs that have it
        too; otherwise, and for other outputs, arrays hold one whole tensor for each run. Real numbers given to a
        quantized input are quantized, arrays of its storage type are codes, other types are refused. The samples are
        run in their order: a model with states begins as it is before its first run, and keeps them from run to run.

        Args:
            inputs: arrays by input name.
            raw: return codes, not real numbers.
        """
        return self.run_samples(check_samples(inputs, self.module.caller_inputs, "inputs"), raw)

    def run_samples(
        self, samples: Samples, raw: bool = False, progress: Callable[[str, int, int | None], None] | None = None
    ) -> dict[str, Array]:
        """Run checked samples; see `run`."""
        found: dict[str, list[Array]] = {o.name: [] for o in self.module.caller_outputs}
        total = samples.runs(self.module.caller_inputs)
        batches = samples.batches(self.module.caller_inputs)
        codes = ({v.name: to_codes(batch[v.name], v.type) for v in self.module.caller_inputs} for batch in batches)
        for number, outputs in enumerate(self.run_many(codes)):
            for name, arrays in found.items():
                arrays.append(outputs[name])
            if progress is not None:
                progress("run", number + 1, total)
        types = {o.name: o.value.type for o in self.module.caller_outputs}
        size = shared_axis(self.module.caller_inputs)
        rows = {name: join(arrays, size, samples.count) for name, arrays in found.items()}
        return rows if raw else {name: to_real(array, types[name]) for name, array in rows.items()}

    def run_codes(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Run the library once on arrays of the exact shapes and storage types."""
        return self.library.run(inputs)

    def run_many(self, samples: Iterable[Mapping[str, Array]]) -> Iterator[dict[str, Array]]:
        """Run the library on each sample in turn, states kept between; an emulator is started once for many."""
        return self.library.run_many(samples)

    def count_instructions(self) -> InstructionCount:
        """Return the instructions that one run of a foreign chip's library executes, by an emulator.

        A TargetError says that the library is not for a foreign chip.
        """
        if isinstance(self.library, CompiledModel):
            message = f"instructions of {self.manifest['target']} can't be counted"
            raise TargetError(message, help="`qcc bench` measures its time")
        return self.library.count(self.zeros)

    def make_call(self) -> Callable[[], None]:
        """Return a callable that runs the model once on zeros, with buffers of its own, for timing.

        An ArtifactError says that the library is for a foreign chip, whose time an emulator does not tell.
        """
        if not isinstance(self.library, CompiledModel):
            message = f"the artifact is for {self.manifest['target']}, whose time can't be measured here"
            raise ArtifactError(message, help="`qcc bench` counts its instructions")
        return self.library.bind(self.zeros).run

    @property
    def zeros(self) -> dict[str, Array]:
        """A sample of zeros."""
        return {v.name: np.zeros(v.type.shape, v.type.element.storage.dtype) for v in self.module.caller_inputs}
