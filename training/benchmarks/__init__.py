"""Composed benchmarks, each a file of settings: `wheatear compose --benchmark NAME` writes it anew, to the byte."""
