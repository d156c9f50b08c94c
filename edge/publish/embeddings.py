"""Embeddings as a stream of their own: what a model makes of the sound before it decides anything.

    wheatear.v1.<device>.<stream>.embedding.-.           a PUB socket of its own, so that no event ever waits for them
    {"v": 1, "type": "embedding", "first": 42, "hop": 5120, "rate": 32000, "size": 128, "data": "base64", …}

scorer ──push──▶ queue (bounded) ──▶ thread ──▶ PUB socket, or a file with one message a line
          full: left out, counted

They are never journalled and never said again. Messages of a stream and model are numbered from the start of the
device on: a number that is missing was left out by a queue here or on the way.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec
import numpy as np

from edge.blocks import Float32, ScoreBlock
from edge.config.outputs import DEFAULT_EMBEDDINGS, Publish
from edge.errors import ConfigError, StoppedError, WireError
from edge.ids import slug, uuid7
from edge.publish.board import Board
from edge.publish.jsonlines import LineFile
from edge.publish.sink import QueueSink
from edge.publish.zeromq import KEEPALIVE_MS, MAX_MESSAGE, TOPIC_ROOT, bind, split_endpoint

if TYPE_CHECKING:
    from collections.abc import Callable

    import zmq

    from edge.publish.gate import Gate

    Deliver = Callable[[list["Embeddings"]], None]

NAME = "embeddings"
QUEUE = 500  # messages that may wait; at one every 160 ms more than a minute
MAX_BYTES = 8 << 20  # of a message that a subscriber takes
FILE_BYTES, FILES, KEEP_FREE = 1 << 30, 2, 256 << 20  # of a live source's file
ENDLESS = 1 << 62


class Embeddings(msgspec.Struct, frozen=True, kw_only=True):
    """Embeddings of a stretch of sound.

    Attributes
    ----------
    device, stream, model, epoch
        As in events.
    run, number
        Another `run` after each start of the device; from then on messages of a stream and model count up by one.
    first, hop, rate
        Row ``k`` begins at sample ``(first + k) · hop`` of the epoch, at `rate` samples per second.
    size
        Numbers in a row.
    data
        The rows, one behind another, as little-endian float32; base64 in JSON.
    """

    v: int = 1
    type: Literal["embedding"] = "embedding"
    device: str
    stream: str
    model: str
    epoch: str
    run: str = ""
    number: int
    first: int
    hop: int
    rate: int
    size: int
    data: bytes

    @property
    def rows(self) -> Float32:
        """Embeddings ``[T, size]``.

        Raises
        ------
        ValueError
            The data are no rows of that size.
        """
        return np.frombuffer(self.data, "<f4").astype(np.float32).reshape(-1, self.size)

    @property
    def onset_s(self) -> float:
        """Where the first row begins, seconds since the epoch began."""
        return self.first * self.hop / self.rate


class EmbeddingOutput:
    """Makes messages of score blocks, and hands them on; one stream's blocks come from one thread.

    Parameters
    ----------
    device
        Name of the sensor.
    take
        Takes each message; must return at once where the source is live.
    """

    def __init__(self, device: str, take: Callable[[Embeddings], None]) -> None:
        self._device, self._take, self._run = device, take, uuid7()
        self._numbers: dict[tuple[str, str], int] = {}

    def push(self, stream: str, model: str, block: ScoreBlock) -> None:
        """Hand on the block's embeddings, where it has any."""
        if block.embeddings is None or not len(block.embeddings):
            return
        number = self._numbers[stream, model] = self._numbers.get((stream, model), 0) + 1
        self._take(
            Embeddings(
                device=self._device,
                stream=stream,
                model=model,
                epoch=block.epoch,
                run=self._run,
                number=number,
                first=block.first_frame,
                hop=block.hop,
                rate=block.rate,
                size=block.embeddings.shape[1],
                data=np.ascontiguousarray(block.embeddings, "<f4").tobytes(),
            )
        )


@contextmanager
def open_embeddings(config: Publish, device: str, live: bool, board: Board) -> Iterator[EmbeddingOutput]:
    """Open what ``publish.embeddings`` names, an endpoint or a file.

    A file's source waits for its embeddings to be written; a live one never does.

    Raises
    ------
    WheatearError
        The socket cannot be bound, or the file not be written; of a file's source in the end, too.
    """
    with ExitStack() as stack:
        if "://" in config.embeddings:
            gate = _gate(config, board, stack)
            socket = EmbeddingSocket(config.embeddings, config.allow_remote, config.queue, gate)
            deliver: Deliver = socket.send
            finish = socket.close
        else:
            path = Path(config.embeddings).expanduser()
            file = LineFile(path, board, FILE_BYTES if live else ENDLESS, FILES, KEEP_FREE, NAME)
            deliver, finish = file.write, file.close
        if live or "://" in config.embeddings:
            sink = QueueSink(NAME, deliver, board, QUEUE, finish)
            stack.callback(sink.close)
            yield EmbeddingOutput(device, sink.push)
        else:
            stack.callback(finish)
            yield EmbeddingOutput(device, lambda message: deliver([message]))
            if lost := board.status.dropped.get(NAME):
                raise StoppedError(f"{config.embeddings}: {lost} messages were not written: is the disk full?")


def _gate(config: Publish, board: Board, stack: ExitStack) -> Gate | None:
    if not config.curve.enabled:
        return None
    from edge.publish.gate import Gate
    from edge.publish.keys import KeyFolder

    gate = Gate(KeyFolder(Path(config.curve.folder).expanduser() if config.curve.folder else None), board)
    stack.callback(gate.close)
    return gate


class EmbeddingSocket:
    """The PUB socket; a subscriber that is too slow misses messages, as it sees by their numbers.

    Raises
    ------
    WireError
        The endpoint cannot be bound; see `edge.publish.zeromq.bind`.
    """

    def __init__(self, endpoint: str, allow_remote: bool, queue: int, gate: Gate | None = None) -> None:
        import zmq

        self._context: zmq.Context[zmq.Socket[bytes]] = gate.context if gate else zmq.Context()
        self._owns_context = gate is None
        options = {
            zmq.SNDHWM: queue,
            zmq.MAXMSGSIZE: MAX_MESSAGE,
            zmq.HEARTBEAT_IVL: KEEPALIVE_MS,
            zmq.HEARTBEAT_TIMEOUT: 3 * KEEPALIVE_MS,
        }
        try:
            self._socket = bind(self._context, zmq.PUB, endpoint, allow_remote, options, gate)
        except WireError:
            if self._owns_context:
                self._context.term()
            raise

    def send(self, messages: list[Embeddings]) -> None:
        """Publish; never blocks."""
        import zmq

        for message in messages:
            topic = f"{TOPIC_ROOT}{slug(message.device)}.{slug(message.stream)}.embedding.-."
            self._socket.send_multipart([topic.encode(), msgspec.json.encode(message)], zmq.DONTWAIT)

    def close(self) -> None:
        """Send what is queued, for a second at most, and close."""
        self._socket.close()
        if self._owns_context:
            self._context.term()


class EmbeddingSubscriber:
    """Iterator over the embeddings of a device, from now on; what was missed stays missed.

    Parameters
    ----------
    endpoint
        The device's ``publish.embeddings``.
    stream
        Embeddings of other streams are left out.
    timeout
        Iteration ends after so many seconds without any; None waits for ever.

    Attributes
    ----------
    lost
        Messages that were left out somewhere since the first one of their stream.
    """

    def __init__(
        self, endpoint: str = DEFAULT_EMBEDDINGS, stream: str | None = None, timeout: float | None = None
    ) -> None:
        import zmq

        split_endpoint(endpoint)
        self.lost = 0
        self._stream, self._timeout = stream, timeout
        self._next: dict[tuple[str, str, str, str], int] = {}
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self._socket = self._context.socket(zmq.SUB)
        self._socket.setsockopt(zmq.MAXMSGSIZE, MAX_BYTES)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt_string(zmq.SUBSCRIBE, TOPIC_ROOT)
        self._socket.connect(endpoint)

    def __enter__(self) -> EmbeddingSubscriber:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the socket; closing twice does nothing."""
        self._context.destroy(linger=0)

    def __iter__(self) -> Iterator[Embeddings]:
        return self

    def __next__(self) -> Embeddings:
        """The next message.

        Raises
        ------
        WireError
            What came is none.
        """
        wait = None if self._timeout is None else round(1000 * self._timeout)
        while self._socket.poll(wait):
            try:
                found = msgspec.json.decode(self._socket.recv_multipart()[-1], type=Embeddings)
            except msgspec.DecodeError as error:
                raise WireError(f"expected embeddings, got a message that is none: {error}; is it the port?") from None
            if self._stream in (None, found.stream):
                self._count(found)
                return found
        raise StopIteration

    def _count(self, found: Embeddings) -> None:
        key = (found.device, found.stream, found.model, found.run)
        self.lost += found.number - self._next.get(key, found.number)
        self._next[key] = found.number + 1


def read(path: Path) -> Iterator[Embeddings]:
    """Yield the messages of a file.

    Raises
    ------
    ConfigError
        A line is none.
    """
    with path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                yield msgspec.json.decode(line, type=Embeddings)
            except msgspec.DecodeError as error:
                raise ConfigError(f"{path}:{number}: expected embeddings, got a line that is none: {error}") from None
