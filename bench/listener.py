"""The subscriber's process of `wheatear bench latency`: notes when each event is in its hands."""

from __future__ import annotations

import sys
import threading

import msgspec

from bench.rig import Heard, now
from edge.client import Subscriber

PATIENCE_S = 2.0  # after the last event, once no more are to come


def listen(endpoint: str) -> list[Heard]:
    """Say ``ready`` on standard output, then collect until standard input tells how many events there were."""
    wanted: list[int] = []
    reader = threading.Thread(target=lambda: wanted.append(int(sys.stdin.readline() or 0)), daemon=True)
    heard: list[Heard] = []
    waited = 0.0
    with Subscriber(endpoint, since=1, timeout=0.05) as events:
        while not events.heard:
            next(events, None)
        print("ready", flush=True)
        reader.start()
        while not wanted or (len(heard) < wanted[0] and waited < PATIENCE_S):
            waited = waited + events.timeout if wanted and events.timeout else 0.0
            for event in events:
                heard.append(Heard(event.stream, event.id, event.type, event.seq, now()))
                waited = 0.0
    return heard


if __name__ == "__main__":
    found = listen(sys.argv[1])
    print(msgspec.json.encode(found).decode(), flush=True)
