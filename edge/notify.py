"""What a service tells systemd: ready, alive, compiling, stopping (sd_notify(3), a datagram to a local socket).

Without ``NOTIFY_SOCKET`` in the environment, nothing is sent.
"""

from __future__ import annotations

import os
import socket
import time


class Notifier:
    """Speaks to the service manager.

    Parameters
    ----------
    environment
        Where ``NOTIFY_SOCKET``, ``WATCHDOG_USEC`` and ``WATCHDOG_PID`` stand; the process's own where None.

    Attributes
    ----------
    watchdog_s
        Seconds within which a sign of life is expected; None where nobody waits for one.
    """

    def __init__(self, environment: dict[str, str] | None = None) -> None:
        given = os.environ if environment is None else environment
        address = given.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        mine = given.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        usec = given.get("WATCHDOG_USEC", "")
        self.watchdog_s = int(usec) / 1e6 if mine and usec.isdigit() and int(usec) else None
        self._fed = 0.0

    @property
    def listened_to(self) -> bool:
        """Whether a service manager has started this process and wants to know."""
        return bool(self._address)

    def ready(self, status: str = "listening") -> None:
        """The service has started, or has taken its new configuration."""
        self._send(f"READY=1\nSTATUS={_line(status)}")

    def extend_start(self, seconds: float, status: str) -> None:
        """Starting (or reloading, or stopping) takes up to `seconds` from now on: kernels are compiled."""
        self._send(f"EXTEND_TIMEOUT_USEC={round(seconds * 1e6)}\nSTATUS={_line(status)}")

    def alive(self, status: str = "") -> None:
        """A sign of life, as often as the watchdog wants one and no oftener; call it as often as you like."""
        now = time.monotonic()
        if self.watchdog_s is not None and now - self._fed >= self.watchdog_s / 3:
            self._fed = now
            self._send("WATCHDOG=1" + (f"\nSTATUS={_line(status)}" if status else ""))

    def reloading(self) -> None:
        """A new configuration is being taken in; `ready` says when it is."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """The service ends."""
        self._send("STOPPING=1")

    def _send(self, text: str) -> None:
        if not self._address:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as s:
            s.setblocking(False)
            try:
                s.sendto(text.encode(), self._address)
            except OSError:  # a manager that is gone, or too busy, is no reason to stop listening
                return


def _line(text: str) -> str:
    return " ".join(text.split())
