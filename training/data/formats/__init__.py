"""How data sets lie on disk: one module per format; importing this package registers them all.

`load` reads tables only, never sound: a set of two million clips opens in seconds. Whether its files can be read is
`training.data.check`'s question.
"""

from __future__ import annotations

from training.data.formats.registry import FORMATS
from training.registry import import_all

__all__ = ["FORMATS"]

import_all(__name__, __path__)
