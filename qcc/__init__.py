"""qcc: a quantizing compiler from a trained model to a small integer C library for a named chip."""
