"""What the user keeps in float is marked; what matches nothing is an error that helps."""

import pytest

from qcc.ir import Location, Module, PassError, replace_op
from qcc.passes import KEEP_FLOAT, KeepFloat, PassContext
from tests.passes.equivalence import qir


def net() -> Module:
    module = qir(
        "input %x : tensor<1x4xf32>",
        "%w = constant() {value = dense<[[1.0], [2.0], [3.0], [4.0]]>} : tensor<4x1xf32>",
        "%head_fc = matmul(%x, %w) : tensor<1x1xf32>",
        "%head_act = sigmoid(%head_fc) : tensor<1x1xf32>",
        "%y = softmax(%head_act) : tensor<1x1xf32>",
        'output %y as "y"',
    )
    located = [replace_op(op, location=Location("m.onnx", f"/node/{op.name}")) for op in module.ops]
    return module.replace(ops=tuple(located))


def kept(module: Module) -> dict[str, str]:
    return {op.results[0].name: op.note(KEEP_FLOAT) for op in module.ops if op.note(KEEP_FLOAT)}


@pytest.mark.parametrize(
    ("options", "names"),
    [
        (KeepFloat(ops=("softmax",)), {"y"}),
        (KeepFloat(ops=("softmax", "sigmoid")), {"y", "head_act"}),
        (KeepFloat(pattern=("head_.*",)), {"head_fc", "head_act"}),
        (KeepFloat(pattern=("/node/(matmul|softmax)",)), {"head_fc", "y"}),
        (KeepFloat(ops=("softmax",), pattern=("head_act", "head_f.")), {"y", "head_act", "head_fc"}),
        (KeepFloat(), set()),
    ],
)
def test_operations_are_marked(options: KeepFloat, names: set[str]) -> None:
    assert set(kept(options.run(net(), PassContext()))) == names


def test_the_note_says_who_asked() -> None:
    assert kept(KeepFloat(pattern=("y",)).run(net(), PassContext())) == {"y": "asked for by pattern=y"}


@pytest.mark.parametrize(
    ("options", "message", "help"),
    [
        (KeepFloat(ops=("softmx",)), "there is no operation 'softmx'", "did you mean 'softmax'?"),
        (KeepFloat(ops=("gelu",)), "the model has no operation 'gelu'", "it has: matmul, sigmoid, softmax"),
        (KeepFloat(pattern=("head",)), "'head' matches as a whole", "head"),
        (KeepFloat(pattern=("head_axt",)), "'head_axt' matches as a whole", "did you mean 'head_act'?"),
        (KeepFloat(pattern=("head(",)), "is not a regular expression", r"head\("),
    ],
)
def test_what_matches_nothing_is_an_error(options: KeepFloat, message: str, help: str) -> None:
    with pytest.raises(PassError) as caught:
        options.run(net(), PassContext())
    assert message in caught.value.message
    assert help in caught.value.help
