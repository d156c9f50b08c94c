"""What is seen of a training while it runs: a progress bar with live figures, lines in a log, TensorBoard."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from training.procedures.registry import Watch

LINE_EVERY = 50


@contextmanager
def watching(folder: Path, steps: int, *, leads: bool = True, out: TextIO | None = None) -> Iterator[Watch]:
    """Yield what a procedure reports to.

    Parameters
    ----------
    folder
        Run folder; TensorBoard's files go below it.
    steps
        Of the whole training.
    leads
        Whether this process speaks; others of a distributed training are silent.
    out
        Where people look: a terminal gets a bar, anything else a line now and then (standard error by default).
    """
    if not leads:
        yield lambda *_: None
        return
    from torch.utils.tensorboard import SummaryWriter  # slow to import: only when a training begins

    out = out or sys.stderr
    board = SummaryWriter(str(folder / "tensorboard"))
    with _bar(steps, out) if out.isatty() else _lines(out) as show:

        def watch(step: int, figures: Mapping[str, float]) -> None:
            for name, value in figures.items():
                board.add_scalar(name, value, step)
            show(step, figures)

        try:
            yield watch
        finally:
            board.close()


@contextmanager
def _bar(steps: int, out: TextIO) -> Iterator[Watch]:
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    live: dict[str, float] = {}
    with Progress(*columns, console=Console(file=out)) as progress:
        task = progress.add_task("training", total=steps)

        def show(step: int, figures: Mapping[str, float]) -> None:
            live.update(figures)
            progress.update(task, completed=step + 1, description=_line(live))

        yield show


@contextmanager
def _lines(out: TextIO) -> Iterator[Watch]:
    def show(step: int, figures: Mapping[str, float]) -> None:
        if step % LINE_EVERY == 0 or "loss" not in figures:
            print(f"step {step:5d}  {_line(figures)}", file=out, flush=True)

    yield show


def _line(figures: Mapping[str, float]) -> str:
    return "  ".join(f"{name} {value:.4g}" for name, value in figures.items())
