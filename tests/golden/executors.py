"""What runs a module in golden tests: the evaluator first, then every target at hand.

An executor takes a module and inputs (storage types) and returns the outputs by name, or None where it can't run this
module. All must agree bit by bit on integers.
"""

import shutil
from collections.abc import Callable, Mapping

from qcc.artifact import Artifact
from qcc.ir import Array, Module, Stage, evaluate
from qcc.passes import PassContext, PassManager
from qcc.targets import FuseEpilogue, PackWeights, PlanMemory, Target
from qcc.targets.emission import emit

Executor = Callable[[Module, Mapping[str, Array]], dict[str, Array] | None]

TARGETS = ("c", *(f"x86_64-linux-gnu+{level}" for level in ("avx2", "avx-vnni", "avx512-vnni")))


def compiled(name: str) -> Executor:
    """Return the executor that compiles an integer module for a target, whatever its hardware specification says."""
    target = Target.parse(name)

    def execute(module: Module, inputs: Mapping[str, Array]) -> dict[str, Array] | None:
        if module.stage is not Stage.INTEGER or target.missing_on_host() or shutil.which("cc") is None:
            return None
        context = PassContext(hardware=target.hardware, target=target)
        planned = PassManager([FuseEpilogue(), PackWeights(), PlanMemory()]).run(module, context)
        return Artifact.of(emit(planned, target)).run_codes(inputs)

    return execute


EXECUTORS: dict[str, Executor] = {"evaluator": evaluate, **{name: compiled(name) for name in TARGETS}}
