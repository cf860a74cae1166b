"""The pass manager: runs a pipeline; checks stages, verifies, times, prints, dumps and writes reproducers."""

from __future__ import annotations

import platform
import sys
import tempfile
import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import TextIO

import numpy as np

from qcc.ir import Module, PassError, QccError, Resources, Stage, print_module, verify

from .base import Pass, PassContext
from .foreign import foreign_code, raised_at, sentence
from .pipeline_text import pipeline_text

#: In `print_before` and `print_after`: every pass.
ALL = "all"


@dataclass(frozen=True)
class Timing:
    """What one pass took: seconds in it, seconds of verification behind it, operations before and after."""

    pass_name: str
    seconds: float
    verify_seconds: float
    ops_before: int
    ops_after: int


@dataclass
class PassManager:
    """Runs passes in order.

    Attributes:
        passes: the pipeline.
        verify_each: verify the module after each pass.
        print_before, print_after: names of passes, or `all`, around which the module is printed to `stream`.
        print_on_change: print after each pass that changed the module.
        print_weights: large constants are printed too, not elided (also in dumped files).
        dump_dir: folder for the module before and after each pass: `00-import.qir`, `01-canonicalize.qir`, …
        reproducer_dir: folder for reproducers; by default one is written to the temporary folder, and only where a
            pass failed unexpectedly.
        stream: where to print, standard error by default.
        timings: what the last run took, by pass.
    """

    passes: Iterable[Pass]
    verify_each: bool = True
    print_before: Collection[str] = ()
    print_after: Collection[str] = ()
    print_on_change: bool = False
    print_weights: bool = False
    dump_dir: Path | None = None
    reproducer_dir: Path | None = None
    stream: TextIO | None = None
    timings: list[Timing] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.passes = tuple(self.passes)
        names = {p.name for p in self.passes}
        for wanted in (*self.print_before, *self.print_after):
            if wanted not in names and wanted != ALL:
                help = "its passes: " + ", ".join(sorted(names))
                raise PassError(f"the pipeline has no pass {wanted!r} to print the module at", help=help)

    def run(self, module: Module, context: PassContext | None = None) -> Module:
        """Return the module after all passes.

        A QccError of a pass keeps its type and names the pass as its place; any other exception becomes a PassError
        that names the reproducer.
        """
        context = PassContext() if context is None else context
        pipeline = tuple(self.passes)
        check_stages(pipeline, module.stage)
        self.timings.clear()
        self._dump(0, "import", module)
        for index, current in enumerate(pipeline):
            if context.progress is not None:
                context.progress(current.name, index, len(pipeline))
            self._print_if(self.print_before, "before", current, module)
            result = self._run_one(pipeline[index:], module, context)
            self._print_if(self.print_after, "after", current, result)
            if self.print_on_change and result != module and not self._wanted(self.print_after, current):
                self._print(f"after {current} (changed)", result)
            self._dump(index + 1, current.name, result)
            module = result
        return module

    def _run_one(self, rest: tuple[Pass, ...], module: Module, context: PassContext) -> Module:
        """Run the first pass of `rest`, verify its result, and report what goes wrong in either."""
        current = rest[0]

        def as_error(error: BaseException) -> PassError:
            message = f"pass {current.name} failed unexpectedly: {sentence(error)}"
            help = "report it with the reproducer: " + self._reproducer(rest, module)
            return PassError(message, place=f"{current.name} ({raised_at(error)})", help=help)

        with foreign_code(as_error):
            try:
                start = time.perf_counter()
                result = current.run(module, context)
                middle = time.perf_counter()
                self._check_result(current, module, result)
                end = time.perf_counter()
            except QccError as error:
                error.place = f"{current.name}: {error.place}" if error.place else current.name
                if self.reproducer_dir is not None:
                    reproducer = "the reproducer is " + self._reproducer(rest, module)
                    error.help = f"{error.help}; {reproducer}" if error.help else reproducer
                raise
        self.timings.append(Timing(current.name, middle - start, end - middle, len(module.ops), len(result.ops)))
        return result

    def _check_result(self, current: Pass, before: Module, after: Module) -> None:
        expected = current.produces or before.stage
        if not isinstance(after, Module):  # of somebody else's pass
            raise PassError(f"{current.name} returned {type(after).__name__}, not a module")
        if after.stage is not expected:
            raise PassError(
                f"{current.name} returned a module of stage {after.stage.value}, it declares {expected.value}",
                help="set `produces` of the pass, or the stage of the module that it returns",
            )
        if self.verify_each:
            verify(after)

    def _resources(self) -> Resources:
        return Resources.INLINE if self.print_weights else Resources.ELIDED

    def _wanted(self, names: Collection[str], current: Pass) -> bool:
        return current.name in names or ALL in names

    def _print_if(self, names: Collection[str], when: str, current: Pass, module: Module) -> None:
        if self._wanted(names, current):
            self._print(f"{when} {current}", module)

    def _print(self, title: str, module: Module) -> None:
        stream = sys.stderr if self.stream is None else self.stream
        stream.write(f"// ---- IR {title} ----\n{print_module(module, self._resources(), locations=False)}\n")

    def _dump(self, number: int, name: str, module: Module) -> None:
        if self.dump_dir is None:
            return
        path = Path(self.dump_dir) / f"{number:02d}-{name}.qir"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(print_module(module, self._resources()), encoding="utf-8")
        except OSError as error:
            message = f"the module can't be dumped: {error.strerror}"
            raise PassError(message, place=str(path), help="give a folder that can be written") from error

    def _reproducer(self, rest: tuple[Pass, ...], module: Module) -> str:
        """Write a reproducer and return its path, or why it could not be written."""
        folder = Path(tempfile.gettempdir() if self.reproducer_dir is None else self.reproducer_dir)
        try:
            folder.mkdir(parents=True, exist_ok=True)
            path = _free_path(folder, f"{module.name}-{rest[0].name}")
            path.write_text(reproducer_text(rest, module, path.name), encoding="utf-8")
        except OSError as error:
            return f"none, {folder} can't be written ({error.strerror})"
        return str(path)


def check_stages(pipeline: Iterable[Pass], stage: Stage) -> Stage:
    """Return the stage behind the last pass; a PassError names the first pass that does not accept its argument's."""
    maker = "the module"
    for current in pipeline:
        if stage not in current.accepts:
            accepted = " or ".join(s.value for s in Stage if s in current.accepts)
            raise PassError(
                f"pass {current.name} takes a module of stage {accepted}; {maker} is {stage.value} there",
                place=str(current),
                help=f"put it where the module is {accepted}, or leave it out",
            )
        if current.produces is not None and current.produces is not stage:
            stage, maker = current.produces, f"the module behind {current.name}"
    return stage


def reproducer_text(rest: tuple[Pass, ...], module: Module, file: str) -> str:
    """Return `.qir` text of the module before a pass that failed, with the pipeline from there on and versions."""
    pipeline = pipeline_text(rest)
    module = module.with_attribute("reproducer.pipeline", pipeline).with_attribute("reproducer.versions", versions())
    quoted = "'" + pipeline.replace("'", "'\\''") + "'"
    return f"// qcc opt {file} -p {quoted}\n{print_module(module)}"


def versions() -> str:
    """Return the versions that a pass's result may depend on, and the machine."""
    try:
        own = metadata.version("qcc")
    except metadata.PackageNotFoundError:
        own = "from source"
    return f"qcc {own}, Python {platform.python_version()}, NumPy {np.__version__}, {platform.machine()}"


def _free_path(folder: Path, stem: str) -> Path:
    path, count = folder / f"{stem}.qir", 0
    while path.exists():
        count += 1
        path = folder / f"{stem}-{count}.qir"
    return path
