"""Hours in which a stream is on."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

from edge.config.streams import DAYS, Schedule


def is_on(schedule: Sequence[Schedule], utc_ns: int) -> bool:
    """Whether any of the hours holds at a time; always where there are none.

    >>> night = Schedule(start="22:00", stop="05:00", days=("fri",), timezone="UTC")
    >>> saturday = 1_777_680_000  # 2026-05-02 00:00 UTC
    >>> [is_on([night], (saturday + hour * 3600) * 10**9) for hour in (-3, -2, 4, 5, 22)]
    [False, True, True, False, False]
    """
    return not schedule or any(_holds(hours, utc_ns // 1_000_000_000) for hours in schedule)


def _holds(hours: Schedule, seconds: int) -> bool:
    zone: tzinfo | None = ZoneInfo(hours.timezone) if hours.timezone else None
    now = datetime.fromtimestamp(seconds, UTC).astimezone(zone)
    minute, start, stop = now.hour * 60 + now.minute, _minutes(hours.start), _minutes(hours.stop)
    today, yesterday = DAYS[now.weekday()], DAYS[(now - timedelta(days=1)).weekday()]
    if start < stop:
        return today in hours.days and start <= minute < stop
    return (today in hours.days and minute >= start) or (yesterday in hours.days and minute < stop)


def _minutes(text: str) -> int:
    return int(text[:2]) * 60 + int(text[3:])
