"""Ports of the loopback for a daemon that is measured or tested."""

import random
import socket
from contextlib import ExitStack

# Below what Linux and macOS lend to outgoing connections: nobody else is given the port before it is bound, or between
# two starts, and a client that waits for it cannot connect to itself.
PORTS = range(20_000, 32_000)


def free_ports(count: int = 2) -> int:
    """The first of `count` neighbouring ports that are free; replay listens behind the events.

    Raises
    ------
    OSError
        No such ports were found.
    """
    for _ in range(1000):
        first = random.choice(PORTS[: len(PORTS) - count])  # noqa: S311 - nothing is kept secret by it
        with ExitStack() as held:
            try:
                for port in range(first, first + count):
                    held.enter_context(socket.socket()).bind(("127.0.0.1", port))
            except OSError:
                continue
            return first
    raise OSError(f"no {count} neighbouring free ports of the loopback in {PORTS.start} to {PORTS.stop - 1}")
