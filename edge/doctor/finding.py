"""A line of the doctor's report."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Literal

import msgspec

from edge.errors import WheatearError

Level = Literal["ok", "warn", "fail"]


class Finding(msgspec.Struct, frozen=True):
    """What a check found.

    Attributes
    ----------
    check
        Its name.
    level
        ``ok``; ``warn``: works, but not well; ``fail``: does not work.
    text
        What is so.
    fix
        What to do or to type; "" where nothing is to be done.
    """

    check: str
    level: Level
    text: str
    fix: str = ""


def ok(check: str, text: str) -> Finding:
    """Nothing to do."""
    return Finding(check, "ok", text)


def warn(check: str, text: str, fix: str) -> Finding:
    """It works, but not well."""
    return Finding(check, "warn", text, fix)


def fail(check: str, text: str, fix: str) -> Finding:
    """It does not work."""
    return Finding(check, "fail", text, fix)


Check = Callable[[], Finding | Iterable[Finding]]


def run(name: str, check: Check) -> Iterator[Finding]:
    """The findings of one check; an error of it is a finding too, so that the others still speak."""
    try:
        found = check()
        yield from [found] if isinstance(found, Finding) else found
    except WheatearError as error:
        text, _, fix = str(error).rpartition("; ")
        yield fail(name, text or fix, fix if text else "see docs/device.md")
    except Exception as error:  # a system that nobody has thought of
        text = " ".join(str(error).split())
        yield warn(name, f"cannot be told: {type(error).__name__}: {text}", "please report it")
