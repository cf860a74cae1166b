"""The rewrite engine: patterns with a root, a guard and a rewrite, applied in sweeps until nothing changes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from .builder import Builder
from .errors import IrError
from .module import Module, Output
from .op import Op, replace_op
from .types import Array, TensorType
from .value import Location, Value


@dataclass(frozen=True)
class Mismatch:
    """Why a pattern does not apply to an operation."""

    reason: str


class Pattern:
    """A rewrite rule: `root` says on which operations it is tried.

    `apply` returns the values that take the place of the operation's results, a `Mismatch` that says why not, or None
    where there is nothing to say. It emits new operations through the `Rewriter`.
    """

    root: ClassVar[type[Op] | tuple[type[Op], ...]] = Op

    def apply(self, op: Op, rewriter: Rewriter) -> Sequence[Value] | Value | Mismatch | None:
        """Try the rule on `op`."""
        raise IrError(f"{type(self).__name__} has no rewrite")


@dataclass
class RewriteReport:
    """What a rewriting did: applications by pattern, and the last mismatch by pattern and operation."""

    applied: dict[str, int] = field(default_factory=dict)
    mismatches: dict[tuple[str, str], str] = field(default_factory=dict)

    @property
    def changed(self) -> bool:
        """True where any pattern applied."""
        return bool(self.applied)


class Rewriter:
    """What a pattern sees: the module before the sweep, and the operations that the sweep has emitted so far."""

    def __init__(self, module: Module, name: str) -> None:
        self.module = module
        self.name = name
        self.builder = Builder(module.name, module.stage)
        for value in module.values:
            self.builder.unique(value)
        self.replaced: dict[str, Value] = {}
        self._inherited_uses: dict[str, int] = {}
        self._op: Op | None = None

    def current(self, value: Value) -> Value:
        """Return what stands for `value` of the module now."""
        return self.replaced.get(value.name, value)

    def definition(self, value: Value) -> Op | None:
        """Return the operation, as rewritten so far, that defines `value`; None for an input."""
        return self.builder.definition(value)

    def constant(self, value: Value) -> Array | None:
        """Return the data of `value` where it is a constant."""
        return self.builder.constant_of(value)

    def use_count(self, value: Value) -> int:
        """Return how many operations and outputs read `value`: at least what is true after the sweep's rewrites so far.

        The count is that of the module before the sweep, and of all that `value` has replaced since. A value made in
        this sweep has 0; the next sweep knows it.
        """
        return self.module.use_count(value) + self._inherited_uses.get(value.name, 0)

    def is_output(self, value: Value) -> bool:
        """True where `value`, or one that it replaced in this sweep, is returned."""
        return any(self.current(o.value).name == value.name for o in self.module.outputs)

    def emit(self, op_class: type[Op], *operands: Value, **attributes: Any) -> Value:
        """Append a new operation with one result; provenance and notes are those of the operation being rewritten."""
        return self.builder.emit(op_class, *operands, **self._with_notes(attributes))

    def emit_many(self, op_class: type[Op], *operands: Value, **attributes: Any) -> tuple[Value, ...]:
        """Append a new operation with any number of results."""
        return self.builder.emit_many(op_class, *operands, **self._with_notes(attributes))

    def emit_op(self, op: Op, **changes: Any) -> tuple[Value, ...]:
        """Append a changed copy of `op` with fresh result names; result types are inferred unless `types` is given."""
        types, wished = changes.pop("types", None), changes.pop("names", ())
        op = replace_op(op, **self._with_location(changes), results=())
        types = op.infer() if types is None else types
        names = [*wished, *[op.name] * (len(types) - len(wished))]
        results = tuple(Value(self.builder.unique(n), t) for n, t in zip(names, types, strict=True))
        return self.builder.append(replace_op(op, results=results))

    def constant_like(self, array: Array, value: Value, type: TensorType | None = None) -> Value:
        """Append a constant named after `value`, whose data it replaces."""
        return self.builder.constant(array, value.name, type, **self._with_location({}))

    def _with_location(self, attributes: dict[str, Any]) -> dict[str, Any]:
        location = self._op.location if self._op is not None else Location()
        attributes.setdefault("location", location.by(self.name))
        return attributes

    def _with_notes(self, attributes: dict[str, Any]) -> dict[str, Any]:
        attributes.setdefault("notes", self._op.notes if self._op is not None else ())
        return self._with_location(attributes)

    def sweep(self, patterns: Sequence[Pattern], report: RewriteReport) -> Module:
        """Return the module after one forward pass over its operations."""
        for op in self.module.ops:
            operands = tuple(self.current(v) for v in op.operands)
            op = replace_op(op, operands=operands) if operands != op.operands else op
            self._op = op
            if not self._try(op, patterns, report):
                self.builder.append(op)
        outputs = tuple(Output(o.name, self.current(o.value)) for o in self.module.outputs)
        return self.module.replace(ops=tuple(self.builder.ops), outputs=outputs)

    def _try(self, op: Op, patterns: Sequence[Pattern], report: RewriteReport) -> bool:
        for pattern in patterns:
            if not isinstance(op, pattern.root):
                continue
            start = len(self.builder.ops)
            found = pattern.apply(op, self)
            name = type(pattern).__name__
            if found is None or isinstance(found, Mismatch):
                del self.builder.ops[start:]
                if isinstance(found, Mismatch):
                    report.mismatches[name, op.results[0].name if op.results else op.name] = found.reason
                continue
            values = tuple(map(self.current, (found,) if isinstance(found, Value) else found))
            self._replace(op, values, start)
            report.applied[name] = report.applied.get(name, 0) + 1
            return True
        return False

    def _replace(self, op: Op, values: tuple[Value, ...], start: int) -> None:
        """Let `values` stand for the results of `op`; values emitted for it take over the results' names."""
        if len(values) != len(op.results):
            raise IrError(f"a rewrite of {op.name} gave {len(values)} values for {len(op.results)} results")
        fresh = {v.name for new in self.builder.ops[start:] for v in new.results}
        renamed: dict[str, Value] = {}
        for old, new in zip(op.results, values, strict=True):
            if new.name in fresh and new.name not in renamed:
                renamed[new.name] = Value(old.name, new.type)
            self.replaced[old.name] = renamed.get(new.name, new)
            if new.name not in renamed:
                self._inherited_uses[new.name] = self._inherited_uses.get(new.name, 0) + self.use_count(old)
        emitted = self.builder.ops[start:]
        del self.builder.ops[start:]
        for new_op in emitted:
            self.builder.append(rename(new_op, renamed))


def rename(op: Op, names: dict[str, Value]) -> Op:
    """Return `op` with the operands and results in `names` replaced."""
    operands = tuple(names.get(v.name, v) for v in op.operands)
    results = tuple(names.get(v.name, v) for v in op.results)
    if operands == op.operands and results == op.results:
        return op
    return replace_op(op, operands=operands, results=results)


def rewrite(module: Module, patterns: Iterable[Pattern], name: str, limit: int = 200) -> tuple[Module, RewriteReport]:
    """Apply `patterns` in sweeps until nothing changes, then drop dead operations.

    Args:
        name: of the pass, for provenance.
        limit: sweeps before an IrError says that the rules do not come to an end.
    """
    report, rules = RewriteReport(), list(patterns)
    for _ in range(limit):
        once = RewriteReport()
        module = drop_dead(Rewriter(module, name).sweep(rules, once))
        report.mismatches = once.mismatches
        for key, count in once.applied.items():
            report.applied[key] = report.applied.get(key, 0) + count
        if not once.changed:
            return module, report
    raise IrError(f"{name}: rules still apply after {limit} sweeps", help="two rules undo each other: see --dump-ir")


def drop_dead(module: Module) -> Module:
    """Return the module without operations whose results nothing reads."""
    alive = {o.value.name for o in module.outputs}
    kept: list[Op] = []
    for op in reversed(module.ops):
        if any(v.name in alive for v in op.results):
            kept.append(op)
            alive.update(v.name for v in op.operands)
    return module.replace(ops=tuple(reversed(kept))) if len(kept) != len(module.ops) else module


def retype(module: Module, types: dict[str, TensorType]) -> Module:
    """Return the module with the types of the values named in `types` changed, wherever they stand."""

    def new(value: Value) -> Value:
        return value.with_type(types[value.name]) if value.name in types else value

    ops = tuple(
        replace_op(op, operands=tuple(map(new, op.operands)), results=tuple(map(new, op.results))) for op in module.ops
    )
    outputs = tuple(Output(o.name, new(o.value)) for o in module.outputs)
    return module.replace(inputs=tuple(map(new, module.inputs)), ops=ops, outputs=outputs)
