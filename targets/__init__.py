"""Targets: what each chip can do, and how a module becomes C or machine code for it."""

if __name__ != "qcc.targets":
    raise ImportError(f"import qcc.targets, not {__name__}: a second copy of its classes would not equal the first")
