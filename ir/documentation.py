"""The reference of operations, generated from their classes."""

from __future__ import annotations

import inspect
import re
from dataclasses import MISSING
from typing import Any

from .attributes import type_text
from .op import Op, Operand, Operands, OptionalOperand, Stage, attribute_fields, operand_names, registered_ops

HEADER = """# Operations

Generated from the classes in `ir/ops` by `qcc.ir.operations_reference()`; a test holds this page and them together.

How to read it: `bias?` is an optional operand, `inputs*` any number of them. *Legal in* names the stages (see
[ir.md](ir.md)); an operation of the float stage is legal in every stage on plain floats, as part of a float region.
"""


def operations_reference() -> str:
    """Return the reference of all registered operations as Markdown."""
    classes = registered_ops()
    index = ", ".join(f"[`{name}`](#{name})" for name in classes)
    return "\n".join([HEADER, index, "", *(operation_reference(c) for c in classes.values())])


def operation_reference(op_class: type[Op]) -> str:
    """Return the section of one operation: its sentence and formula, operands, attributes, stages and facts."""
    lines = [f"## {op_class.name}", "", _description(op_class), ""]
    operands = _operands(op_class)
    lines += ["| operand | |", "| --- | --- |", *operands, ""] if operands else []
    attributes = [_attribute(op_class, f) for f in attribute_fields(op_class)]
    lines += ["| attribute | type | default | |", "| --- | --- | --- | --- |", *attributes, ""] if attributes else []
    stages = ", ".join(stage.value for stage in Stage if stage in op_class.stages)
    lines += [f"Legal in: {stages}. Result: {_result(op_class)}", ""]
    facts = _facts(op_class)
    return "\n".join([*lines, f"{facts}\n"] if facts else lines)


def _description(op_class: type[Op]) -> str:
    """Return the docstring without its list of attributes."""
    text = inspect.getdoc(op_class) or ""
    return re.split(r"\n\s*Attributes:\s*\n", text)[0].strip()


def _operands(op_class: type[Op]) -> list[str]:
    rows = []
    for name in operand_names(op_class):
        member = inspect.getattr_static(op_class, name.rstrip("?*"))
        doc = member.doc if isinstance(member, Operand | OptionalOperand | Operands) else ""
        rows.append(f"| `{name}` | {doc} |")
    return rows


def _attribute(op_class: type[Op], field: Any) -> str:
    default = "required" if field.default is MISSING else f"`{_value_text(field.default)}`"
    kind = type_text(op_class, field.name).replace("|", "\\|")
    return f"| `{field.name}` | `{kind}` | {default} | {_attribute_text(op_class, field.name)} |"


def _attribute_text(op_class: type[Op], name: str) -> str:
    """Return what the docstring of the class, or of the base that says it, tells of an attribute."""
    for base in op_class.__mro__:
        section = re.split(r"\n\s*Attributes:\s*\n", inspect.cleandoc(base.__doc__ or ""))
        entries = re.split(r"\n(?=\s{0,4}[a-z_]+(?:, [a-z_]+)*: )", section[1]) if len(section) > 1 else []
        for entry in entries:
            names, _, text = entry.strip().partition(":")
            if name in names.split(", "):
                return " ".join(text.split())
    return ""


def _value_text(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value}"'
    return str(list(value)) if isinstance(value, tuple) else str(value)


def _result(op_class: type[Op]) -> str:
    text = " ".join((inspect.getdoc(op_class.infer) or "").split("\n\n")[0].split())
    return text[:1].lower() + text[1:] if text[:2] in ("Th", "On", "X ") else text


def _facts(op_class: type[Op]) -> str:
    facts = {
        "moves_data": "only moves or selects elements",
        "shares_parameters": "operands and result share scale and zero point",
        "elementwise": "works element by element",
        "reads_codes": "compares codes as they are",
        "boundary": "converts between real, quantized and stored values",
        "fusable_clamp": "a clamp behind it can become its `clamp`",
    }
    found = [text for name, text in facts.items() if getattr(op_class, name)]
    return "Facts: " + "; ".join(found) + "." if found else ""
