"""What a model for a foreign chip costs: executed instructions, in total, per operation and per multiply-accumulate."""

from __future__ import annotations

from dataclasses import dataclass

from qcc.artifact import Artifact
from qcc.compiler import total_macs
from qcc.ir import EvaluationError
from qcc.targets import partition


@dataclass(frozen=True)
class Cost:
    """Executed instructions of the whole model or of one kernel.

    Attributes:
        name: of the model, or the kernel's operations and where they came from.
        instructions: executed in one run.
        macs: multiply-accumulates of its operations.
    """

    name: str
    instructions: int
    macs: int

    @property
    def per_mac(self) -> float | None:
        """Instructions for each multiply-accumulate, None where there are none."""
        return self.instructions / self.macs if self.macs else None


@dataclass(frozen=True)
class InstructionCosts:
    """The costs of a model.

    Attributes:
        unit: `instructions`, or `packets` on Hexagon.
        total: of one run, entry function included.
        kernels: one by one, in the order in which they run.
    """

    unit: str
    total: Cost
    kernels: tuple[Cost, ...]


def instruction_costs(artifact: Artifact) -> InstructionCosts:
    """Count the instructions of one run of an artifact for a foreign chip.

    An EvaluationError says that the emulator saw other kernels than the module has.
    """
    count = artifact.count_instructions()
    kernels = [k for k in partition(artifact.module) if any(v.type.size for v in k.outputs)]  # others are not called
    if len(kernels) != len(count.steps):
        raise EvaluationError(
            f"the program called {len(count.steps)} kernels, the model has {len(kernels)}: they can't be told apart",
            place=str(artifact.manifest["name"]),
            help="this is a defect of qcc, please report it; `qcc run` and `qcc verify` are not concerned",
        )
    costs = tuple(
        Cost(kernel.description, step.instructions, total_macs(kernel.ops))
        for kernel, step in zip(kernels, count.steps, strict=True)
    )
    total = Cost(str(artifact.manifest["name"]), count.total, total_macs(artifact.module.ops))
    return InstructionCosts(count.unit, total, costs)
