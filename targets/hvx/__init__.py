"""Loop nests for HVX, whose vectors of 128 bytes hold many pixels, over `targets/hexagon_instructions.py`.

`memory`: loads and stores that never leave a buffer. `lines`: padded copies of input lines. `writer`: rescaled
accumulators to bytes. On these stand `convolution` (all convolutions and matrix products), `depthwise`, `elements`
(element by element) and `pool`. The descriptions of a kernel (`Convolution`, `Epilogue`) are those of `targets/nests`.
"""
