"""What a pass is: a frozen dataclass whose fields are its options, and the context that it runs in."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from qcc.ir import ANY_STAGE, Array, Module, PassError, RewriteReport, Stage

from .hardware import HardwareSpec

#: Each call starts the calibration data anew: one mapping a sample, input name to float array of the input's shape.
Calibration = Callable[[], Iterable[Mapping[str, Array]]]

#: Called with what is being done, steps done, and steps in all where that is known.
Progress = Callable[[str, int, int | None], None]

_PLAIN_WORD = re.compile(r'[^\s,{}\[\]="]+')


@dataclass(frozen=True)
class Remark:
    """A decision or a warning of a pass that the user is told.

    Attributes:
        pass_name: who says it.
        subject: the value or operation concerned.
        message: what, with the reason.
        severity: `remark` or `warning`.
    """

    pass_name: str
    subject: str
    message: str
    severity: str = "remark"

    def __str__(self) -> str:
        return f"{self.severity}: {self.pass_name}: {self.subject}: {self.message}"


@dataclass
class PassContext:
    """What a run of a pipeline knows beside the module.

    Attributes:
        hardware: what the target's integer unit wants.
        calibration: the calibration data, None where there is none.
        remarks: what the passes report, in order.
        progress: called during long work.
        target: the target, for passes that belong to one.
    """

    hardware: HardwareSpec = field(default_factory=HardwareSpec)
    calibration: Calibration | None = None
    remarks: list[Remark] = field(default_factory=list)
    progress: Progress | None = None
    target: Any = None

    def remark(self, pass_name: str, subject: str, message: str, severity: str = "remark") -> None:
        """Record a remark, once."""
        found = Remark(pass_name, subject, message, severity)
        if found not in self.remarks:
            self.remarks.append(found)

    def remark_mismatches(self, pass_name: str, report: RewriteReport) -> None:
        """Record why rules of a pass did not apply where they were tried."""
        for (_, subject), reason in report.mismatches.items():
            self.remark(pass_name, subject, reason)


@dataclass(frozen=True)
class Pass:
    """Base of all passes.

    The fields of a subclass are its options, in Python and in pipeline text; their annotations (bool, int, float, str,
    tuples of these, `… | None`) say how text becomes a value. The docstring's first sentence is the pass's summary;
    `.qir` snippets after lines `Before:` and `After:` are executed by a test.
    """

    name: ClassVar[str] = ""
    accepts: ClassVar[frozenset[Stage]] = ANY_STAGE
    #: The stage of the result, None where it is that of the argument.
    produces: ClassVar[Stage | None] = None

    def run(self, module: Module, context: PassContext) -> Module:
        """Return the module rewritten."""
        raise PassError(f"{type(self).__name__} has no run method", help="define run(self, module, context)")

    def __str__(self) -> str:
        """The pass as pipeline text, options that have their default value left out."""
        shown = []
        for option in dataclasses.fields(self):
            value = getattr(self, option.name)
            if value != option_default(option):
                shown.append(f"{option.name}={option_text(value)}")
        return self.name + (f"{{{','.join(shown)}}}" if shown else "")


def option_default(option: dataclasses.Field[Any]) -> Any:
    """Return the default value of an option, `dataclasses.MISSING` where it must be given."""
    if option.default_factory is not dataclasses.MISSING:
        return option.default_factory()
    return option.default


def option_text(value: Any) -> str:
    """Return an option's value as pipeline text."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        return "[" + ",".join(map(option_text, value)) + "]"
    if isinstance(value, str):
        plain = _PLAIN_WORD.fullmatch(value) and value not in ("none", "true", "false")
        return value if plain else json.dumps(value, ensure_ascii=False)
    return repr(value) if isinstance(value, float) else str(value)
