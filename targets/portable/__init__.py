"""Loop nests for every operation, over scalars: plain C comes from them, and what no dot-product nest computes.

Innermost loops run over contiguous elements, so that a compiler's vectoriser can take them. Names of parameters and
variables come from the roles of operands, not from the model, so that equal layers give equal functions.
"""
