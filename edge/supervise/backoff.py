"""How long to wait before the next attempt."""

from __future__ import annotations

import random


class Backoff:
    """Doubling waits with jitter, so that a hundred devices do not knock at the same moment.

    Parameters
    ----------
    first, longest
        Seconds; a wait is 0.5 to 1 of what has been reached.
    """

    def __init__(self, first: float = 0.5, longest: float = 30.0) -> None:
        self._first, self._longest = first, longest
        self._next = first

    def wait(self) -> float:
        """Seconds to wait this time."""
        wait, self._next = self._next, min(2 * self._next, self._longest)
        return min(wait, self._longest) * random.uniform(0.5, 1.0)  # noqa: S311  # jitter is no secret

    def reset(self) -> None:
        """It worked: begin with short waits again."""
        self._next = self._first
