"""Running artifacts for foreign chips: a small program around the library, executed by an emulator."""

from .counting import InstructionCount, StepCount
from .emulated_model import EmulatedModel, Request, load_emulated
from .harness import FRESH

__all__ = ["FRESH", "EmulatedModel", "InstructionCount", "Request", "StepCount", "load_emulated"]
