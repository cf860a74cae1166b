"""The sliding window of a convolution: from an output pixel and a kernel tap to a place in the input."""

from __future__ import annotations

from dataclasses import dataclass

from qcc.ir.ops import window_positions
from qcc.targets import tir
from qcc.targets.tir import Body, Expr


@dataclass(frozen=True)
class Corner:
    """The input position under the first tap of one output pixel; row and column may lie in the padding."""

    image: Expr
    row: Expr
    column: Expr


@dataclass(frozen=True)
class Window:
    """Shapes of a window: `input` is (batch, height, width, channels), `padding` (top, left, bottom, right)."""

    input: tuple[int, int, int, int]
    kernel: tuple[int, int]
    strides: tuple[int, int]
    dilations: tuple[int, int]
    padding: tuple[int, int, int, int]
    groups: int

    @property
    def output_size(self) -> tuple[int, int]:
        """Height and width of the output."""
        sizes = []
        for axis in range(2):
            padded = self.input[1 + axis] + self.padding[axis] + self.padding[axis + 2]
            sizes.append(window_positions(padded, self.kernel[axis], self.dilations[axis], self.strides[axis]))
        return sizes[0], sizes[1]

    @property
    def rows(self) -> int:
        """Output pixels, over the whole batch."""
        height, width = self.output_size
        return self.input[0] * height * width

    @property
    def taps(self) -> int:
        """Kernel positions."""
        return self.kernel[0] * self.kernel[1]

    @property
    def group_channels(self) -> int:
        """Input channels of one group."""
        return self.input[3] // self.groups

    @property
    def is_dense(self) -> bool:
        """Whether output pixel `i` reads input pixel `i`, all of its channels and nothing else."""
        return self.taps == 1 and self.strides == (1, 1) and not any(self.padding) and self.groups == 1

    @property
    def is_padded(self) -> bool:
        """Whether a tap can fall outside the image."""
        return self.leaves(0) or self.leaves(1)

    def leaves(self, axis: int) -> bool:
        """Whether a tap can fall outside the image along an axis."""
        last = (self.output_size[axis] - 1) * self.strides[axis] - self.padding[axis]
        return self.padding[axis] > 0 or last + self.dilations[axis] * (self.kernel[axis] - 1) >= self.input[1 + axis]

    def corner(self, body: Body, pixel: Expr) -> Corner:
        """The corner of output pixel `pixel`, counted over the whole batch."""
        height, width = self.output_size
        pixel = body.let("pixel", pixel)
        line = body.let("line", tir.divide(pixel, width))
        image = tir.divide(line, height) if self.input[0] > 1 else tir.constant(0)
        within = tir.remainder(line, height) if self.input[0] > 1 else line
        row = within * tir.constant(self.strides[0]) - tir.constant(self.padding[0])
        column = tir.remainder(pixel, width) * tir.constant(self.strides[1]) - tir.constant(self.padding[1])
        return Corner(body.let("image", image), body.let("corner_row", row), body.let("corner_column", column))

    def tap(self, body: Body, corner: Corner, row: Expr, column: Expr) -> tuple[Expr | None, Expr]:
        """Whether the tap lies inside the image (None: always), and the offset of its first channel."""
        return self.place(body, corner, row * tir.constant(self.dilations[0]), column * tir.constant(self.dilations[1]))

    def place(self, body: Body, corner: Corner, row: Expr, column: Expr | int) -> tuple[Expr | None, Expr]:
        """Like `tap`, for a distance from the corner in input rows and columns."""
        place = (corner.row + row, corner.column + tir.index(column))
        inside = [test for axis in range(2) if self.leaves(axis) for test in self._within(body, place[axis], axis)]
        line = corner.image * tir.constant(self.input[1]) + place[0]
        offset = (line * tir.constant(self.input[2]) + place[1]) * tir.constant(self.input[3])
        return (tir.all_of(*inside) if inside else None), offset

    def kernel_row(self, body: Body, corner: Corner, row: Expr) -> tuple[Expr | None, Expr]:
        """Whether all taps of a kernel row lie inside the image (None: always), and the offset of the first one."""
        zero = tir.constant(0)
        _, offset = self.tap(body, corner, row, zero)
        inside: list[Expr] = []
        if self.leaves(0):
            inside += self._within(body, corner.row + row * tir.constant(self.dilations[0]), 0)
        if self.leaves(1):
            last = corner.column + tir.constant(self.dilations[1] * (self.kernel[1] - 1))
            inside += [corner.column >= zero, last < tir.constant(self.input[2])]
        return (tir.all_of(*inside) if inside else None), offset

    def _within(self, body: Body, place: Expr, axis: int) -> tuple[Expr, Expr]:
        """The conditions for a place to lie inside the image along an axis."""
        place = body.let("place", place)
        return place >= tir.constant(0), place < tir.constant(self.input[1 + axis])
