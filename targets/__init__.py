"""Targets: what each chip can do, and how a module becomes C or machine code for it."""

if __name__ != "qcc.targets":
    raise ImportError(f"import qcc.targets, not {__name__}: a second copy of its classes would not equal the first")

from .arm_linux_family import ARM_LINUX_FAMILY, ArmLinuxFamily
from .c_family import C_FAMILY, CFamily
from .cortex_m_family import CORTEX_M_FAMILY, CortexMFamily
from .cross import CrossCompiler, Emulator, LinkRecipe
from .fuse_epilogue import FuseEpilogue
from .hexagon_family import HEXAGON_FAMILY, HexagonFamily
from .kernel import ConstantArgument, Kernel, LoweredKernel, lower_kernel, partition
from .legalize_for_target import LegalizeForTarget
from .pack_weights import PackWeights
from .plan_memory import PlanMemory, arena_bytes, check_plan
from .registry import families, family_of, register_family
from .target import NATIVE, Target, TargetFamily, native_target, with_cpu, with_emission
from .x86_family import X86_FAMILY, X86_FEATURE_LEVELS, X86Family, X86Level

__all__ = [  # by topic
    # targets
    "NATIVE",
    "ARM_LINUX_FAMILY",
    "ArmLinuxFamily",
    "CFamily",
    "C_FAMILY",
    "CORTEX_M_FAMILY",
    "CortexMFamily",
    "CrossCompiler",
    "Emulator",
    "HEXAGON_FAMILY",
    "HexagonFamily",
    "LinkRecipe",
    "Target",
    "TargetFamily",
    "X86Family",
    "X86Level",
    "X86_FAMILY",
    "X86_FEATURE_LEVELS",
    "families",
    "family_of",
    "native_target",
    "register_family",
    "with_cpu",
    "with_emission",
    # passes for one target
    "FuseEpilogue",
    "LegalizeForTarget",
    "PackWeights",
    "PlanMemory",
    "arena_bytes",
    "check_plan",
    # kernels
    "ConstantArgument",
    "Kernel",
    "LoweredKernel",
    "lower_kernel",
    "partition",
]
