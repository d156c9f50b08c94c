"""Standard output whose reader may go away: ``wheatear run … | head``."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from edge.blocks import Event
    from edge.levels.message import Levels


class Printer:
    """Prints events until nobody reads them any more.

    Parameters
    ----------
    form
        What is printed of an event.
    gone
        Called once, when the reader has gone.
    """

    def __init__(self, form: Callable[[Event | Levels], str], gone: Callable[[], None]) -> None:
        self._form, self._gone, self._read = form, gone, True

    def __call__(self, event: Event | Levels) -> None:
        """Print an event."""
        if not self._read:
            return
        try:
            click.echo(self._form(event))
        except BrokenPipeError:
            self._read = False
            discard()
            self._gone()


def discard() -> None:
    """Give what is printed from now on, and what is not yet flushed, to nobody."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
