"""Convolutions over NHWC images as a matrix nest whose rows are found on the fly; no im2col buffer.

A row of the matrix is an output pixel. Three ways to find its activation bytes, chosen by shape:

* *dense*: pointwise with stride 1, rows follow one another;
* *taps*: one run of `channels` bytes for each kernel tap; the address of the run is the input pixel, or a row of zero
  points where the tap falls into the padding;
* *gathered*: with few channels, the bytes of a tile of rows are copied together first.

A depthwise convolution is the same nest with another product and other rows, see `depthwise.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from qcc.targets import tir
from qcc.targets.instructions import DotInstruction
from qcc.targets.nests.depthwise import ChannelProduct, LineAddresses, channel_tile_for
from qcc.targets.nests.epilogue import Epilogue, packed_rescale, wrapped_bias
from qcc.targets.nests.gathered_rows import GatheredRows
from qcc.targets.nests.grouped_product import GroupedProduct
from qcc.targets.nests.paired_product import PairedProduct
from qcc.targets.nests.panel import MOST_ROWS, Panel, tile_for
from qcc.targets.nests.products import DotProduct, InputType, Product, RowSource
from qcc.targets.nests.register_tile import RegisterTile, Rows
from qcc.targets.nests.widened_rows import WidenedProduct, WidenedRows, widens
from qcc.targets.nests.window import Window
from qcc.targets.tir import Body, Buffer, Expr, PrimFunc

Array: TypeAlias = npt.NDArray[np.generic]
RowKind: TypeAlias = Literal["dense", "taps", "gathered"]

FEW_CHANNELS = 16
"""Below this many channels in a group the rows are gathered: the runs would be too short."""

MOST_TAP_ROWS = 8
"""Each row of a tile over taps keeps its address in a scalar register."""

MOST_GATHERED_BYTES = 16384
"""The size of the local copy of gathered rows, unless a single row is larger."""

LEAST_LANES = 4
"""Depthwise convolutions with fewer channels are computed as grouped ones."""


@dataclass(frozen=True)
class Convolution:
    """A 2-D convolution with constant weights: NHWC in, NHWC out, any strides, dilations, padding and groups.

    `input` is (batch, height, width, channels), `padding` is (top, left, bottom, right). Padded positions hold the
    input's zero point, that is, real zero.
    """

    name: str
    input: tuple[int, int, int, int]
    output_channels: int
    input_type: InputType
    epilogue: Epilogue
    kernel: tuple[int, int] = (1, 1)
    strides: tuple[int, int] = (1, 1)
    dilations: tuple[int, int] = (1, 1)
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    groups: int = 1
    input_zero_point: int = 0

    @property
    def is_depthwise(self) -> bool:
        """Whether each group has one input channel, and vectors of output channels are possible.

        With several output channels for each input channel, their number must divide a vector; other shapes are
        computed as grouped convolutions.
        """
        one_each = self.groups == self.input[3] > 1 and self.output_channels >= LEAST_LANES
        return one_each and self.multiplier < LEAST_LANES and LEAST_LANES % self.multiplier == 0

    @property
    def multiplier(self) -> int:
        """Output channels of one group."""
        return self.output_channels // self.groups

    @property
    def window(self) -> Window:
        """The sliding window; that of a depthwise convolution covers all channels."""
        groups = 1 if self.is_depthwise else self.groups
        return Window(self.input, self.kernel, self.strides, self.dilations, self.padding, groups)

    @property
    def output(self) -> tuple[int, int, int, int]:
        """(batch, height, width, channels) of the output."""
        height, width = self.window.output_size
        return self.input[0], height, width, self.output_channels

    def row_kind(self, dot: DotInstruction) -> RowKind:
        """How rows are found."""
        window = self.window
        if self.is_depthwise:
            return "taps"
        if window.is_dense and window.group_channels >= dot.step:
            return "dense"
        return "gathered" if window.group_channels < FEW_CHANNELS else "taps"

    def panel(self, dot: DotInstruction) -> Panel:
        """The geometry of the matrix nest."""
        window, kind = self.window, self.row_kind(dot)
        if self.is_depthwise:
            columns = self.output_channels
            most = dot.channel_lanes or dot.lanes
            lanes = min(most, 1 << (columns.bit_length() - 1))
            registers = (dot.channel_registers or dot.registers) // max(lanes // dot.lanes, 1)
            tile = channel_tile_for(window, -(-columns // lanes), registers)
            return Panel(1, window.rows, columns, *window.kernel, lanes, tile, step=1)
        columns = self.output_channels // self.groups
        runs = window.taps if kind == "taps" else 1
        length = max(window.taps * window.group_channels // runs, dot.step)
        most_rows = {
            "dense": MOST_ROWS,
            "taps": MOST_TAP_ROWS,
            "gathered": max(1, min(MOST_ROWS, MOST_GATHERED_BYTES // length)),
        }[kind]
        tile = tile_for(window.rows, columns, dot, most_rows)
        return Panel(self.groups, window.rows, columns, runs, length, dot.lanes, tile, dot.step)

    def product(self, dot: DotInstruction) -> Product:
        """What the nest does with a run."""
        panel = self.panel(dot)
        if self.is_depthwise:
            return ChannelProduct(panel, self.input_type, dot, self.window, self.multiplier)
        if dot.paired_rows:
            return PairedProduct(panel, self.input_type, dot)
        if dot.group > 1:
            return GroupedProduct(panel, self.input_type, dot)
        return (WidenedProduct if widens(panel, dot) else DotProduct)(panel, self.input_type, dot)

    def packing(self, dot: DotInstruction) -> str:
        """The name of the order in which `packed_constants` puts the weights: `ARRANGEMENT.RUNSxVECTORSxLANESxSTEP`."""
        if dot.staged:
            from qcc.targets.hvx.convolution import staged_packing

            return staged_packing(self)
        panel = self.panel(dot)
        arrangement = "channels" if self.is_depthwise else dot.name
        return f"{arrangement}.{panel.runs}x{panel.tile.vectors}x{panel.lanes}x{panel.step}"

    def padding_bytes(self, dot: DotInstruction) -> int:
        """Bytes of the row of zero points that follows the packed weights."""
        return self.window.group_channels if self.row_kind(dot) == "taps" and self.window.is_padded else 0


@dataclass
class _DenseRows(Rows):
    """Rows that lie one after another."""

    source: Buffer
    depth: int

    def begin(self, body: Body, first: Expr, count: int, group: Expr) -> None:
        """The rows' offsets."""
        del group
        start = body.let("start", first * tir.constant(self.depth))
        self._sources: list[RowSource] = [(self.source, start + tir.constant(row * self.depth)) for row in range(count)]

    @contextmanager
    def run(self, body: Body) -> Iterator[tuple[Expr, list[RowSource]]]:
        """One run."""
        del body
        yield tir.constant(0), self._sources


@dataclass
class _TapRows(Rows):
    """One run for each kernel tap, at the address of the pixel under the tap or of the row of zero points."""

    source: Buffer
    window: Window
    zeros: tuple[Buffer, int]
    input_type: InputType
    pointer_type: str

    def begin(self, body: Body, first: Expr, count: int, group: Expr) -> None:
        """The window's corner for each row."""
        self._corners = [self.window.corner(body, first + tir.constant(row)) for row in range(count)]
        self._channel = group * tir.constant(self.window.group_channels)

    @contextmanager
    def run(self, body: Body) -> Iterator[tuple[Expr, list[RowSource]]]:
        """Loops over kernel rows and columns."""
        height, width = self.window.kernel
        with body.loop("kernel_row", height) as row, body.loop("kernel_column", width) as column:
            sources: list[RowSource] = []
            for corner in self._corners:
                inside, offset = self.window.tap(body, corner, row, column)
                offset = body.let("tap_offset", offset + self._channel)
                if inside is None:
                    sources.append((self.source, offset))
                    continue
                inner = tir.address(self.source, offset, self.pointer_type)
                chosen = tir.select(inside, inner, tir.address(*self.zeros, self.pointer_type))
                view = body.view("tap", chosen, self.window.group_channels, self.input_type)
                sources.append((view, tir.constant(0)))
            yield row * tir.constant(width) + column, sources


def convolution(spec: Convolution, dot: DotInstruction) -> PrimFunc:
    """The function `NAME(input, weights, bias[, multiplier, shift[, pre_shift]][, table], output)`.

    `input` and `output` need no alignment; the constants come from `packed_constants` and are best 64-byte aligned.
    """
    if dot.staged:
        from qcc.targets.hvx.convolution import staged_convolution

        return staged_convolution(spec)
    panel, product = spec.panel(dot), spec.product(dot)
    nest = RegisterTile(panel, product, spec.epilogue, _line(spec, product))
    source = tir.buffer("input", int(np.prod(spec.input)), spec.input_type)
    constants = nest.constant_buffers(spec.padding_bytes(dot))
    rows = _rows(spec, dot, source, (constants["weights"], panel.weight_bytes))
    if isinstance(product, WidenedProduct):
        rows = WidenedRows(rows, panel, spec.input_type, dot)
    return nest.function(spec.name, source, constants, rows)


def _line(spec: Convolution, product: Product) -> int | None:
    """The line of `RegisterTile`: what is found out about a tile of rows serves all columns."""
    if spec.is_depthwise:
        return spec.window.output_size[1]
    return spec.window.rows if isinstance(product, WidenedProduct) else None


def _rows(spec: Convolution, dot: DotInstruction, source: Buffer, zeros: tuple[Buffer, int]) -> Rows:
    """How the rows are found; `zeros` is where the row of zero points is."""
    window, kind = spec.window, spec.row_kind(dot)
    if kind == "dense":
        return _DenseRows(source, spec.input[3])
    if kind == "taps":
        rows = LineAddresses if spec.is_depthwise else _TapRows
        return rows(source, window, zeros, spec.input_type, dot.pointer_type)
    return GatheredRows(source, window, spec.panel(dot), spec.input_type, spec.input_zero_point, dot.piece)


def packed_constants(
    spec: Convolution,
    dot: DotInstruction,
    weights: npt.NDArray[np.int8],
    bias: npt.NDArray[np.integer],
    multiplier: npt.NDArray[Any] | None = None,
    shift: npt.NDArray[np.integer] | None = None,
) -> dict[str, Array]:
    """The constant arguments of `convolution` by name, in the order of its parameters, the table excepted.

    `weights` is `[output channels, kernel height, kernel width, input channels / groups]`. `bias` is the layer's own:
    the zero point terms are folded in here. `multiplier` and `shift` have one element or one for each channel;
    of the form `float`, `multiplier` holds the factors.
    """
    if dot.staged:
        from qcc.targets.hvx.convolution import staged_constants

        return staged_constants(spec, dot, weights, bias, multiplier, shift)
    panel, product = spec.panel(dot), spec.product(dot)
    flat = np.zeros((spec.output_channels, panel.runs * panel.run_length), np.int8)
    flat[:, : weights[0].size] = weights.reshape(spec.output_channels, -1)
    packed = panel.packed_weights(flat.reshape(spec.output_channels, panel.runs, panel.run_length), product.arrange)
    padding = np.full(spec.padding_bytes(dot), spec.input_zero_point, spec.input_type).view(np.int8)
    columns = panel.lane_columns()
    folded = wrapped_bias(bias, weights, spec.input_zero_point, product.activation_offset)
    arrays: dict[str, Array] = {
        "weights": np.concatenate([packed, padding]),
        "bias": np.where(columns < 0, np.int32(0), folded[columns]),
    }
    if spec.epilogue.rescale is not None and multiplier is not None and shift is not None:
        arrays |= packed_rescale(spec.epilogue.rescale, multiplier, shift, columns)
    return arrays
