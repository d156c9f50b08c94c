"""The gate: who may connect to the sockets of a device that has keys (CURVE and ZAP, ZeroMQ RFC 26 and 27).

client ──CURVE handshake──▶ socket ──ZAP request──▶ gate: is the key in the folder `allowed`?
                │ no key, wrong server key, garbage            │ no
                └──▶ handshake fails (seen by a monitor)       └──▶ 400
                                    both are counted; nothing of what is published reaches the client
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

from edge.publish.board import Board
from edge.publish.keys import KeyFolder
from edge.publish.wake import Wake

if TYPE_CHECKING:
    import zmq

logger = logging.getLogger(__name__)

ZAP = "inproc://zeromq.zap.01"
DOMAIN = b"wheatear"
ZAP_FIELDS = 6  # version, request, domain, address, identity, mechanism; credentials follow


class Gate:
    """Answers for all sockets of one context, from a thread of its own, until closed.

    Parameters
    ----------
    keys
        The device's pair, and who is allowed; looked at anew for each connection.
    board
        Where denials are counted.

    Attributes
    ----------
    context
        Sockets that shall be guarded must be made in it.

    Raises
    ------
    ConfigError
        The folder has no pair for the device.
    """

    def __init__(self, keys: KeyFolder, board: Board) -> None:
        import zmq

        self._keys, self._board = keys, board
        self._public, self._secret = keys.pair()
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = self.context.socket(zmq.REP)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.bind(ZAP)
        self._monitors: list[zmq.Socket[bytes]] = []
        self._closing = False
        self._wake = Wake()
        self._thread = threading.Thread(target=self._run, name="gate", daemon=True)
        self._thread.start()

    def guard(self, socket: zmq.Socket[bytes]) -> None:
        """Let only clients with a key that is allowed use a socket; to be called before it is bound."""
        import zmq

        socket.setsockopt(zmq.CURVE_SERVER, 1)
        socket.setsockopt_string(zmq.CURVE_SECRETKEY, self._secret)
        socket.setsockopt(zmq.ZAP_DOMAIN, DOMAIN)
        failures = zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL | zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL
        self._monitors.append(socket.get_monitor_socket(failures))
        self._wake.set()

    def close(self) -> None:
        """End the thread, after the sockets that it guards were closed."""
        if self._closing:
            return
        self._closing = True
        self._wake.set()
        self._thread.join()
        self._wake.close()
        self.context.destroy(linger=0)

    def _run(self) -> None:
        import zmq

        poller = zmq.Poller()
        poller.register(self._wake.fileno(), zmq.POLLIN)
        poller.register(self._socket, zmq.POLLIN)
        watched: list[zmq.Socket[bytes]] = []
        while not self._closing:
            ready = dict(poller.poll())
            if self._wake.fileno() in ready:
                self._wake.clear()
                for monitor in self._monitors[len(watched) :]:
                    poller.register(monitor, zmq.POLLIN)
                    watched.append(monitor)
            if self._socket in ready:
                self._socket.send_multipart(self.decide(self._socket.recv_multipart()))
            for monitor in watched:
                if monitor in ready:
                    monitor.recv_multipart()
                    self._board.deny()

    def decide(self, request: list[bytes]) -> list[bytes]:
        """The answer to a ZAP request: 200 with the client's name, or 400."""
        version, number = (*request[:2], b"", b"")[:2]
        mechanism, key = (*request[ZAP_FIELDS - 1 : ZAP_FIELDS + 1], b"", b"")[:2]
        name = self._name(key) if mechanism == b"CURVE" and request[2:3] == [DOMAIN] else None
        if name is None:
            self._board.deny()
            address = request[3].decode("ascii", "replace") if len(request) > 3 else "?"
            logger.info("denied a connection from %s: its key is not allowed", address)
            return [version, number, b"400", b"no key that is allowed", b"", b""]
        return [version, number, b"200", b"OK", name.encode(), b""]

    def _name(self, key: bytes) -> str | None:
        from zmq.utils import z85

        return self._keys.allowed().get(z85.encode(key).decode()) if len(key) == 32 else None
