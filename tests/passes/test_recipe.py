"""Recipes: names, TOML files, the options that they give to passes, errors."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from qcc.ir import PassError
from qcc.passes import RECIPES, Calibrate, KeepFloat, Part, QuantizeWeights, Recipe, default_pipeline, load_recipe

FULL = """
name = "mine"
[weights]
per_channel = false
[activations]
symmetric = true
power-of-two = true
[calibration]
observer = "percentile"
percentile = 99.9
[keep-float]
ops = ["softmax", "exp"]
pattern = "head/.*"
"""


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_default_sets_nothing_that_the_hardware_decides() -> None:
    assert load_recipe("int8") == Recipe()
    assert Recipe().pass_options()["quantize-weights"] == {}
    assert Recipe().keep_float_options() is None


def test_a_file_becomes_the_options_of_the_pipeline(tmp_path: Path) -> None:
    recipe = load_recipe(str(written(tmp_path, FULL)))
    assert recipe.name == "mine"
    pipeline = default_pipeline([Part.FLOAT, Part.QUANTIZE], recipe.pass_options(), recipe.keep_float_options())
    text = str(pipeline)
    assert Calibrate(observer="percentile", percentile=99.9) in pipeline
    assert QuantizeWeights(per_channel=False) in pipeline
    assert KeepFloat(ops=("softmax", "exp"), pattern=("head/.*",)) in pipeline
    assert "nudge-zero-points{symmetric=true,power_of_two=true}" in text


def test_an_empty_file_is_the_default(tmp_path: Path) -> None:
    assert Recipe.from_toml(written(tmp_path, "")) == Recipe("mine")


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_makes_a_pipeline(name: str) -> None:
    recipe = RECIPES[name]
    assert recipe.name == name
    assert default_pipeline([Part.QUANTIZE], recipe.pass_options())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[weight]\n", "no section 'weight'.*did you mean 'weights'"),
        ("[weights]\nper_chanel = true\n", "no key 'per_chanel'.*did you mean 'per_channel'"),
        ("[weights]\nper_channel = 3\n", "option per_channel of pass quantize-weights takes"),
        ('[calibration]\nobserver = "entropy"\n', "option observer of pass calibrate takes"),
        ("weights = 3\n", "'weights' is a section"),
        ("[weights\n", "not valid TOML"),
    ],
)
def test_errors_name_the_place(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(PassError) as caught:
        Recipe.from_toml(written(tmp_path, text))
    lines = str(caught.value).replace("\n", " ")
    assert "mine.toml" in lines
    assert re.search(message, lines), lines


def test_unknown_names_and_missing_files(tmp_path: Path) -> None:
    with pytest.raises(PassError, match="no recipe 'int9'") as caught:
        load_recipe("int9")
    assert "int8" in caught.value.help
    with pytest.raises(PassError, match="can't be read"):
        load_recipe(str(tmp_path / "none.toml"))
