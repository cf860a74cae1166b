"""The C program in the document on artifacts compiles and runs."""

import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np

from qcc.ir import Module, evaluate
from tests.targets.compiled import compiled
from tests.targets.integer_modules import NetBuilder, random_inputs

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "artifact.md"

_MAIN = """
#include <stdio.h>
int main(void) {
    int8_t image[digits_INPUT_image_BYTES], logits[digits_OUTPUT_logits_BYTES];
    if (fread(image, 1, sizeof image, stdin) != sizeof image) return 9;
    int status = classify(image, logits);
    fwrite(logits, 1, sizeof logits, stdout);
    return status;
}
"""


def digits() -> Module:
    net = NetBuilder("digits")
    flat = net.input("image", 1, 64)
    net.output("logits", net.dense(net.dense(flat, "hidden", 32), "logits_codes", 10))
    return net.build()


def test_the_c_program(tmp_path: Path, tool: Callable[[str], str]) -> None:
    (program,) = re.findall(r"```c\n(.*?)```", DOCUMENT.read_text(encoding="utf-8"), re.DOTALL)
    module = digits()
    folder = compiled(module, "c").save(tmp_path / "digits")
    (folder / "main.c").write_text(program + _MAIN)
    strict = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-pedantic"]
    subprocess.run([tool("gcc"), *strict, "main.c", "digits.c", "-o", "program"], cwd=folder, check=True)
    inputs = random_inputs(module)
    data = inputs["image"].tobytes()
    done = subprocess.run(["./program"], cwd=folder, input=data, capture_output=True, check=True)
    np.testing.assert_array_equal(np.frombuffer(done.stdout, np.int8), evaluate(module, inputs)["logits"].reshape(-1))


def test_every_key_of_the_manifest_is_described() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    manifest = compiled(digits(), "c").manifest
    undescribed = [key for key in manifest if f"`{key}`" not in text and key not in ("format", "name")]
    assert undescribed == []
