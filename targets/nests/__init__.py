"""Loop nests: functions from a shape and an instruction table to TIR. They know nothing of the IR.

One convolution, from its description to an object file:

    spec = Convolution("conv_7", (1, 56, 56, 24), 144, "int8", Epilogue("int8", rescale_for(shift, z, -128, 127)))
    constants = packed_constants(spec, AVX512_VNNI.dot, weights, bias, multiplier, shift)
    data = build_object([convolution(spec, AVX512_VNNI.dot), …], AVX512_VNNI.target())

The C function is `conv_7(input, weights, bias, multiplier, shift, …, output)`: the constants in the order of the
dictionary, a 256-entry table behind them when the epilogue has one. `matmul(…)` describes a dense layer as a
`Convolution`; `rescale_for` may be told a bound on the accumulators, which makes a faster rescale possible.
"""
