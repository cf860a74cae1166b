"""What the harness of foreign code sees: writes where none belong, memory that nobody wrote, faults, short answers."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from qcc.ir import EvaluationError, TargetError
from qcc.targets.emission import manifest_interface
from qcc.targets.emission.header import ERROR_ARENA_SIZE, OK
from qcc.targets.emulation import FRESH, EmulatedModel, Request, counting, load_emulated
from tests.targets.compiled import compiled_once
from tests.targets.integer_modules import random_inputs, residual_net
from tests.targets.linked_program import linked_with
from tests.targets.test_foreign_code import model_of, require_tools, untouched

DOTPROD, HEXAGON = "aarch64-linux-gnu+dotprod", "hexagon-unknown-linux-musl+hvxv66"
M4 = "thumbv7em-none-eabi@cortex-m4"

_RUN = """\
#include "{folder}/residual_net.h"

int __real_residual_net_run(const residual_net_inputs *in, const residual_net_outputs *out, void *arena);

/* Does what the first input byte says, then computes the outputs. */
int __wrap_residual_net_run(const residual_net_inputs *in, const residual_net_outputs *out, void *arena) {{
    uint8_t *image = (uint8_t *)in->image, *logits = (uint8_t *)out->logits, *work = arena;
    const int status = __real_residual_net_run(in, out, arena);
    switch (in->image[0]) {{
    case 1: logits[-1] ^= 1; break;
    case 2: logits[residual_net_OUTPUT_logits_BYTES] ^= 1; break;
    case 3: work[residual_net_ARENA_BYTES] ^= 1; break;
    case 4: work[-256] ^= 1; break;
    case 5: image[residual_net_INPUT_image_BYTES + 200] ^= 1; break;
    case 6: return {error};
    case 7: __builtin_trap();
    }}
    return status;
}}
"""
CASES = {
    1: r"wrote outside of the memory of output 'logits'",
    2: r"wrote outside of the memory of output 'logits'",
    3: r"wrote outside of the memory of the arena",
    4: r"wrote outside of the memory of the arena",
    5: r"wrote outside of the memory of input 'image'",
    6: r"returned an error, yet wrote the memory of output 'logits'",
    7: r"was stopped by (a fault of the processor|signal \d+ \(SIG[A-Z]+\))",
}

EACH = [DOTPROD, *(pytest.param(target, marks=pytest.mark.slow) for target in (M4, HEXAGON))]


@pytest.mark.parametrize("target", EACH)
def test_a_call_that_writes_where_it_must_not_is_an_error(
    target: str, tmp_path: Path, tool: Callable[[str], str]
) -> None:
    require_tools(target, tool)
    original = model_of(residual_net, target, tmp_path / "a")
    source = _RUN.format(folder=original.folder, error=ERROR_ARENA_SIZE)
    model = linked_with(original, source, tmp_path, "-Wl,--wrap=residual_net_run")
    inputs = random_inputs(residual_net(), 0)
    for case, message in {0: "", **CASES}.items():
        inputs["image"].reshape(-1)[0] = case
        request = Request(shift=case % 2 * 3)
        if not case:
            assert [status for status, _ in model.call([inputs], request)] == [OK]
            continue
        with pytest.raises(EvaluationError, match=message) as caught:
            model.call([inputs], request)
        assert "warning" not in str(caught.value)


_FRESH = """\
#include "{folder}/residual_net.h"

int __wrap_residual_net_run(const residual_net_inputs *in, const residual_net_outputs *out, uint8_t *arena) {{
    int wrong = 0;
    for (int i = 0; i < residual_net_ARENA_BYTES; ++i) {{
        wrong += arena[i] != {fresh};
        arena[i] = (uint8_t)in->image[0];
    }}
    for (int i = 0; i < residual_net_OUTPUT_logits_BYTES; ++i) {{
        wrong += (uint8_t)out->logits[i] != {fresh};
        out->logits[i] = in->image[0];
    }}
    return wrong == 0 ? residual_net_OK : 77;
}}
"""


@pytest.mark.slow
@pytest.mark.parametrize("target", [DOTPROD, M4, HEXAGON])
def test_each_call_finds_fresh_memory(target: str, tmp_path: Path, tool: Callable[[str], str]) -> None:
    require_tools(target, tool)
    original = model_of(residual_net, target, tmp_path / "a")
    source = _FRESH.format(folder=original.folder, fresh=FRESH)
    model = linked_with(original, source, tmp_path, "-Wl,--wrap=residual_net_run")
    samples = [random_inputs(residual_net(), 0)] * 3
    assert [status for status, _ in model.call(samples)] == [OK] * 3


_LEAVE = """\
extern void _exit(int);
int __wrap_residual_net_run(void) { _exit(0); return 0; }
"""


@pytest.mark.slow
def test_an_answer_that_is_short_is_an_error(tmp_path: Path, tool: Callable[[str], str]) -> None:
    require_tools(DOTPROD, tool)
    original = model_of(residual_net, DOTPROD, tmp_path / "a")
    model = linked_with(original, _LEAVE, tmp_path, "-Wl,--wrap=residual_net_run")
    with pytest.raises(EvaluationError, match="wrote 0 bytes of outputs, not 14"):
        model.run(random_inputs(residual_net(), 0))


def test_outputs_are_untouched_where_each_byte_is_fresh() -> None:
    assert untouched({"y": np.full((2, 3), FRESH, np.uint8)})
    assert not untouched({"y": np.array([FRESH, 0], np.uint8)})


@pytest.fixture
def temporary_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder for temporary files whose name has commas."""
    folder = tmp_path / "a,b,,c"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    caches = (counting.plugin, counting._folder)
    for cache in caches:
        cache.cache_clear()
    yield folder
    for cache in caches:
        cache.cache_clear()


@pytest.mark.slow
@pytest.mark.parametrize("target", [DOTPROD, M4])
def test_temporary_folders_may_have_commas(
    target: str, tmp_path: Path, temporary_folder: Path, tool: Callable[[str], str]
) -> None:
    require_tools(target, tool)
    model = model_of(residual_net, target, tmp_path / "x")
    assert isinstance(model, EmulatedModel)
    assert temporary_folder in model.folder.parents
    assert model.count(random_inputs(residual_net(), 0)).total > 1000


def test_an_artifact_that_is_refused_leaves_no_folder_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    artifact = compiled_once(residual_net, M4)
    interface = manifest_interface(artifact.manifest, "here")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(TargetError):
        load_emulated(tmp_path, {**artifact.manifest, "target": "pdp11"}, interface)
    assert list(tmp_path.iterdir()) == []
