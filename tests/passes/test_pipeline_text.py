"""Pipelines as text: read, printed back, and explained where they are wrong."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qcc.ir import Module, PassError, Stage
from qcc.passes import (
    DEFAULT_PASSES,
    Part,
    Pass,
    PassContext,
    Pipeline,
    check_stages,
    default_pipeline,
    make_pass,
    parse_pipeline,
    pipeline_text,
    registry,
)


@dataclass(frozen=True)
class Knobs(Pass):
    """Hold an option of every kind."""

    name: ClassVar[str] = "test-knobs"

    needed: int
    flag: bool = False
    ratio: float = 0.5
    text: str = ""
    maybe: str | None = None
    axes: tuple[int, ...] = ()
    pair: tuple[int, float] = (1, 2.0)
    kind: Literal["min-max", "percentile"] = "min-max"

    def run(self, module: Module, context: PassContext) -> Module:
        return module


@pytest.fixture(autouse=True)
def knobs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry._REGISTRY, Knobs.name, Knobs)


def test_options_are_converted_by_their_annotations() -> None:
    (found,) = parse_pipeline(
        'test-knobs{needed=-3, flag=TRUE, ratio=1e-2, text="a, b}", maybe=x, axes=[1,2],pair=[2,3.5],kind=percentile}'
    )
    assert found == Knobs(-3, True, 0.01, "a, b}", "x", (1, 2), (2, 3.5), "percentile")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("test-knobs{needed=1,axes=3}", Knobs(1, axes=(3,))),
        ("test-knobs{needed=1,axes=[]}", Knobs(1)),
        ("test-knobs{needed=1,maybe=none}", Knobs(1)),
        ('test-knobs{needed=1,maybe="none"}', Knobs(1, maybe="none")),
        ("test-knobs { needed = 1 }", Knobs(1)),
    ],
)
def test_short_forms(text: str, expected: Knobs) -> None:
    assert parse_pipeline(text) == [expected]


def test_nothing_is_an_empty_pipeline() -> None:
    assert parse_pipeline("") == []
    assert parse_pipeline("  \n") == []


texts = st.text(st.characters(codec="utf-8"), max_size=8)
knob_values = st.builds(
    Knobs,
    needed=st.integers(),
    flag=st.booleans(),
    ratio=st.floats(allow_nan=False),
    text=texts,
    maybe=st.none() | texts,
    axes=st.lists(st.integers(), max_size=3).map(tuple),
    pair=st.tuples(st.integers(), st.floats(allow_nan=False)),
    kind=st.sampled_from(["min-max", "percentile"]),
)


@given(st.lists(knob_values, max_size=3))
def test_a_pipeline_prints_as_what_reads_back(passes: list[Pass]) -> None:
    registry._REGISTRY[Knobs.name] = Knobs
    assert parse_pipeline(pipeline_text(passes)) == passes


def test_the_text_of_a_pipeline_leaves_defaults_out() -> None:
    assert str(Pipeline([Knobs(1), Knobs(2, flag=True)])) == "test-knobs{needed=1},test-knobs{needed=2,flag=true}"


ERRORS = {
    "canonicalise": ("there is no pass 'canonicalise'", "did you mean 'canonicalize'?", 1),
    "canonicalize,test-knob{needed=1}": ("there is no pass 'test-knob'", "did you mean 'test-knobs'?", 14),
    "canonicalize{depth=1}": ("canonicalize has no option 'depth'", "has no options", 1),
    "test-knobs{need=1}": ("no option 'need'", "did you mean 'needed'?", 1),
    "test-knobs": ("needs the option 'needed'", "test-knobs{needed=1}", 1),
    "test-knobs{needed=few}": ("takes an integer, not few", "needed=1", 1),
    "test-knobs{needed=1.5}": ("takes an integer, not 1.5", "needed=1", 1),
    "test-knobs{needed=1,flag=yes}": ("takes true or false, not yes", "flag=true", 1),
    "test-knobs{needed=1,ratio=[1]}": ("takes a number, not [1]", "ratio=0.5", 1),
    "test-knobs{needed=1,axes=[1,x]}": ("takes a list of an integer, not [1,x]", "axes=[1]", 1),
    "test-knobs{needed=1,pair=[1]}": ("takes [an integer,a number], not [1]", "pair=[1,0.5]", 1),
    "test-knobs{needed=1,kind=mean}": ("takes one of min-max, percentile, not mean", "kind=min-max", 1),
    "test-knobs{needed=1,needed=2}": ("'needed' is given twice", "once", 21),
    'test-knobs{needed=1,text="\\q"}': ("escape", "backslash", 21),
    "canonicalize,,canonicalize": ("not a pipeline here", "pass{option=value", 14),
    "canonicalize{": ("not a pipeline here", "pass{option=value", 13),
    "canonicalize}": ("not a pipeline here", "pass{option=value", 13),
}


@pytest.mark.parametrize("text", ERRORS)
def test_an_error_says_what_is_wrong_where_and_what_to_do(text: str) -> None:
    message, help, column = ERRORS[text]
    with pytest.raises(PassError) as caught:
        parse_pipeline(text)
    assert message in caught.value.message
    assert help in caught.value.help
    assert caught.value.place == f"pipeline:{column}"
    *_, shown, pointer = caught.value.message.splitlines()
    assert shown == "    " + text
    assert pointer.index("^") == 4 + column - 1


def test_python_values_make_a_pass_too() -> None:
    assert make_pass("test-knobs", {"needed": 1, "flag": True, "axes": (1, 2), "ratio": 2}) == Knobs(
        1, True, 2.0, axes=(1, 2)
    )
    with pytest.raises(PassError, match="takes true or false"):
        make_pass("test-knobs", {"needed": 1, "flag": "maybe"})


@dataclass(frozen=True)
class Quantizer(Pass):
    """Go from float to quantized."""

    name: ClassVar[str] = "test-quantizer"
    accepts: ClassVar[frozenset[Stage]] = frozenset({Stage.FLOAT})
    produces: ClassVar[Stage | None] = Stage.QUANTIZED


def test_stages_are_checked_before_anything_runs() -> None:
    assert check_stages([Knobs(1), Quantizer(), Knobs(1)], Stage.FLOAT) is Stage.QUANTIZED
    with pytest.raises(PassError, match="takes a module of stage float; the module behind test-quantizer is quantized"):
        check_stages([Quantizer(), Quantizer()], Stage.FLOAT)
    with pytest.raises(PassError, match="takes a module of stage float; the module is integer there"):
        check_stages([Quantizer()], Stage.INTEGER)


def test_the_default_pipeline_is_what_its_parts_name() -> None:
    pipeline = default_pipeline([Part.FLOAT])
    assert tuple(p.name for p in pipeline) == DEFAULT_PASSES[Part.FLOAT]
    assert parse_pipeline(str(pipeline)) == pipeline
    assert check_stages(pipeline, Stage.FLOAT) is Stage.FLOAT


def test_the_float_and_quantize_parts_lead_to_an_integer_module() -> None:
    assert check_stages(default_pipeline([Part.FLOAT, Part.QUANTIZE]), Stage.FLOAT) is Stage.INTEGER


def test_recipes_give_options_and_what_stays_in_float() -> None:
    pipeline = default_pipeline(
        [Part.FLOAT], {"fold-constants": {"max_bytes": 16}}, keep_float={"ops": ["softmax", "gelu"]}
    )
    assert str(pipeline).startswith("canonicalize,keep-float{ops=[softmax,gelu]},fold-constants{max_bytes=16},")
    assert str(pipeline).count("keep-float") == 1


@pytest.fixture(scope="module", autouse=True)
def without_knobs_afterwards() -> Iterator[None]:
    yield
    registry._REGISTRY.pop(Knobs.name, None)
