"""Replay: whoever missed events asks for them by number, a page at a time.

    DEALER ──▶ {"v": 1, "stream": "mic", "log": "0190…", "from": 41, "limit": 500}
    ROUTER ◀── {"v": 1, "log": …, "stream": …, "events": […], "next": 73, "head": 72, "oldest": 1}

One thread owns the ROUTER socket and a read-only SQLite connection of its own, so that no question ever delays an
event. What is not understood gets an answer with ``error`` and changes nothing.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import msgspec
from msgspec import Meta, field

from edge.errors import JournalError, WireError
from edge.publish.board import Board
from edge.publish.reader import PAGE_LIMIT, Page, Reader
from edge.publish.wake import Wake
from edge.publish.zeromq import KEEPALIVE_MS, MAX_MESSAGE, bind, peer_of

if TYPE_CHECKING:
    import zmq

    from edge.publish.gate import Gate

logger = logging.getLogger(__name__)

DEFAULT_ENDPOINT = "tcp://127.0.0.1:5557"
PAUSE_S = 0.002  # between two answers: a greedy client cannot starve detection of the processor
QUEUE = 100  # requests or answers that wait for one client
REQUESTS = 100  # of one client a second; twice as many at once
PEERS = 1_000  # clients whose rate is remembered


class Request(msgspec.Struct, kw_only=True):
    """What a client asks; keys it adds are ignored."""

    v: Literal[1]
    stream: Annotated[str, Meta(min_length=1, max_length=200)]
    log: Annotated[str, Meta(max_length=64)] = ""
    start: Annotated[int, Meta(ge=0, le=2**63 - 2)] = field(name="from", default=1)
    limit: Annotated[int, Meta(ge=1, le=PAGE_LIMIT)] = PAGE_LIMIT


class ReplayServer:
    """Answers replay requests from a thread of its own, until closed.

    Parameters
    ----------
    journal_path
        The journal to read; it may be made later.
    endpoint
        Where to listen; port ``*`` picks a free one, and `endpoint` then says which.
    allow_remote
        Listen on addresses that other machines reach.
    gate
        Who may connect; anyone where None.
    board
        Where refusals are counted.
    requests
        Requests of one client (by key, else by address) a second.

    Raises
    ------
    WireError
        The endpoint cannot be had.
    """

    def __init__(
        self,
        journal_path: Path,
        endpoint: str = DEFAULT_ENDPOINT,
        allow_remote: bool = False,
        *,
        gate: Gate | None = None,
        board: Board | None = None,
        requests: int = REQUESTS,
    ) -> None:
        import zmq

        self._path = journal_path
        self._board, self._rates = board or Board(), Rates(requests)
        self._context: zmq.Context[zmq.Socket[bytes]] = gate.context if gate else zmq.Context()
        self._owns_context = gate is None
        options = {
            zmq.MAXMSGSIZE: MAX_MESSAGE,
            zmq.RCVHWM: QUEUE,
            zmq.SNDHWM: QUEUE,
            zmq.HEARTBEAT_IVL: KEEPALIVE_MS,
            zmq.HEARTBEAT_TIMEOUT: 3 * KEEPALIVE_MS,
        }
        try:
            self._socket = bind(self._context, zmq.ROUTER, endpoint, allow_remote, options, gate)
        except WireError:
            if self._owns_context:
                self._context.term()
            raise
        self.endpoint = self._socket.getsockopt_string(zmq.LAST_ENDPOINT)
        self._reader: Reader | None = None
        self._closing = False
        self._wake = Wake()
        self._thread = threading.Thread(target=self._run, name="replay", daemon=True)
        self._thread.start()

    def __enter__(self) -> ReplayServer:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop answering and close the socket."""
        if self._closing:
            return
        self._closing = True
        self._wake.set()
        self._thread.join()
        self._wake.close()

    def _run(self) -> None:
        import zmq

        poller = zmq.Poller()
        poller.register(self._wake.fileno(), zmq.POLLIN)
        poller.register(self._socket, zmq.POLLIN)
        while not self._closing:
            ready = dict(poller.poll())
            if self._socket in ready:
                self._serve()
                time.sleep(PAUSE_S)
        if self._reader:
            self._reader.close()
        self._socket.close()
        if self._owns_context:
            self._context.term()

    def _serve(self) -> None:
        """Answer one request."""
        import zmq

        *envelope, body = self._socket.recv_multipart(copy=False)  # a REQ client's empty frame goes back as it came
        if self._rates.allows(peer_of(body)):
            page = self.answer(body.bytes)
        else:
            self._board.refuse()
            page = _fault(f"busy: more than {self._rates.limit} requests a second; ask again in a second")
        try:
            self._socket.send_multipart([*(part.bytes for part in envelope), msgspec.json.encode(page)], zmq.DONTWAIT)
        except zmq.ZMQError as error:  # the client has gone
            logger.debug("replay: an answer could not be sent: %s", error)

    def answer(self, body: bytes) -> Page:
        """The page for one request; faults are said in its ``error``."""
        try:
            request = msgspec.json.decode(body, type=Request)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            return _fault(f'bad-request: {error}; expected {{"v": 1, "stream": …, "log": …, "from": …, "limit": …}}')
        try:
            if self._reader and self._reader.stale:
                self._reader.close()
                self._reader = None
            self._reader = self._reader or Reader(self._path)
            return self._reader.page(request.stream, request.log, request.start, request.limit)
        except JournalError as error:
            logger.warning("replay: %s", error)
            if self._reader:
                self._reader.close()
            self._reader = None
            return _fault(f"unavailable: {error}")


def _fault(error: str) -> Page:
    return Page(events=[], next=1, head=0, error=error)


class Rates:
    """A bucket of tokens for each client: `limit` a second, twice as many at once.

    Parameters
    ----------
    limit
        Requests a second.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # tokens, and when they were counted

    def allows(self, peer: str) -> bool:
        """Take a token of a client; False where it has none left."""
        now = time.monotonic()
        tokens, then = self._buckets.pop(peer, (2.0 * self.limit, now))
        tokens = min(2.0 * self.limit, tokens + (now - then) * self.limit)
        self._buckets[peer] = (max(0.0, tokens - 1), now)
        if len(self._buckets) > PEERS:
            self._buckets.popitem(last=False)
        return tokens >= 1
