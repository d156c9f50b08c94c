"""Benchmarks: what Wheatear costs, and what a user would pick instead, measured side by side."""
