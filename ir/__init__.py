"""The intermediate representation: types, operations, modules, text, verifier, evaluator, rewriting."""

if __name__ != "qcc.ir":
    raise ImportError(f"import qcc.ir, not {__name__}: a second copy of its classes would not equal the first")
