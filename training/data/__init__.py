"""Data sets, one module per on-disk format, and the scenes composed from them."""
