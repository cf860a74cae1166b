"""The text of docs/tflite.md."""

from __future__ import annotations

#: `{operations}` stands for the list of operations.
DOCUMENTATION = """# TFLite models

`qcc.frontends.load("model.tflite", batch=1, shapes={})` reads a TensorFlow Lite (LiteRT) file.

* **Stage.** A file whose tensors have scales becomes a module of the quantized stage with the attribute `arithmetic
  = "tflm"`: the bits of TensorFlow Lite for Microcontrollers, unless `--arithmetic` asks for others
  ([arithmetic.md](arithmetic.md)). A float file becomes a float module, which `qcc compile --calibration` quantizes
  as any other. In a file with both, what stands between a DEQUANTIZE and a QUANTIZE is a float region and stays
  one.
* **Types are the file's**: int8, int16 and uint8 activations with their scales and zero points, weights by tensor
  or by channel, int32 and int64 biases as codes. With int16 activations the type of the bias, or without a bias the
  option `quantized_bias_type`, chooses sums of 64 or 32 bits. Half-precision and 8-bit weights of float operations
  (dynamic range quantization) are converted to float at import; the latter with a warning.
* **Weights** get the IR's order of axes: depthwise filters O×KH×KW×1, fully connected ones K×N.
* **Subgraphs.** The first one is the module; others are left out with a warning, but those that give variables their
  initial data.
* **Shapes** are fixed when a model is compiled. `--batch` fills the first dimension where the file's signature
  leaves it open, `--shape NAME=…` all open ones.
* **Names**: values, inputs and outputs have the names of the file's tensors.
* **Everything that can't be imported is in one error**, with operators and reasons. A defect whose meaning is clear
  is a warning (`qcc.frontends.FrontendWarning`): a quantized_dimension out of range, biases whose scales are not
  those of the sums, zero points of weights that the kernels ignore, versions of operations that are not known yet,
  and scales or zero points that differ where they should not: of what is copied, padded, compared (MAXIMUM, MINIMUM,
  REDUCE_MAX, REDUCE_MIN), pooled or joined. There the codes are kept, whatever they mean in the result, since that
  is what LiteRT's kernels do, or they refuse the model.
* **What is quantized stays as the file says**: `--calibration`, `--recipe` (`float` too) and `--keep-float` are errors
  on a quantized file. `--arithmetic` chooses whose kernels' bits it gives. To have operations in float, leave them out
  when the model is quantized (the converter writes DEQUANTIZE and QUANTIZE around them), or compile the float model.
* **Variables** (VAR_HANDLE, READ_VARIABLE, ASSIGN_VARIABLE; CALL_ONCE with a subgraph that assigns constants) are
  states of the module: `NAME_state` and `NAME_reset` in C ([artifact.md](artifact.md)). One without initial data begins
  as real 0.
* **No file is trusted**: every offset, count and size is checked, and what a file stands for is bounded by its
  size.

## Operations
{operations}.

Shapes, axes, indices, bounds and paddings must be constants of the file, or computed from shapes. Control flow, sparse
tensors, block-wise scales, custom operations and strings are not supported.
"""
