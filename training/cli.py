"""``torchrun -m training.cli RECIPE …``: the train command as a module."""

from __future__ import annotations

import sys

from training.commands.train import train

if __name__ == "__main__":
    sys.exit(train())
