"""The ONNX backend node tests, run by the evaluator in the float stage."""

import fnmatch

import pytest

from qcc.ir import QccError, evaluate
from tests.frontends.onnx_cases import FOLDED, NodeCase, exceptions, node_cases, reason_against

CASES = node_cases()


def run(case: NodeCase) -> None:
    """Import, evaluate and compare."""
    module = case.load()
    case.check(evaluate(module, case.feeds(module)))


@pytest.mark.parametrize("name", [n for n in CASES if reason_against(n) is None])
def test_node(name: str) -> None:
    run(CASES[name])


@pytest.mark.parametrize("name", [n for n in CASES if reason_against(n) is not None])
def test_an_excepted_node_still_fails(name: str) -> None:
    with pytest.raises((QccError, AssertionError)):
        run(CASES[name])


def test_every_exception_matches_a_case() -> None:
    unused = [pattern for pattern in exceptions() if not fnmatch.filter(CASES, pattern)]
    assert unused == []


def test_the_operations_promised_are_covered() -> None:
    passing = [case for name, case in CASES.items() if reason_against(name) is None]
    covered = {node.op_type for case in passing for node in case.model.graph.node}
    promised = (
        "Add ArgMax AveragePool BatchNormalization Cast Clip Concat Constant ConstantOfShape Conv ConvTranspose Div "
        "Dropout Elu Erf Expand Flatten Gather Gelu Gemm GlobalAveragePool GlobalMaxPool HardSigmoid HardSwish "
        "Identity LeakyRelu MatMul Max MaxPool Min Mul Pad Pow PRelu Range ReduceMax ReduceMean ReduceMin ReduceSum "
        "Relu Reshape Resize Shape Sigmoid Slice Softmax Split Squeeze Sub Tanh Transpose Unsqueeze"
    )
    assert set(promised.split()) - covered == set()
    assert FOLDED - covered == set()
