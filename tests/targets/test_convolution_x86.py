"""Matrix and convolution nests on x86 against NumPy: shapes, tails, padding, groups, epilogues, extremes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from qcc.targets.instructions import VectorLevel
from qcc.targets.x86_instructions import X86_LEVELS
from tests.targets.convolution_cases import convolutions, matmuls, random_convolutions
from tests.targets.kernel_library import compile_cases, host_lacks

LEVELS = [
    pytest.param(level, id=name, marks=() if name == "avx2" else pytest.mark.slow) for name, level in X86_LEVELS.items()
]
"""The level that most processors have is in the quick run."""


@pytest.mark.parametrize(
    "make",
    [matmuls, convolutions, pytest.param(random_convolutions, marks=pytest.mark.slow)],
    ids=["matmul", "convolution", "random"],
)
@pytest.mark.parametrize("level", LEVELS)
def test_compiled_nests_compute_what_numpy_computes(level: VectorLevel, make: Any, tmp_path: Path) -> None:
    if reason := host_lacks(level):
        pytest.skip(reason)
    cases = make(np.random.default_rng(7))
    library = compile_cases(cases, level, tmp_path)
    for case in cases:
        expected = case.expected()
        for at_end in (True, False):
            np.testing.assert_array_equal(case.run(library, level, at_end), expected, err_msg=str(case.spec))
