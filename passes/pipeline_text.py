"""Pipelines as text: `canonicalize,keep-float{ops="softmax"}` to passes and back."""

from __future__ import annotations

import dataclasses
import json
import re
import types
import typing
from collections.abc import Iterable
from functools import cache
from importlib import resources as package_files
from typing import Any, Literal, Union

import lark

from qcc.ir import PassError, nearest

from .base import Pass, option_text
from .registry import pass_named


class Quoted(str):
    """Text that stood in quotes: never the word `none`."""


class Pipeline(list[Pass]):
    """Passes in order; `str` gives the text that `parse_pipeline` reads back."""

    def __str__(self) -> str:
        return ",".join(map(str, self))


def pipeline_text(passes: Iterable[Pass]) -> str:
    """Return passes as pipeline text."""
    return str(Pipeline(passes))


@cache
def grammar() -> lark.Lark:
    """Return the parser of pipeline text."""
    text = (package_files.files(__package__) / "pipeline.lark").read_text(encoding="utf-8")
    return lark.Lark(text, parser="lalr", maybe_placeholders=False, propagate_positions=True)


def parse_pipeline(text: str) -> Pipeline:
    """Return the passes that `text` names, with their options; a PassError points at what is wrong."""
    text = re.sub(r"[\t\n\r\f\v]", " ", text)
    try:
        tree = grammar().parse(text)
    except lark.UnexpectedInput as error:
        column = error.column if error.column > 0 else len(text) + 1
        help = 'write pass,pass{option=value,other="text"}'
        raise _error(text, column, "this is not a pipeline here", help) from error
    return Pipeline(_pass(node, text) for node in tree.children if isinstance(node, lark.Tree))


def make_pass(name: str, options: dict[str, Any]) -> Pass:
    """Return the pass `name` with options given as text, numbers or lists; a PassError names what does not fit."""
    pass_class = pass_named(name)
    fields = {f.name: f for f in dataclasses.fields(pass_class)}
    hints = typing.get_type_hints(pass_class)
    values = {}
    for key, given in options.items():
        field_name = key.replace("-", "_")
        if field_name not in fields:
            help = nearest(field_name, list(fields)) if fields else f"{name} has no options"
            raise PassError(f"pass {name} has no option {key!r}", help=help)
        try:
            values[field_name] = convert(given, hints[field_name])
        except ValueError as error:
            wanted = type_text(hints[field_name])
            message = f"option {key} of pass {name} takes {wanted}, not {option_text(given)}"
            raise PassError(message, help=f"write {name}{{{key}={example(hints[field_name])}}}") from error
    missing = [
        f.name
        for f in fields.values()
        if f.default is dataclasses.MISSING and f.default_factory is dataclasses.MISSING and f.name not in values
    ]
    if missing:
        wanted = ",".join(f"{m}={example(hints[m])}" for m in missing)
        raise PassError(f"pass {name} needs the option {missing[0]!r}", help=f"write {name}{{{wanted}}}")
    return pass_class(**values)


def convert(given: Any, hint: Any) -> Any:
    """Return `given` (text, a number, or several of such) as a value of type `hint`; ValueError where it is none."""
    given = tuple(given) if isinstance(given, list) else given
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (Union, types.UnionType):
        return _convert_union(given, arguments)
    if origin is Literal:
        if given not in arguments:
            raise ValueError(given)
        return given
    if origin is tuple:
        return _convert_tuple(given, arguments)
    if isinstance(given, tuple):
        raise ValueError(given)
    if hint is bool:
        if str(given).lower() not in ("true", "false"):
            raise ValueError(given)
        return str(given).lower() == "true"
    if hint in (int, float, str):
        return hint(given)
    raise PassError(f"options of type {type_text(hint)} can't be given as text", help="set it in Python")


def _convert_union(given: Any, arguments: tuple[Any, ...]) -> Any:
    if types.NoneType in arguments and not isinstance(given, Quoted) and given in (None, "none"):
        return None
    for argument in arguments:
        if argument is types.NoneType:
            continue
        try:
            return convert(given, argument)
        except ValueError:
            continue
    raise ValueError(given)


def _convert_tuple(given: Any, arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    items = given if isinstance(given, tuple) else (given,)  # one element needs no brackets
    if len(arguments) == 2 and arguments[1] is Ellipsis:
        return tuple(convert(item, arguments[0]) for item in items)
    if len(items) != len(arguments):
        raise ValueError(given)
    return tuple(convert(item, argument) for item, argument in zip(items, arguments, strict=True))


def type_text(hint: Any) -> str:
    """Return a type annotation in words of the pipeline text."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (Union, types.UnionType):
        return " or ".join("none" if a is types.NoneType else type_text(a) for a in arguments)
    if origin is Literal:
        return "one of " + ", ".join(map(str, arguments))
    if origin is tuple and arguments[-1:] == (Ellipsis,):
        return f"a list of {type_text(arguments[0])}"
    if origin is tuple:
        return "[" + ",".join(map(type_text, arguments)) + "]"
    return {bool: "true or false", int: "an integer", float: "a number", str: "a text"}.get(hint, str(hint))


def example(hint: Any) -> str:
    """Return a value of a type as pipeline text, for help."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (Union, types.UnionType):
        return example(arguments[0])
    if origin is Literal:
        return option_text(arguments[0])
    if origin is tuple:
        return "[" + ",".join(example(a) for a in arguments if a is not Ellipsis) + "]"
    return {bool: "true", int: "1", float: "0.5", str: '"text"'}.get(hint, "value")


def _pass(node: lark.Tree[Any], text: str) -> Pass:
    name, *options = node.children
    given: dict[str, Any] = {}
    for option in options:
        if not isinstance(option, lark.Tree):
            continue
        key = str(option.children[0])
        if key in given:
            raise _error(text, option.meta.column, f"option {key!r} is given twice", "give it once")
        try:
            given[key] = _value(option.children[1])
        except json.JSONDecodeError as error:
            message = "this text has an escape that JSON does not know"
            raise _error(text, option.meta.column, message, r"write \\ for a backslash") from error
    try:
        return make_pass(str(name), given)
    except PassError as error:
        raise _error(text, getattr(name, "column", 1), error.message, error.help) from error


def _value(node: Any) -> Any:
    match node.data:
        case "list":
            return tuple(_value(child) for child in node.children)
        case "string":
            return Quoted(json.loads(str(node.children[0])))
        case _:
            return str(node.children[0])


def _error(text: str, column: int, message: str, help: str) -> PassError:
    pointer = " " * (column - 1) + "^"
    return PassError(f"{message}\n    {text}\n    {pointer}", place=f"pipeline:{column}", help=help)
