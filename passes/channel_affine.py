"""A number or a channel times plus a number or a channel: what batch norms, and constants added or multiplied, are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from qcc.ir import Array, Mismatch, Op, PassError, Rewriter, Value, print_op
from qcc.ir.ops import Add, BatchNorm, Mul

from .operands import channel_vector


@dataclass(frozen=True)
class ChannelAffine:
    """The meaning `y = clamp(x · multiplier + offset)`, one multiplier and offset for each index of the last axis.

    Attributes:
        x: what is scaled.
        multiplier, offset: binary64, of the size of the last axis.
        clamp: a fused activation.
    """

    x: Value
    multiplier: Array
    offset: Array
    clamp: tuple[float, float] | None = None

    def after(self, inner: ChannelAffine) -> ChannelAffine:
        """Return the affine of `inner` and then this one; `inner` has no clamp.

        (x·m + c)·n + d = x·(m·n) + (c·n + d)
        """
        multiplier = inner.multiplier * self.multiplier
        return ChannelAffine(inner.x, multiplier, inner.offset * self.multiplier + self.offset, self.clamp)


def channel_affine(op: Op, rewriter: Rewriter) -> ChannelAffine | Mismatch | None:
    """Return what `op` is as an affine of its first operand, a Mismatch that says why it is none.

    A PassError says that a batch norm's constants give no finite multiplier.
    """
    if isinstance(op, BatchNorm):
        return _batch_norm(op, rewriter)
    if not isinstance(op, Add | Mul) or op.result.type.shape != op.a.type.shape:
        return None
    constant = rewriter.constant(op.b)
    if constant is None or rewriter.constant(op.a) is not None:
        return None
    vector = channel_vector(constant.astype(np.float64), op.result.type.shape)
    if vector is None:
        return Mismatch(f"%{op.b.name} of shape {list(constant.shape)} is not one number a channel")
    neutral = np.zeros_like(vector) if isinstance(op, Mul) else np.ones_like(vector)
    pair = (vector, neutral) if isinstance(op, Mul) else (neutral, vector)
    return ChannelAffine(op.a, *pair, op.clamp)


def _batch_norm(op: BatchNorm, rewriter: Rewriter) -> ChannelAffine | Mismatch:
    arrays = [rewriter.constant(v) for v in op.operands[1:]]
    known = [a for a in arrays if a is not None]
    if len(known) != 4:
        return Mismatch("its parameters are not all constants")
    if op.axis % op.x.type.rank != op.x.type.rank - 1:
        return Mismatch(f"its channels are axis {op.axis}, not the last")
    return ChannelAffine(op.x, *finite_parameters(op, *known))


def finite_parameters(op: BatchNorm, *parameters: Array) -> tuple[Array, Array]:
    """Return multiplier and offset of a batch norm; a PassError if any is not finite."""
    with np.errstate(all="ignore"):
        multiplier, offset = op.multiplier_and_offset(*parameters)
    bad = ~(np.isfinite(multiplier) & np.isfinite(offset))
    if np.any(bad):
        raise PassError(
            f"batch_norm has no finite multiplier for channel {int(np.argmax(bad))}",
            place=op.location.node,
            op=print_op(op),
            help="its variance must not be negative and its parameters must be finite: check the model's training",
        )
    return multiplier, offset


def linear_constants(op: Op, rewriter: Rewriter) -> tuple[Array, Array] | Mismatch:
    """Return weights and bias (zeros where there is none) of a linear operation, binary64, or why they can't be had."""
    weight = rewriter.constant(op.operands[1])
    if weight is None:
        return Mismatch(f"the weights of {op.name} are not constant")
    if len(op.operands) < 3:
        return weight.astype(np.float64), np.zeros(op.result.type.shape[-1], np.float64)
    bias = rewriter.constant(op.operands[2])
    if bias is None:
        return Mismatch(f"the bias of {op.name} is not constant")
    return weight.astype(np.float64), bias.astype(np.float64)
