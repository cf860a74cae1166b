"""The pass `keep-shared-codes`: the layers that ONNX Runtime's default session computes in binary32."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, TypeGuard

from qcc.ir import F32, I8, Array, Builder, Module, Op, Stage, Value, drop_dead, evaluate_op, ops, replace_op

from .base import Pass, PassContext
from .operands import KEEP_FLOAT
from .quantization_rules import per_tensor, selects
from .registry import register_pass

#: Of the operands or the result of what stays in float: codes that are not read exactly once.
REASON = "int8 codes read twice"

#: Products that one thread adds before it stores, and the columns of a product that it takes together (MLAS).
BLOCK = 128
FEWEST_COLUMNS = 16


@register_pass
@dataclass(frozen=True)
class KeepSharedCodes(Pass):
    """Keep in float what ONNX Runtime's default session computes in float, and give its sums their order.

    That session has integer kernels for uint8 only. It turns int8 codes into uint8 where one dequantize reads them, for
    one operation; codes that are read twice, or are an output or an input of the model, stay int8. A convolution, sum
    or product whose operand or result is such codes works on real numbers: sums in blocks (`sum_block`), sums of two
    tensors exact. Depthwise and grouped convolutions, those of one output channel, and matrix products stay integer.

    The weights and biases of the convolutions become real numbers here.

    Before:
        module @m stage float {
          input %x : tensor<1x1x2x1x!quant.uniform<i8:f32, 0.5>>
          %a = dequantize(%x) : tensor<1x1x2x1xf32>
          %w = constant() {value = dense<[[[[2]]], [[[-4]]]]>} : tensor<2x1x1x1x!quant.uniform<i8:f32, 0.25>>
          %r = dequantize(%w) : tensor<2x1x1x1xf32>
          %y = conv2d(%a, %r) : tensor<1x1x2x2xf32>
          output %y as "y"
        }

    After:
        module @m stage float {
          input %x : tensor<1x1x2x1x!quant.uniform<i8:f32, 0.5>>
          %a = dequantize(%x) : tensor<1x1x2x1xf32>
          %r_real = constant() {value = dense<[[[[0.5]]], [[[-1.0]]]]>} : tensor<2x1x1x1xf32>
          %y = conv2d(%a, %r_real) {sum_block = 1} : tensor<1x1x2x2xf32> note {"keep-float" = "int8 codes read twice"}
          output %y as "y"
        }
    """

    name: ClassVar[str] = "keep-shared-codes"
    accepts: ClassVar[frozenset[Stage]] = frozenset({Stage.FLOAT})

    def run(self, module: Module, context: PassContext) -> Module:
        """Return the module with `keep-float` notes; remark on how many."""
        codes = _Codes(module)
        names = {op.results[0].name for op in module.ops if codes.keeps(op)}
        if not names:
            return module
        builder = Builder(module.name, Stage.FLOAT)
        for name in module.values:
            builder.unique(name)
        for op in module.ops:
            builder.append(_kept(op, module, builder) if op.results[0].name in names else op)
        context.remark(self.name, module.name, f"{len(names)} operations stay in float: {REASON}")
        return drop_dead(module.replace(ops=tuple(builder.ops)))


def sum_block(columns: int, length: int) -> int:
    """Return how many products of a sum of `length` one thread adds before it stores, for `columns` output pixels."""
    wide, block = BLOCK, BLOCK
    if columns >= length:
        while block // 2 >= length:
            block //= 2
        return block
    while wide > FEWEST_COLUMNS and wide // 2 >= columns:
        wide, block = wide // 2, block * 2
    return block


def _kept(op: Op, module: Module, builder: Builder) -> Op:
    """Return the operation with the note, and what makes its bits those of the session."""
    if isinstance(op, ops.Add | ops.Mul):
        return replace_op(op, exact=True).with_note(KEEP_FLOAT, REASON)
    if not isinstance(op, ops.Conv2d):
        return op
    constants = []
    for value in op.operands[1:]:
        real = _known(value, module)
        if real is not None:
            location = op.location.by(KeepSharedCodes.name)
            constants.append(builder.constant(real, f"{value.name}_real", location=location))
    shape, weights = op.result.type.shape, op.weight.type
    block = sum_block(shape[1] * shape[2], weights.size // weights.shape[0])
    return replace_op(op, operands=(op.x, *constants), sum_block=block).with_note(KEEP_FLOAT, REASON)


def _known(value: Value, module: Module) -> Array | None:
    """Return what is computed of constants alone, None for other values."""
    constant = module.constant(value)
    op = module.definition(value)
    if constant is not None or op is None:
        return constant
    operands = [_known(v, module) for v in op.operands]
    known = [array for array in operands if array is not None]
    if not known or len(known) != len(operands):
        return None
    return evaluate_op(op, known)[0]


class _Codes:
    """Which codes of a module stay int8 in the session."""

    def __init__(self, module: Module) -> None:
        self.module = module

    def keeps(self, op: Op) -> bool:
        """True where the session computes `op` on real numbers, and its bits are known."""
        if any(v.type.element != F32 for v in (*op.operands, *op.results)) or self._is_quantized(op):
            return False
        if isinstance(op, ops.Add | ops.Mul):
            return any(self._operand_stays(v, op) for v in op.operands) or self._result_stays(op)
        if not isinstance(op, ops.Conv2d) or op.groups > 1 or op.weight.type.shape[0] == 1:
            return False
        if op.result.type.shape[1:3] == (1, 1) or any(_known(v, self.module) is None for v in op.operands[1:]):
            return False
        return self._operand_stays(op.x, op) or self._result_stays(op)

    def _is_quantized(self, op: Op) -> bool:
        """True where `op` is the model's own integer operation (QLinearConv): its conversions are of the same node."""
        sources = (self._source(v, op) for v in op.operands)
        return any(isinstance(s, ops.Dequantize) and _same_node(s, op) for s in sources)

    def _source(self, value: Value, op: Op) -> Op | None:
        """Return what gives an operand of `op`, behind what the same node does to arrange it."""
        definition = self.module.definition(value)
        while _belongs(definition, op):
            definition = self.module.definition(definition.operands[0])
        return definition

    def _operand_stays(self, value: Value, op: Op) -> bool:
        """True where an operand of `op` is dequantized from codes that stay int8."""
        source = self._source(value, op)
        if isinstance(source, ops.Dequantize):
            return self._stay(source.x)
        if source is None or not selects(source):
            return False
        # The optimizer puts a pair of conversions behind what only moves codes: codes of their own.
        return self._moved(source.results[0]) and self._readers(source.results[0]) != 1

    def _moved(self, value: Value) -> bool:
        """True where a value consists of elements dequantized from int8 codes."""
        definition = self.module.definition(value)
        if isinstance(definition, ops.Dequantize):
            return _is_int8(definition.x)
        return definition is not None and selects(definition) and self._moved(definition.operands[0])

    def _result_stays(self, op: Op) -> bool:
        """True where the result of `op` is quantized to codes that stay int8."""
        value = op.results[0]
        while self._readers(value) == 1 and value.name in self.module.users:
            (user,) = self.module.users[value.name]
            if isinstance(user, ops.Quantize):
                return self._stay(user.result)
            if not isinstance(user, ops.Clamp) and not _belongs(user, op):
                return False
            value = user.results[0]
        return False

    def _stay(self, codes: Value) -> bool:
        """True where codes are int8, and not those that one dequantize reads for one operation."""
        if not _is_int8(codes):
            return False
        definition = self.module.definition(codes)
        while isinstance(definition, ops.StorageCast):
            codes = definition.x
            definition = self.module.definition(codes)
        return not isinstance(definition, ops.Quantize) or self._code_readers(codes) != 1

    def _code_readers(self, codes: Value) -> int:
        """Return how many operations and outputs read codes or what is dequantized from them; codes as such count 2."""
        count = 2 * sum(output.value.name == codes.name for output in self.module.outputs)
        for user in self.module.users.get(codes.name, ()):
            if isinstance(user, ops.StorageCast):
                count += self._code_readers(user.result)
            else:
                count += self._real_readers(user) if isinstance(user, ops.Dequantize) else 2
        return count

    def _real_readers(self, conversion: ops.Dequantize) -> int:
        """Return how many read the real numbers of a conversion; 2 where it is part of an operation on codes."""
        users = self.module.users.get(conversion.result.name, ())
        return 2 if any(_same_node(user, conversion) for user in users) else self._readers(conversion.result)

    def _readers(self, value: Value) -> int:
        """Return how many operands of the model's nodes, and outputs, a value is."""
        nodes: dict[str, int] = {}
        for user in self.module.users.get(value.name, ()):
            slots = sum(v.name == value.name for v in user.operands)
            node = user.location.node or user.results[0].name
            nodes[node] = max(nodes.get(node, 0), slots)  # one node may become several operations
        return sum(nodes.values()) + sum(output.value.name == value.name for output in self.module.outputs)


def _is_int8(codes: Value) -> bool:
    element = per_tensor(codes.type)
    return element is not None and element.storage_type == I8


def _belongs(other: Op | None, op: Op) -> TypeGuard[Op]:
    """True where `other` only arranges elements for `op`, being of the same node of the model."""
    return isinstance(other, ops.Transpose | ops.Reshape) and _same_node(other, op)


def _same_node(one: Op, other: Op) -> bool:
    return bool(one.location.node) and one.location.node == other.location.node
