"""An artifact: the integer module, its manifest and the compiled library, in memory or in a folder."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from qcc.ir import Array, Module
from qcc.samples import Samples, check_samples, to_codes, to_real
from qcc.targets import ArtifactFiles, CompiledModel, read_artifact, save_artifact


@dataclass(frozen=True, eq=False)
class Artifact:
    """A compiled model.

    Attributes:
        files: the artifact's files by name.
        module: the final module, inputs and outputs typed as the C API takes them.
    """

    files: ArtifactFiles
    module: Module

    @staticmethod
    def load(folder: str | Path) -> Artifact:
        """Read an artifact folder; ArtifactError says what is wrong with it."""
        files, module = read_artifact(Path(folder))
        return Artifact(files, module)

    def save(self, folder: str | Path) -> None:
        """Write the artifact to a folder: whole, or not at all."""
        save_artifact(self.files, Path(folder))

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """The contents of manifest.json."""
        manifest: dict[str, Any] = json.loads(self.files["manifest.json"])
        return manifest

    @cached_property
    def library(self) -> CompiledModel:
        """The library, loaded into this process (a `c` artifact is compiled first)."""
        return CompiledModel.from_files(self.files)

    def run(self, inputs: Mapping[str, Array], raw: bool = False) -> dict[str, Array]:
        """Run samples: arrays by input name, first axis samples.

        Real numbers given to a quantized input are quantized, integers are codes.

        Args:
            raw: return codes, not real numbers.
        """
        return self.run_samples(check_samples(inputs, self.module.inputs, "inputs"), raw)

    def run_samples(
        self, samples: Samples, raw: bool = False, progress: Callable[[str, int, int | None], None] | None = None
    ) -> dict[str, Array]:
        """Run checked samples; outputs have as many rows as there are samples."""
        found: dict[str, list[Array]] = {o.name: [] for o in self.module.outputs}
        batches = list(samples.batches(self.module.inputs))
        for number, batch in enumerate(batches):
            codes = {v.name: to_codes(batch[v.name], v.type) for v in self.module.inputs}
            for name, array in self.run_codes(codes).items():
                found[name].append(array)
            if progress is not None:
                progress("run", number + 1, len(batches))
        rows = {name: np.concatenate(arrays)[: samples.count] for name, arrays in found.items()}
        types = {o.name: o.value.type for o in self.module.outputs}
        return rows if raw else {name: to_real(array, types[name]) for name, array in rows.items()}

    def run_codes(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Run the library once on codes of the exact shapes."""
        return self.library.run(inputs)

    def make_call(self) -> Callable[[], None]:
        """Return a callable that runs the model once on buffers of its own, for timing."""
        return self.library.make_call()
