"""Commands of the `wheatear` program, one module each."""
