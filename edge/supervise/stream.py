"""One stream: from the samples in its ring to its events. All work is done by the worker that serves it.

ring ▶ gain, high-pass ▶ levels ▶ hours ▶ level gate ▶ pipelines ▶ second stage ▶ events
│                            │
health, levels messages       scores ▶ second stage, tap, levels messages
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from edge.blocks import AudioBlock, Event, EventType, ScoreBlock
from edge.clock import SECOND, Clock, SampleClock
from edge.config.streams import Stream as StreamConfig
from edge.decode.decoder import rule_of
from edge.decode.event import EventMaker
from edge.ensemble import Ensemble
from edge.errors import SourceError, StoppedError, WheatearError
from edge.ids import uuid7
from edge.inference.model import Model
from edge.levels.message import Levels as LevelMessage
from edge.levels.message import Message
from edge.levels.stage import LevelStage
from edge.pipeline import Pipeline
from edge.ring import Ring
from edge.sources.base import Source
from edge.status import State, StreamStatus
from edge.supervise.backoff import Backoff
from edge.supervise.filter import Conditioner
from edge.supervise.gate import Gate, louder_than
from edge.supervise.health import ClockWatch, Lag, Levels, Notice, Verdicts
from edge.supervise.hours import is_on
from edge.supervise.second import SecondStage, Stretches, column_of, wait_s
from edge.tap import Tap

log = logging.getLogger(__name__)

Embed = Callable[[str, str, ScoreBlock], None]
BLOCK_SECONDS = 1.0  # at most: live, a block is what has come; of a file, larger blocks cost less
HOURS_PRE_ROLL_S = 5.0  # sound before the hour that warms the models
CRASHES = 8  # in a row, then the stream is given up
SOUND_S = 60.0  # without a crash after which the next one is the first again
STALLED_NS = 60 * SECOND
LOOK_NS = SECOND // 2  # between looks at the clocks


@dataclass(frozen=True, slots=True)
class Feed:
    """One connection to a source: its sound until it is lost or ends."""

    ring: Ring
    clock: SampleClock
    source: Source


class Stream:
    """A supervised stream.

    Parameters
    ----------
    config
        What it hears and how.
    device
        Name of the sensor.
    models
        Loaded, in the order of `config.wishes`; shared with other streams.
    status
        Where it shows how it is.
    submit
        Takes its events and levels.
    clock
        The time of day.
    tap
        Looks on.
    embed
        Takes the stream's name, the model's and each block of scores with its embeddings.

    Attributes
    ----------
    ended
        Set when nothing will come any more: the source has ended, or the stream was given up or removed.
    error
        Why, where that is no clean end.
    """

    def __init__(
        self,
        config: StreamConfig,
        device: str,
        models: Sequence[Model],
        status: StreamStatus,
        submit: Callable[[Message], object],
        clock: Clock,
        tap: Tap | None = None,
        embed: Embed | None = None,
    ) -> None:
        self.config, self.models, self.status = config, models, status
        self.name = config.stream_name
        self.ended = threading.Event()
        self.error: WheatearError | None = None
        self._device, self._submit, self._clock, self._tap = device, submit, clock, tap
        self._embed = embed
        self._orders: deque[Callable[[], None]] = deque()
        self._feed: Feed | None = None
        self._lost = False
        self._position = (uuid7(clock), 0)
        self._maker = EventMaker(device, self.name, "", 1000, SampleClock(1000))
        self._maker.clock.begin(self._position[0])
        self._watch, self._verdicts = ClockWatch(clock), Verdicts(status, len(models))
        self._looked = 0
        self._pipelines: list[Pipeline | SecondStage] = []
        self._second: SecondStage | None = None
        self._cause = -1  # number of the model whose scores the second stage waits for
        self._rules = [own.over(model.card.decode) for own, model in zip(config.rules, models, strict=True)]
        if config.fuse:
            self._rules[: len(config.models)] = self._rules[:1] * len(config.models)
        self._skipped = 0
        self._last_gap = ""
        self._backoff, self._crashes = Backoff(), 0
        self._retry_at = self._crashed_at = 0.0
        self._hours: Gate | None = None
        self._meter: LevelStage | None = None
        status.model = ",".join(model.id for model in models)
        status.second = models[-1].id if config.second else ""

    @property
    def history_s(self) -> float:
        """Seconds of past sound that its ring must hold."""
        late = 0.0
        if self.config.second:  # its events come so much later than those of the others
            late = self.config.second.condition.before + max(wait_s(model) for model in self.models)
        return self._tap.history_s + late if self._tap else 0.0

    def stalled(self, now_ns: int) -> bool:
        """Nothing was heard for a minute though sound should come, or is there; or it is heard and nobody judges it."""
        feed, since = self._feed, self.status.last_sample_ns
        if self._verdicts.missing:
            return True
        if feed is None or self._retry_at or not since or now_ns - since < STALLED_NS:
            return False
        return feed.source.reconnects or feed.ring.waiting > 0

    # Called by captures and the supervisor, from their threads: orders, carried out by the worker in their order.

    def attach(self, feed: Feed) -> None:
        """Hear `feed` once what came before it is heard to its end."""
        self._orders.append(lambda: self._begin(feed))

    def unreachable(self, error: WheatearError) -> None:
        """The source cannot be had for now."""
        self._orders.append(lambda: self._say_lost(str(error)))

    def finish(self, error: WheatearError | None) -> None:
        """No further sound will come."""
        self._orders.append(lambda: self._finish(error))

    # Called by the worker.

    def step(self) -> bool:
        """Do what is due, at most one block; return False where nothing was."""
        feed = self._feed
        if feed is None:
            return self._obey()
        if not feed.ring.due or (self._retry_at and not self._restart()):
            return False
        try:
            block = feed.ring.poll(max(1, round(BLOCK_SECONDS * feed.ring.rate)))
        except WheatearError as error:
            self._detach("gap")
            if feed.source.reconnects:
                self._say_lost(str(error))
            else:
                self.error = error
            return True
        if block is not None:
            self._hear(block, feed)
        elif feed.ring.ended:
            self._end_of(feed)
        return True

    def _obey(self) -> bool:
        """Carry out the oldest order; return False where there is none."""
        if not self._orders:
            return False
        self._orders.popleft()()
        return True

    def crashed(self, error: Exception) -> None:
        """Something went wrong in here: end what is open, and begin again after a while."""
        now = time.monotonic()
        self._crashes = self._crashes + 1 if now - self._crashed_at < SOUND_S else 1
        self._crashed_at = now
        wait = self._backoff.wait() if self._crashes > 1 else 0.1
        self._retry_at = now + wait
        self.status.state, self.status.error = "failed", f"{type(error).__name__}: {error}"
        self.status.restarts += 1
        what = f"stream {self.name}: detection failed ({self.status.error})"
        for pipeline in self._pipelines:
            self._hand_over(pipeline.maker.interrupt())
        self._pipelines = []
        if self._crashes >= CRASHES:
            self._health("crash", True, f"{what}, {CRASHES} times in a row; given up")
            self._finish(StoppedError(f"{what}, {CRASHES} times in a row; see the log"))
        else:
            self._health("crash", True, f"{what}; it begins again in {wait:.1f} s")

    def stop(self, reason: str = "stop") -> None:
        """End open events; nothing is heard any more."""
        if self.ended.is_set():
            return
        self._detach(reason)
        self._finish(self.error)

    # Connections

    def _begin(self, feed: Feed) -> None:
        config, rate = self.config, feed.ring.rate
        self._feed, self._overruns = feed, 0
        self._maker = EventMaker(self._device, self.name, "", rate, feed.clock)
        self._conditioner = Conditioner(rate, config.gain_db, config.high_pass_hz)
        self._levels = Levels(rate, self.status, feed.source.live)
        self._lag = Lag(self.status)
        self._gates: list[Gate] = []
        if config.schedule:
            self._hours = Gate(rate, self._within_hours, pre_roll=HOURS_PRE_ROLL_S)
            self._gates.append(self._hours)
        if config.gate:
            gate = config.gate
            self._gates.append(Gate(rate, louder_than(gate.open_dbfs), gate.hold, gate.pre_roll))
        self._meter = self._make_meter() if config.levels else None
        self._make_pipelines()
        self.status.rate, self.status.error, self.status.state = rate, "", "running"
        if self._lost:
            self._lost = False
            self.status.reconnects += 1
            self._notice("resumed", f"{feed.source.name} is back")

    def _make_pipelines(self) -> None:
        second, always = self.config.second, len(self.config.models)
        pipelines = [self._fused()] if self.config.fuse else [self._pipeline(number) for number in range(always)]
        if second:  # under `unless` silence would mislead it
            pipelines.append(self._pipeline(always, padded=not second.unless))
        self._pipelines = [*pipelines]
        found = second and column_of(second, [model.labels for model in self.models[:-1]])
        if second and found:
            self._cause, column = found
            self._second = SecondStage(pipelines[-1], Stretches(self._maker.rate, second, column))
            self._pipelines[-1] = self._second

    def _pipeline(self, number: int, padded: bool = True) -> Pipeline:
        model, show = self.models[number], self._on_scores(number)

        def take(block: ScoreBlock) -> None:
            self._judged(number, block)
            show(block)

        return Pipeline(model, self._event_maker(model.id), self._rules[number], take, padded)

    def _fused(self) -> Pipeline:
        """Those that always listen, as one."""
        models, fuse = self.models[: len(self.config.models)], self.config.fuse
        together = Ensemble(models, self._maker.rate, fuse.weights if fuse else (), self._judged)
        maker = self._event_maker("+".join(model.id for model in models))
        return Pipeline(models[0], maker, self._rules[0], self._on_scores(0), listener=together)

    def _event_maker(self, model: str) -> EventMaker:
        return EventMaker(self._device, self.name, model, self._maker.rate, self._maker.clock)

    def _make_meter(self) -> LevelStage:
        thresholds: dict[str, float] = {}
        for model, rules in zip(self.models, self._rules, strict=True):
            thresholds |= {name: rule_of(rules, name).on for name in model.labels if name not in rules.ignore}
        clock, rate = self._maker.clock, self._maker.rate
        return LevelStage(self._device, self.name, clock, rate, self.config.calibration_db, thresholds)

    def _end_of(self, feed: Feed) -> None:
        """The ring was closed without an error: a file is over, or a live source ended by itself."""
        lost = feed.source.live and feed.source.reconnects
        self._detach("gap" if lost else "stop")
        if lost:
            self._say_lost(f"{feed.source.name}: ended")
        elif feed.source.bad_samples:
            self.error = SourceError(
                f"{feed.source.name}: {feed.source.bad_samples} samples were not numbers (the first is sample "
                f"{feed.source.first_bad}) and were heard as silence; expected finite samples: write the file again"
            )

    def _detach(self, reason: str) -> None:
        if self._feed is None:
            return
        try:
            for gate, later in self._following():
                self._pass_on(gate.flush(), later)
            self._flush(reason)
            self._publish(self._meter.flush() if self._meter else ())
        finally:
            self._feed, self._pipelines = None, []

    def _say_lost(self, why: str) -> None:
        self.status.state, self.status.error = "reconnecting", why
        if not self._lost:
            self._lost = True
            if not self.status.rate:  # it was never there: no sample has a time, but this loss has
                self._maker.clock.fix(self._clock.utc_ns())
            log.warning("%s", why)
            self._notice("lost", why)

    def _finish(self, error: WheatearError | None) -> None:
        self.error = self.error or error
        self._feed, self._pipelines = None, []
        self._orders.clear()
        self.status.state = "failed" if self.error else "ended"
        self.status.error = str(self.error or "")
        if self._tap:
            self._tap.close()
        if self.status.second:
            told = (self.name, self.status.second, 100 * self.status.second_share)
            log.info("stream %s: the second stage, %s, was given %.1f %% of the sound", *told)
        self.ended.set()

    def _restart(self) -> bool:
        """Begin again after a crash, once it is time; what waits in the ring was not lost, what left it is a gap."""
        if time.monotonic() < self._retry_at:
            return False
        self._retry_at = 0.0
        self._make_pipelines()
        self.status.state, self.status.error = "running", ""
        return True

    # Sound

    def _hear(self, block: AudioBlock, feed: Feed) -> None:
        began = time.perf_counter_ns()
        status, size = self.status, len(block.samples)
        if self._skipped:
            block = replace(block, gap=block.gap + self._skipped)
        self._skipped = size  # stays, if what follows crashes
        if block.gap or block.epoch != self._position[0]:
            self._break(block, feed)
        self._position = (block.epoch, block.stop)
        if self._meter and (self._hours is None or self._within_hours(None, block.start, block.epoch)):
            self._publish(self._meter.push(block))
        block = replace(block, samples=self._conditioner.push(block.samples), gap=0)
        self._tell(self._levels.push(block.samples))
        self._pass_on([block], self._gates)
        self._skipped = 0
        status.samples += size
        status.last_sample_ns = self._clock.monotonic_ns()
        status.queue = feed.ring.waiting
        status.state = self._state()
        if feed.source.live:
            self._tell(self._lag.push(feed.ring.waiting / feed.ring.rate))
            self._look_at_clocks()
        self._measure(time.perf_counter_ns() - began, size / feed.ring.rate)

    def _break(self, block: AudioBlock, feed: Feed) -> None:
        """Lost sound, or a new epoch: what is before it ends first."""
        for gate, later in self._following():
            self._pass_on(gate.flush(), later)
            gate.reset()
        self._flush("gap")
        self._conditioner.reset()
        if block.gap:
            self.status.gaps += 1
            self.status.lost_samples += block.gap
            if feed.ring.overruns > self._overruns:
                self.status.drop("ring", feed.ring.overruns - self._overruns)
                self._overruns = feed.ring.overruns
                log.warning("stream %s: %d samples were lost before sample %d", self.name, block.gap, block.start)
            self._hand_over([self._maker.gap(block)])
        if self._tap and block.epoch != self._position[0]:
            self._tap.attach(feed.ring, feed.ring.rate, block.epoch)

    def _following(self) -> list[tuple[Gate, list[Gate]]]:
        return [(gate, self._gates[number + 1 :]) for number, gate in enumerate(self._gates)]

    def _pass_on(self, blocks: Iterable[AudioBlock | None], gates: list[Gate]) -> None:
        """Let blocks through `gates` to the pipelines; None says that a gate has closed."""
        for block in blocks:
            if block is None:
                for gate in gates:
                    gate.reset()
                self._flush("gate")
            elif gates:
                self._pass_on(gates[0].push(block), gates[1:])
            else:
                for pipeline in self._pipelines:
                    self._hand_over(pipeline.push(block))
                given = [len(block.samples)] * len(self.models)
                if self._second:
                    heard = self._count_second(self._second)
                    whole = self.config.second and self.config.second.unless  # stretches may be shorter than a window
                    given[-1] = 0 if whole else heard
                self._tell(self._verdicts.push([samples / block.rate for samples in given]))

    def _flush(self, reason: str) -> None:
        for pipeline in self._pipelines:
            self._hand_over(pipeline.flush(reason))
        if self._second:
            self._count_second(self._second)

    def _count_second(self, second: SecondStage) -> int:
        """Samples that the second stage was given since the last count."""
        heard = second.take_heard()
        self.status.second_samples += heard
        return heard

    def _within_hours(self, _samples: object, index: int, epoch: str) -> bool:
        told = self._maker.clock.utc_ns(index, epoch)
        if told is None and not (self._feed and self._feed.source.live):
            return True  # a file that does not know its time
        return is_on(self.config.schedule, told[0] if told else self._clock.utc_ns())

    def _state(self) -> State:
        """Running, or by which gate it is not."""
        for gate in self._gates:
            if not gate.open:
                return "off" if gate is self._hours else "gated"
        return "running"

    def _measure(self, work_ns: int, seconds: float) -> None:
        """Seconds of work for one of sound, smoothed over some ten seconds."""
        if seconds:
            weight = min(1.0, seconds / 10)
            new = work_ns / SECOND / seconds
            self.status.realtime_factor += weight * (new - self.status.realtime_factor)

    # Events

    def _judged(self, number: int, block: ScoreBlock) -> None:
        """A model, by its place, has given scores."""
        self._verdicts.scored(number)
        if self._embed:
            self._embed(self.name, self.models[number].id, block)

    def _on_scores(self, number: int) -> Callable[[ScoreBlock], None]:
        labels = self.models[number].labels

        def take(block: ScoreBlock) -> None:
            if self._second and number == self._cause:
                self._second.scores(block)
            latest = dict(zip(labels, block.scores[-1].tolist(), strict=True))
            self.status.scores = {**self.status.scores, **latest} if len(self.models) > 1 else latest
            if self._meter:
                self._meter.scores(block, labels)
            if self._tap:
                self._tap.scores(block, labels)

        return take

    def _hand_over(self, events: Iterable[Event]) -> None:
        for event in events:
            self._submit(event)
            self.status.events += 1
            self.status.last_event_utc_ns = self._clock.utc_ns()
            if self._tap:
                self._tap.event(event)

    def _publish(self, levels: Iterable[LevelMessage]) -> None:
        for minute in levels:
            self._submit(minute)
            self.status.levels = minute

    def _notice(self, kind: EventType, reason: str, **detail: Any) -> None:
        self._hand_over([self._maker.notice(kind, *self._position, reason=reason, **detail)])

    def _health(self, fault: str, active: bool, reason: str, **detail: Any) -> None:
        if active:
            log.warning("stream %s: %s", self.name, reason)
        else:
            log.info("stream %s: %s", self.name, reason)
        self._notice("health", reason, fault=fault, active=active, **detail)

    def _tell(self, notices: Iterable[Notice]) -> None:
        for notice in notices:
            self._health(notice.fault, notice.active, notice.reason, **notice.detail)

    def _look_at_clocks(self) -> None:
        now = self._clock.monotonic_ns()
        if now - self._looked >= LOOK_NS:
            self._looked = now
            self._tell(self._watch.look())
