"""The arena: lifetimes, offsets, in-place kernels, and the bound."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qcc.ir import Module, PassError, VerifyError, ops, parse_module, print_module, replace_op
from qcc.passes import PassContext
from qcc.targets import FuseEpilogue, PlanMemory, arena_bytes, check_plan
from qcc.targets.arena import Buffer, check_packing, lower_bound, pack, peak
from tests.targets.integer_modules import NetBuilder, chain, residual_net


@st.composite
def buffer_lists(draw: st.DrawFn) -> list[Buffer]:
    spans = st.tuples(st.integers(0, 400), st.integers(0, 20), st.integers(0, 8))
    return [
        Buffer(f"b{index}", size, first, first + length)
        for index, (size, first, length) in enumerate(draw(st.lists(spans, max_size=25)))
    ]


@given(buffer_lists(), st.sampled_from([1, 16, 64]))
def test_no_two_buffers_share_a_byte_at_one_step(buffers: list[Buffer], alignment: int) -> None:
    offsets = pack(buffers, alignment)
    check_packing(buffers, offsets, alignment)
    size = peak(buffers, offsets)
    for step in range(30):
        owner = np.zeros(size, np.int64)
        for buffer in buffers:
            if buffer.first <= step <= buffer.last:
                owner[offsets[buffer.name] : offsets[buffer.name] + buffer.size] += 1
        assert owner.max(initial=0) <= 1
    assert all(offset % alignment == 0 for offset in offsets.values())
    assert size >= lower_bound(buffers)
    assert size <= sum(-(-b.size // alignment) * alignment for b in buffers)


@given(st.lists(st.integers(1, 50), min_size=1, max_size=12))
def test_a_chain_reaches_the_bound(sizes: list[int]) -> None:
    sizes = [size * 16 for size in sizes]
    buffers = [Buffer(f"b{i}", size, i, i + 1) for i, size in enumerate(sizes)]
    assert peak(buffers, pack(buffers, 16)) == lower_bound(buffers)


@given(buffer_lists())
def test_the_bound_is_the_fullest_step(buffers: list[Buffer]) -> None:
    steps = [sum(b.size for b in buffers if b.first <= step <= b.last) for step in range(30)]
    assert lower_bound(buffers) == max(steps)


@pytest.mark.parametrize(("offsets", "what"), [((0, 8), "overlap"), ((0, 12), "multiple"), ((-16, 16), "multiple")])
def test_a_wrong_packing_is_noticed(offsets: tuple[int, int], what: str) -> None:
    buffers = [Buffer("a", 16, 0, 1), Buffer("b", 4, 1, 2)]
    with pytest.raises(VerifyError, match=what):
        check_packing(buffers, dict(zip("ab", offsets, strict=True)), 8 if what == "overlap" else 16)


def planned(module: Module) -> tuple[Module, dict[str, int]]:
    """Return the module planned, and the offsets by value name."""
    context = PassContext()
    result = PlanMemory(alignment=16).run(FuseEpilogue().run(module, context), context)
    offsets = {v.name: at for op in result.ops for v, at in zip(op.results, op.offsets, strict=True)}
    assert re.search(r"^\d+ bytes for \d+ buffers \(\d+ must be alive together\)", context.remarks[-1].message)
    return result, offsets


def test_a_small_net_reaches_the_bound() -> None:
    module, offsets = planned(residual_net())
    assert arena_bytes(module) == int(module.attribute("arena.lower-bound")) == 8 * 8 * 8 + 2 * 4 * 4 * 16
    assert offsets["image_codes"] == offsets["classifier"] == offsets["classifier_acc"] == -1
    assert parse_module(print_module(module)) == module


def test_a_kernel_of_elementwise_operations_writes_over_a_dying_operand() -> None:
    net = NetBuilder()
    one, two = net.conv(net.input("x", 1, 4, 4, 2), "one", 4), net.conv(net.input("y", 1, 4, 4, 2), "two", 4)
    first = net.table(net.b.emit(ops.MaxPool2d, one, name="pool", kernel=(1, 1)), "kept")
    late = net.residual_add(first, two, "late")
    flat = net.b.emit(ops.Reshape, late, name="flat", shape=(1, 64))
    half = net.residual_add(net.table(flat, "again"), flat, "half")
    net.output("z", net.dense(half, "dense", 3))
    net.output("w", first)
    _, offsets = planned(net.build())
    assert offsets["late"] == offsets["flat"] == offsets["half"] >= 0
    assert offsets["kept"] == -1


def test_an_operand_that_is_needed_later_stays() -> None:
    net = NetBuilder()
    one = net.conv(net.input("x", 1, 4, 4, 2), "one", 4)
    pair = net.b.emit(ops.Concat, net.table(one, "t"), one, name="pair", axis=3)
    net.output("y", net.table(net.conv(pair, "last", 2), "y"))
    _, offsets = planned(net.build())
    assert offsets["t"] != offsets["one"]


def test_the_check_finds_a_plan_that_someone_changed() -> None:
    module, _ = planned(chain("conv", "pool", "conv", "pool"))
    check_plan(module)
    moved = tuple(replace_op(op, offsets=tuple(min(o, 0) for o in op.offsets)) for op in module.ops)
    with pytest.raises(VerifyError, match="overlap while both are alive"):
        check_plan(module.replace(ops=moved))
    with pytest.raises(VerifyError, match="too small"):
        check_plan(module.with_attribute("arena.bytes", "16"))


def test_errors() -> None:
    with pytest.raises(PassError, match="power of two"):
        PlanMemory(alignment=24).run(residual_net(), PassContext())
    with pytest.raises(PassError, match="not planned"):
        arena_bytes(residual_net())
