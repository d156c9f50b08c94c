"""The commands of `wheatear`, one module each; `edge.cli` turns their errors into a line and an exit code."""
