"""Passes: one file each, and the manager that runs them."""

if __name__ != "qcc.passes":
    raise ImportError(f"import qcc.passes, not {__name__}: a second copy of its classes would not equal the first")
