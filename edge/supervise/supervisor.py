"""All captures, models, workers and streams of a device: built from a configuration, rebuilt where another differs."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from edge.clock import Clock
from edge.config import Config
from edge.config.profile import resolve
from edge.config.streams import Stream as StreamConfig
from edge.config.streams import Wish
from edge.ensemble import check_alike
from edge.errors import ConfigError, StoppedError
from edge.inference.model import Model
from edge.levels.message import Message
from edge.sources.base import Channel
from edge.status import DeviceStatus
from edge.supervise.capture import Capture, Key, MakeSource, gathered_s
from edge.supervise.models import open_model
from edge.supervise.second import column_of
from edge.supervise.stream import Embed, Stream
from edge.supervise.warm import run_once
from edge.supervise.worker import Worker
from edge.tap import Tap

log = logging.getLogger(__name__)

MakeTap = Callable[[StreamConfig, Sequence[Model]], Tap | None]


class Supervisor:
    """Runs the streams of a configuration.

    Parameters
    ----------
    config
        What to run.
    status
        Where the streams show how they are.
    make_source
        Makes a capture's source.
    submit
        Takes all events and levels.
    clock
        The time of day.
    patient
        Wait for live sources that are not there at the start.
    make_tap
        Makes who looks on a stream, from its configuration and its models.
    embed
        Takes what the models embed, see `edge.supervise.stream.Stream`; then each stream needs a model that does.

    Attributes
    ----------
    config
        What is run now.
    """

    def __init__(
        self,
        config: Config,
        status: DeviceStatus,
        make_source: MakeSource,
        submit: Callable[[Message], object],
        clock: Clock,
        patient: bool = False,
        make_tap: MakeTap = lambda *_: None,
        embed: Embed | None = None,
    ) -> None:
        self.config, self._status = config, status
        self._make_source, self._submit, self._clock = make_source, submit, clock
        self._patient, self._make_tap = patient, make_tap
        self._embed = embed
        self._models: dict[Wish, Model] = {}
        self._workers: dict[Wish, Worker] = {}
        self._captures: list[Capture] = []
        self._streams: dict[str, tuple[Stream, Worker, Capture]] = {}
        self._past: list[Stream] = []

    # Life

    def prepare(self) -> None:
        """Load the models and open the sources.

        Raises
        ------
        WheatearError
            A model cannot be loaded, or no source can be had.
        """
        self._load(self.config.streams)
        for group in _by_key(self.config.streams).values():
            self._captures.append(self._capture(group, self._patient))
        for capture in self._captures:
            capture.start()
        for capture in self._captures:
            capture.tried.wait()
        errors = [capture.error for capture in self._captures if capture.error]
        if len(errors) == len(self._captures) and not self._patient:
            self.stop()
            raise errors[0]

    def begin(self) -> None:
        """Let sound flow."""
        for stream in self.config.streams:
            self._start(stream)
        for capture in self._captures:
            capture.deliver()

    def stop(self) -> None:
        """End everything; open events are ended."""
        for worker in self._workers.values():  # first, so that the end of their sources is no loss to them
            worker.stop()
        for capture in self._captures:
            capture.stop()
        for capture in self._captures:
            capture.join()
        self._past += [stream for stream, _, _ in self._streams.values()]
        self._streams = {}

    @property
    def over(self) -> bool:
        """Whether nothing is left to run."""
        return all(stream.ended.is_set() for stream, _, _ in self._streams.values())

    @property
    def well(self) -> bool:
        """Whether every stream advances, or waits for something that it has declared."""
        now = self._clock.monotonic_ns()
        stalled = any(stream.stalled(now) for stream, _, _ in self._streams.values())
        return not stalled and not any(capture.stuck for capture in self._captures)

    def outcome(self) -> None:
        """Say how it ended.

        Raises
        ------
        WheatearError
            What ended a stream: of one stream as it is, of several with exit code 1.
        """
        ended = [stream for stream, _, _ in self._streams.values()] + self._past
        errors = [stream.error for stream in ended if stream.error]
        if errors and len(ended) == 1:
            raise errors[0]
        if errors:
            raise StoppedError(f"{len(errors)} of {len(ended)} streams failed; the first: {errors[0]}")

    # Reload

    def load(self, config: Config) -> None:
        """Load the models of a new configuration; nothing changes yet.

        Raises
        ------
        WheatearError
            One cannot be loaded: the new configuration cannot be run.
        """
        self._load(config.streams)

    def switch(self, config: Config) -> tuple[list[str], list[str]]:
        """Run a configuration whose models are loaded; streams that it does not change lose no sample.

        Returns
        -------
        list of str, list of str
            Names of streams that ended, and that began.
        """
        wanted = {stream.stream_name: stream for stream in config.streams}
        kept = self._captures_kept(config.streams)
        ended = [
            name
            for name, (stream, _, capture) in self._streams.items()
            if wanted.get(name) != stream.config or capture not in kept
        ]
        for name in ended:
            self._end(name)
        self.config = config
        begun = [name for name in wanted if name not in self._streams]
        new: list[Capture] = []
        for group in _by_key(wanted[name] for name in begun).values():
            if not any(capture.key == Key.of(group[0]) for capture in self._captures):
                capture = self._capture(_by_key(config.streams)[Key.of(group[0])], patient=True)
                self._captures.append(capture)
                new.append(capture)
                capture.start()
        for name in begun:
            self._start(wanted[name])
        for capture in new:  # only now: a file would be through its first seconds before anyone listens
            capture.deliver()
        self._forget_unused()
        return ended, begun

    def _captures_kept(self, streams: Iterable[StreamConfig]) -> list[Capture]:
        """Captures that go on: those that still have all channels that are wanted of them."""
        wanted = {key: _channels(group) for key, group in _by_key(streams).items()}
        return [one for one in self._captures if one.key in wanted and set(wanted[one.key]) <= set(one.channels)]

    def _end(self, name: str) -> None:
        stream, worker, capture = self._streams.pop(name)
        worker.remove(stream)
        stream.ended.wait()
        if not capture.remove(stream):
            capture.stop()
            capture.join()
            self._captures.remove(capture)
        self._status.streams = {n: s for n, s in self._status.streams.items() if n != name}

    def _forget_unused(self) -> None:
        used = {wish for stream in self.config.streams for wish in stream.wishes}
        self._models = {wish: model for wish, model in self._models.items() if wish in used}
        for wish in [wish for wish, worker in self._workers.items() if not worker.streams and wish not in used]:
            self._workers.pop(wish).stop()

    # Parts

    def _load(self, streams: Iterable[StreamConfig]) -> None:
        for stream in streams:
            for wish in stream.wishes:
                if wish not in self._models:
                    name, engine, precision = wish
                    model = open_model(name, engine, precision, resolve(self.config.device_profile))
                    run_once(model)
                    self._models[wish] = model
            models = [self._models[wish] for wish in stream.wishes]
            if stream.fuse:
                _check_fuse(stream, models)
            apart = models[len(stream.models) - 1 :] if stream.fuse else models  # those that are one count once
            twice = [label for label, n in Counter(label for m in apart for label in m.labels).items() if n > 1]
            if twice:
                raise ConfigError(
                    f"stream {stream.stream_name}: expected models without common labels, got `{twice[0]}` of several; "
                    "fuse them (`[streams.fuse]`), or give each model a stream of its own with the same source"
                )
            if stream.second:
                _check_second(stream, models)
            if self._embed and not any(model.card.output.embedding for model in models):
                raise ConfigError(
                    f"stream {stream.stream_name}: expected a model with embeddings (`output.embedding` in its card), "
                    f"got {models[0].id} without"
                )

    def _capture(self, group: list[StreamConfig], patient: bool) -> Capture:
        rate = max(self._models[wish].card.input.rate for stream in group for wish in stream.wishes)
        gather_s = min(gathered_s(stream) for stream in group)
        return Capture(Key.of(group[0]), _channels(group), rate, gather_s, self._make_source, self._clock, patient)

    def _start(self, config: StreamConfig) -> None:
        name, wishes = config.stream_name, config.wishes
        models = [self._models[wish] for wish in wishes]
        stream = Stream(
            config,
            self.config.device_name,
            models,
            self._status.stream(name),
            self._submit,
            self._clock,
            self._make_tap(config, models),
            self._embed,
        )
        worker = self._worker(wishes[0])
        worker.add(stream)
        capture = next(one for one in self._captures if one.key == Key.of(config))
        capture.add(stream, worker.wake)
        self._streams[name] = (stream, worker, capture)

    def _worker(self, wish: Wish) -> Worker:
        """The inference thread of a model; a stream of several models belongs to that of its first one."""
        if wish not in self._workers:
            self._workers[wish] = Worker(self._models[wish].card.name)
            self._workers[wish].start()
        return self._workers[wish]


def _check_fuse(stream: StreamConfig, models: Sequence[Model]) -> None:
    try:
        check_alike(models[: len(stream.models)])
    except ConfigError as error:
        raise ConfigError(f"stream {stream.stream_name}: {error}") from None


def _check_second(stream: StreamConfig, models: Sequence[Model]) -> None:
    second = stream.second
    first = [model.labels for model in models[: len(stream.models)]]
    if second and column_of(second, first) is None:
        labels = [label for one in first for label in one]
        shown = ", ".join(labels[:20]) + (", …" if len(labels) > 20 else "")
        raise ConfigError(
            f"stream {stream.stream_name}: expected `second` to wait for a label of {', '.join(stream.models)} "
            f"({shown}), got `{second.condition.label}`; correct `label` under `{'when' if second.when else 'unless'}`"
        )


def _by_key(streams: Iterable[StreamConfig]) -> dict[Key, list[StreamConfig]]:
    groups: dict[Key, list[StreamConfig]] = {}
    for stream in streams:
        groups.setdefault(Key.of(stream), []).append(stream)
    return groups


def _channels(group: Iterable[StreamConfig]) -> tuple[Channel, ...]:
    return tuple(sorted({stream.channel for stream in group}, key=str))
