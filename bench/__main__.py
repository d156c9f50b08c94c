"""`python -m bench`: the command by itself, whether or not its entry point is installed."""

import sys

from bench.cli import bench
from edge.errors import WheatearError

try:
    bench(prog_name="wheatear bench")
except WheatearError as error:
    print(f"Error: {error}", file=sys.stderr)
    sys.exit(error.exit_code)
