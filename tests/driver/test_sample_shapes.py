"""Models with unusual inputs, compiled, verified and run: scalars, vectors, different first axes, none at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from qcc.cli import main

MODELS: dict[str, tuple[str, dict[str, tuple[int, ...]]]] = {
    "scalar": ("input %x : tensor<f32>\n%y = clamp(%x) {minimum = -1.0, maximum = 2.0} : tensor<f32>", {"x": ()}),
    "vector": (
        "input %x : tensor<16xf32>\n%y = clamp(%x) {minimum = -1.0, maximum = 2.0} : tensor<16xf32>",
        {"x": (16,)},
    ),
    "different": (
        "input %a : tensor<1x3x1x4xf32>\ninput %b : tensor<2x1x5x1xf32>\n%y = add(%a, %b) : tensor<2x3x5x4xf32>",
        {"a": (1, 3, 1, 4), "b": (2, 1, 5, 1)},
    ),
    "none": ("%c = constant() {value = dense<[0.5, -1.5]>} : tensor<2xf32>\n%y = neg(%c) : tensor<2xf32>", {}),
}
OUTPUTS = {"scalar": (), "vector": (16,), "different": (2, 3, 5, 4), "none": (2,)}


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("recipe", ["int8", "float"])
def test_each_sample_is_a_whole_input(tmp_path: Path, name: str, recipe: str) -> None:
    text, shapes = MODELS[name]
    model, folder, file, outputs = (tmp_path / n for n in ("m.qir", "out", "in.npz", "out.npz"))
    model.write_text(f'module @m stage float {{\n{text}\noutput %y as "y"\n}}')
    generator = np.random.default_rng(0)
    np.savez(file, allow_pickle=False, **{n: generator.normal(size=(5, *shape)) for n, shape in shapes.items()})
    calibration = ["--calibration", str(file)] if shapes and recipe == "int8" else []
    assert main(["compile", str(model), "-o", str(folder), "--target", "c", "--recipe", recipe, *calibration]) == 0
    assert main(["verify", str(folder)]) == 0
    assert main(["verify", str(folder), "--inputs", str(file)]) == 0
    assert main(["run", str(folder), "--inputs", str(file), "--outputs", str(outputs)]) == 0
    with np.load(file) as given, np.load(outputs) as found:
        if name == "none":
            expected = np.array([[-0.5, 1.5]])
        else:
            expected = given["a"] + given["b"] if name == "different" else np.clip(given["x"], -1, 2)
        assert found["y"].shape == (5 if shapes else 1, *OUTPUTS[name])
        np.testing.assert_allclose(found["y"], expected, atol=0.05 if recipe == "int8" else 1e-6)
