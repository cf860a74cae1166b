"""Conv and ConvTranspose."""

from __future__ import annotations

from qcc.ir.ops import Conv2d, ConvTranspose2d, Reshape, Transpose

from ..emission import Tensor
from ..node import Node
from ..problem import Unsupported
from .layout import begins_and_ends, check_spatial, from_image, spatial_pair, to_image, window_padding


def _kernel(node: Node, w: Tensor, spatial: int) -> tuple[int, int]:
    """Return height and width of the kernel, which attribute and weights must agree on."""
    if w.rank != spatial + 2:
        raise Unsupported(f"weights of the shape {list(w.shape)} for {spatial} spatial dimensions")
    shape = (1, w.shape[2]) if spatial == 1 else (w.shape[2], w.shape[3])
    if node.has("kernel_shape") and spatial_pair(node, "kernel_shape", spatial) != shape:
        raise Unsupported(f"attribute 'kernel_shape' does not fit weights of the shape {list(w.shape)}")
    return shape


def _operands(image: Tensor, w: Tensor, bias: Tensor | None) -> tuple[Tensor, ...]:
    return (image, w) if bias is None else (image, w, bias)


def conv(node: Node, input_zero_point: int = 0) -> Tensor:
    """Conv: weights O×I/groups×KH×KW, transposed to O×KH×KW×I/groups; of integers, less a zero point."""
    x, w = node.input(0), node.input(1)
    spatial = check_spatial(x)
    kernel = _kernel(node, w, spatial)
    strides, dilation = spatial_pair(node, "strides", spatial), spatial_pair(node, "dilations", spatial)
    extents = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    sizes = (1, x.shape[2]) if spatial == 1 else x.shape[2:]
    (top, bottom), (left, right) = window_padding(node, sizes, extents, strides, spatial)
    if min(top, bottom, left, right) < 0:
        raise Unsupported("negative padding is not supported")
    weight = node.emit(Transpose, w, permutation=(0, 2, 3, 1) if spatial == 2 else (0, 2, 1))
    if spatial == 1:
        weight = node.emit(Reshape, weight, shape=(weight.shape[0], 1, *weight.shape[1:]))
    y = node.emit(
        Conv2d,
        *_operands(to_image(node, x), weight, node.optional(2)),
        strides=strides,
        padding=(top, bottom, left, right),
        dilation=dilation,
        groups=node.get_int("group", 1),
        input_zero_point=input_zero_point,
    )
    return from_image(node, y, spatial)


def _transposed_weight(node: Node, w: Tensor, kernel: tuple[int, int], groups: int) -> Tensor:
    """Return weights C×O/groups×KH×KW as O×KH×KW×C/groups."""
    channels, outputs = w.shape[:2]
    if groups < 1 or channels % groups:
        raise Unsupported(f"{channels} channels do not split into {groups} groups")
    parts = node.emit(Reshape, w, shape=(groups, channels // groups, outputs, *kernel))
    moved = node.emit(Transpose, parts, permutation=(0, 2, 3, 4, 1))
    return node.emit(Reshape, moved, shape=(groups * outputs, *kernel, channels // groups))


def _transposed_padding(
    node: Node, full: tuple[int, ...], sizes: tuple[int, ...], strides: tuple[int, int], spatial: int
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return what to cut (begin, end) from the `full` height and width; negative where something is to be added.

    `output_shape` or `auto_pad` decide; the odd row goes to the end, to the beginning for SAME_LOWER. Where definitions
    before opset 11 say otherwise, and ONNX Runtime does not follow them, is Unsupported.
    """
    auto = node.get_string("auto_pad", "NOTSET")
    wished = node.get_ints("output_shape")[-spatial:]
    pads = node.get_ints("pads") or (0,) * (2 * spatial)
    if not wished and auto in ("NOTSET", "VALID"):
        return begins_and_ends(pads if auto == "NOTSET" else (0,) * (2 * spatial), spatial)
    if wished:
        targets = (full[0], wished[0]) if spatial == 1 else tuple(wished)
    else:
        targets = tuple(s * stride for s, stride in zip(sizes, strides, strict=True))
    cuts = []
    for size, target in zip(full, targets, strict=True):
        total = size - target
        if node.opset < 11 and ((total > 0 and total % 2) or (not wished and max(strides) > 1)):
            raise Unsupported(f"opset {node.opset} does not say clearly where it pads: give 'pads'")
        small, large = (total // 2, total - total // 2) if total > 0 else (0, total)
        cuts.append((small, large) if auto == "SAME_UPPER" or total < 0 else (large, small))
    return cuts[0], cuts[1]


def conv_transpose(node: Node) -> Tensor:
    """ConvTranspose: rows asked for beyond the full result are added as output padding."""
    x, w = node.input(0), node.input(1)
    spatial = check_spatial(x)
    kernel = _kernel(node, w, spatial)
    strides, dilation = spatial_pair(node, "strides", spatial), spatial_pair(node, "dilations", spatial)
    added = list(spatial_pair(node, "output_padding", spatial, default=0))
    if spatial == 1:
        added[0] = 0
    groups = node.get_int("group", 1)
    sizes = (1, x.shape[2]) if spatial == 1 else x.shape[2:]
    full = tuple((sizes[a] - 1) * strides[a] + (kernel[a] - 1) * dilation[a] + 1 + added[a] for a in (0, 1))
    cuts = _transposed_padding(node, full, sizes, strides, spatial)
    if cuts[0][0] < 0 or cuts[1][0] < 0:
        raise Unsupported("negative padding at the beginning is not supported")
    added = [a + max(-end, 0) for a, (_, end) in zip(added, cuts, strict=True)]
    (top, bottom), (left, right) = ((begin, max(end, 0)) for begin, end in cuts)
    y = node.emit(
        ConvTranspose2d,
        *_operands(to_image(node, x), _transposed_weight(node, w, kernel, groups), node.optional(2)),
        strides=strides,
        padding=(top, bottom, left, right),
        output_padding=tuple(added),
        dilation=dilation,
        groups=groups,
    )
    return from_image(node, y, spatial)


IMPORTERS = {"Conv": conv, "ConvTranspose": conv_transpose}
