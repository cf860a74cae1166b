"""The IR that a pass's docstring shows before and after is what the pass does."""

import inspect
import re
import textwrap

import numpy as np
import pytest

from qcc import targets
from qcc.ir import Module, parse_module, print_module, verify
from qcc.passes import Pass, PassContext, make_pass, pass_named, registered_passes

OWN_LAYERS = ("qcc.passes.", f"{targets.__name__}.")


def snippets(pass_class: type[Pass]) -> dict[str, str]:
    """Return the indented `.qir` texts behind the lines `Before:` and `After:` of a docstring."""
    text = inspect.cleandoc(pass_class.__doc__ or "")
    found = re.findall(r"^(Before|After):\n+((?:    .*\n|\n)+)", text + "\n", re.MULTILINE)
    return {title: textwrap.dedent(body) for title, body in found}


#: Options of the examples of passes that do nothing without.
OPTIONS = {"keep-float": {"ops": "softmax"}}


def options_of_example(pass_class: type[Pass]) -> Pass:
    """Return the pass as its example runs it: with default options, except where it needs some."""
    return make_pass(pass_class.name, OPTIONS.get(pass_class.name, {}))


def own_passes() -> list[str]:
    """Return the names of the passes of this package: not those that other tests register."""
    return [name for name, found in registered_passes().items() if found.__module__.startswith(OWN_LAYERS)]


def read(text: str) -> Module:
    """Return the module that a snippet shows."""
    return parse_module(text)


#: The calibration data of the example of `calibrate`.
SAMPLES = [{"x": np.array(x, np.float32)} for x in ([-1, 0, 2], [1, 0, 0.5])]


@pytest.mark.parametrize("name", own_passes())
def test_the_example_in_the_docstring_is_true(name: str) -> None:
    pass_class = pass_named(name)
    example = snippets(pass_class)
    assert set(example) == {"Before", "After"}, f"{name} shows no IR before and after"
    target = targets.Target.parse("x86_64-linux-gnu+avx512-vnni")
    context = PassContext(hardware=target.hardware, calibration=lambda: SAMPLES, target=target)
    result = options_of_example(pass_class).run(read(example["Before"]), context)
    verify(result)
    expected = read(example["After"])
    assert print_module(result, locations=False) == print_module(expected, locations=False)


@pytest.mark.parametrize("name", own_passes())
def test_a_pass_says_what_it_does_in_one_line(name: str) -> None:
    first = (pass_named(name).__doc__ or "").splitlines()[0]
    assert re.fullmatch(r"[A-Z].*\.", first), first


def test_the_examples_are_found() -> None:
    assert "fold-batch-norm" in own_passes()
    assert snippets(pass_named("fold-batch-norm"))["Before"].startswith("module @m")
