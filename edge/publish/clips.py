"""Sound around events, cut by absolute sample index.

    events        begin(a)    begin(b)  end(a)    end(b)
                  |▓▓▓▓▓▓▓▓▓▓▓|▓▓▓▓▓▓▓▓▓|▓▓▓▓▓▓▓▓▓|
    clip   |before|                               |after|           a and b share it
                                                        |<- wait ->|  for further events, and for the privacy gate
    ring ──────────── copied bit by bit while the ring holds it ──────────▶

The thread that decides events only plans and copies; a thread of its own masks, encodes and writes.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import platformdirs

from edge.blocks import Event, Float32, ScoreBlock
from edge.clock import SECOND, rfc3339
from edge.config import Clips
from edge.errors import ClipError
from edge.publish.clipstore import ClipStore
from edge.publish.privacy import Gate, Span
from edge.resample import convert
from edge.ring import Ring

log = logging.getLogger(__name__)

DECISION_S = 10.0  # at most this long after its onset an event is decided: a window, a median, a least duration
STALL_S = 10.0  # a clip waits no longer for scores that do not come, and keeps only what was judged
CLOSE_S = 30.0  # for which the end of a stream waits for its clips
NAMED = 100  # of lost clips, the events that a message names
TICK_S = 1.0  # how often copies are brought up to date where no scores come
UNKNOWN = ("seq", "log", "durable")  # what an event is given behind the decoder


@dataclass(slots=True)
class Plan:
    """A clip in the making: source samples `start` to `stop` of `epoch`; `copied` are those before that index."""

    epoch: str
    start: int
    stop: int
    copied: int
    longest: int
    events: dict[str, Event] = field(default_factory=dict)
    open: set[str] = field(default_factory=set)
    pieces: list[Float32] = field(default_factory=list)
    truncated: bool = False

    @property
    def limit(self) -> int:
        """Up to where it may have to be copied, as far as is known."""
        return self.start + self.longest if self.open else self.stop

    def seal(self, stop: int) -> None:
        """Let it end at `stop` at the latest, whatever goes on."""
        self.truncated |= bool(self.open) or self.stop > stop
        self.stop = stop if self.open else min(self.stop, stop)
        self.open.clear()


@dataclass(frozen=True, slots=True)
class Job:
    """A clip that can be written."""

    epoch: str
    rate: int
    start: int
    pieces: list[Float32]
    count: int
    masked: list[Span]
    events: list[Event]
    truncated: bool

    @property
    def utc_ns(self) -> int | None:
        """When it begins, from the time of its first event."""
        event = self.events[0]
        if event.onset_utc_ns is None:
            return None
        return event.onset_utc_ns - (event.onset_sample - self.start) * SECOND // self.rate


class ClipRecorder:
    """The clips of one stream; a `Tap`.

    Parameters
    ----------
    clips
        What is kept, where and for how long.
    device, stream
        Names that stand in files.
    models
        Labels of each of the stream's models.
    submit
        Takes a ``health`` event of each clip, whose `detail` names the file and its events, or says why there is none;
        from any thread.
    dropped
        Called for each clip that is left out because the disk is too slow or the ring was overwritten.
    live
        Drop what the disk is too slow for; otherwise wait for it (files).
    store
        Where clips are written; made from `clips` where None.

    Raises
    ------
    ConfigError
        A private label that no model of the stream knows.
    """

    def __init__(
        self,
        clips: Clips,
        device: str,
        stream: str,
        models: Iterable[Sequence[str]],
        submit: Callable[[Event], object] | None = None,
        dropped: Callable[[], object] | None = None,
        *,
        live: bool = True,
        store: ClipStore | None = None,
    ) -> None:
        self.history_s = clips.before + DECISION_S
        self._clips = clips
        self._names = {"device": device, "stream": stream}
        self._submit = submit or (lambda _: None)
        self._dropped = dropped or (lambda: None)
        self._live = live
        self._gate = Gate(clips.privacy, models)
        self._store = store or ClipStore(clips, folder(clips), device, stream)
        self._ring = Ring(1, 1)  # until `attach`
        self._rate, self._epoch = 1, ""
        self._judged: dict[tuple[str, ...], int] = {}  # source sample up to which each model has given scores
        self._plans: list[Plan] = []
        self._waiting: deque[Job] = deque()
        self._in_work: tuple[Job, ...] = ()
        self._lost: deque[Job] = deque(maxlen=NAMED)  # of which nobody was told yet …
        self._unsaid = 0  # … and how many they are in all
        self._change = threading.Condition()  # guards all of the above
        self._closed = False
        self._writer = threading.Thread(target=self._write_all, name=f"clips {stream}", daemon=True)
        self._writer.start()

    # The stream's thread

    def attach(self, ring: Ring, rate: int, epoch: str) -> None:
        """Sound of `epoch` comes through `ring` from now on; clips of the epoch before end here."""
        with self._change:
            self._finish_all()
            self._gate.begin(rate, joined=bool(self._epoch))
            self._ring, self._rate, self._epoch = ring, rate, epoch
            self._judged = {}

    def scores(self, block: ScoreBlock, labels: Sequence[str]) -> None:
        """Let the gate see raw scores, and bring the copies up to date."""
        if block.epoch != self._epoch:
            return
        with self._change:
            self._gate.push(block, labels)
            end = (block.first_frame + len(block.scores)) * block.hop
            self._judged[tuple(labels)] = convert(end, block.rate, self._rate)
            self._advance()

    def event(self, event: Event) -> None:
        """Plan a clip where one begins or ends."""
        if event.epoch != self._epoch:
            return
        with self._change:
            if event.type == "gap":
                for plan in self._plans:
                    plan.seal(event.onset_sample)
            elif event.type == "begin":
                self._begin(event)
            elif event.type == "end":
                self._end(event)
            self._advance()

    def close(self) -> None:
        """Write what waits, and end."""
        with self._change:
            self._finish_all()
            self._closed = True
            self._change.notify_all()
        self._writer.join(CLOSE_S)

    def _begin(self, event: Event) -> None:
        wanted = not self._clips.labels or event.label in self._clips.labels
        if not wanted or self._gate.is_private(event.label):
            return
        start = max(0, event.onset_sample - self._samples(self._clips.before))
        stop = event.onset_sample + self._samples(self._clips.after)
        plan = (
            self._plans[-1]
            if self._plans and self._joins(self._plans[-1], start, stop)
            else self._plan(event, start, stop)
        )
        if start < plan.start:
            self._reach_back(plan, start)
        plan.events[event.id] = event
        plan.open.add(event.id)
        plan.stop = max(plan.stop, stop)

    def _joins(self, plan: Plan, start: int, stop: int) -> bool:
        near = bool(plan.open) or start <= plan.stop + self._samples(self._clips.join)
        return near and not plan.truncated and stop <= min(start, plan.start) + plan.longest

    def _plan(self, event: Event, start: int, stop: int) -> Plan:
        """A new clip; it begins where the ring has unbroken sound up to the event."""
        first = max([start, *(a for a, b in self._ring.held(self._epoch) if a <= event.onset_sample < b)])
        self._plans.append(Plan(self._epoch, first, stop, first, self._samples(self._clips.longest)))
        return self._plans[-1]

    def _reach_back(self, plan: Plan, start: int) -> None:
        """Begin a clip earlier, for an event that a slower model decided; where the ring still has the sound."""
        samples = self._ring.copy(plan.epoch, start, plan.start)
        if samples is not None:
            plan.pieces.insert(0, samples)
            plan.start = start

    def _end(self, event: Event) -> None:
        for plan in self._plans:
            if event.id in plan.events:
                plan.events[event.id] = event
            if event.id in plan.open:
                plan.open.discard(event.id)
                offset = event.onset_sample if event.offset_sample is None else event.offset_sample
                plan.stop = max(plan.stop, offset + self._samples(self._clips.after))

    def _advance(self) -> None:
        """Copy what has come; hand on the clips that nothing more can change."""
        held = self._ring.held(self._epoch)
        for plan in self._plans:
            self._copy(plan, held)
            longest = plan.start + plan.longest
            if plan.copied >= longest:
                plan.seal(longest)
        newest = held[-1][1] if held else 0
        done = [plan for plan in self._plans if not plan.open and self._settled(plan.stop, newest)]
        self._plans = [plan for plan in self._plans if plan not in done]
        for plan in done:
            self._finish(plan)
        past = newest - self._samples(self.history_s + self._clips.longest)
        self._gate.forget(min([past, *(plan.start for plan in self._plans)]))

    def _settled(self, stop: int, newest: int) -> bool:
        """Whether no further event and no private sound can concern a clip that ends at `stop`."""
        wait = self._clips.before + self._clips.join
        decided = min(self._judged.values(), default=0) >= stop + self._samples(wait) and self._gate.decided(stop)
        return decided or newest >= stop + self._samples(max(wait, self._clips.privacy.look_ahead) + STALL_S)

    def _copy(self, plan: Plan, held: list[Span]) -> None:
        """Take from the ring what the plan needs and does not have."""
        for first, last in held:
            end = min(plan.limit, last)
            if first <= plan.copied < end:
                samples = self._ring.copy(plan.epoch, plan.copied, end)
                if samples is not None:
                    plan.pieces.append(samples)
                    plan.copied = end
                return

    def _finish_all(self) -> None:
        """End all clips: nothing follows in this epoch."""
        self._advance()
        for plan in self._plans:
            plan.seal(plan.copied)
            self._finish(plan)
        self._plans = []

    def _finish(self, plan: Plan) -> None:
        stop = min(plan.stop, plan.copied)
        count = max(0, stop - plan.start)
        plan.truncated |= stop < plan.stop
        masked = self._gate.masked(plan.start, stop)
        events = list(plan.events.values())
        job = Job(plan.epoch, self._rate, plan.start, plan.pieces, count, masked, events, plan.truncated)
        if not count:
            self._drop(job)
            return
        while not self._live and self._full(count) and threading.current_thread() is not self._writer:
            self._change.wait()
        if self._live and self._full(count):
            self._drop(job)
        else:
            self._waiting.append(job)
            self._change.notify_all()

    def _full(self, count: int) -> bool:
        waiting = sum(job.count for job in (*self._waiting, *self._in_work))
        return bool(waiting) and waiting + count > self._samples(self._clips.backlog)

    def _drop(self, job: Job) -> None:
        self._lost.append(replace(job, pieces=[]))
        self._unsaid += 1
        self._dropped()

    def _samples(self, seconds: float) -> int:
        return round(seconds * self._rate)

    # The writer's thread

    def _write_all(self) -> None:
        self._store.clean()
        while not self._closed or self._waiting:
            job = self._next()
            self._tell_losses()
            if job is None:
                self._store.tidy()
                continue
            try:
                self._write(job)
            except ClipError as error:
                self._say(job, str(error))
            except Exception:  # whatever a codec thinks of: the next clip shall be written
                log.exception("the clip from sample %d of epoch %s was not written", job.start, job.epoch)
        self._tell_losses()

    def _tell_losses(self) -> None:
        """One message of all clips that were left out since the last one."""
        with self._change:
            lost, count = [*self._lost], self._unsaid
            self._lost.clear()
            self._unsaid = 0
        if lost:
            events = [event for job in lost for event in job.events]
            reason = f"{count} clips were lost: their sound was overwritten or the disk is too slow"
            self._say(replace(lost[-1], events=events), reason, lost=count)

    def _next(self) -> Job | None:
        """The next clip; None where there is none for a while."""
        with self._change:
            self._in_work = ()
            self._change.notify_all()
            if not (self._waiting or self._closed or self._change.wait(TICK_S)):
                self._advance()
            if not self._waiting:
                return None
            job = self._waiting.popleft()
            self._in_work = (job,)
            return job

    def _write(self, job: Job) -> None:
        privacy, stop = self._clips.privacy, job.start + job.count
        hidden = sum(last - first for first, last in job.masked)
        if hidden and (privacy.action == "drop" or hidden == job.count):
            self._say(job, "no clip: privacy")
            return
        samples = np.concatenate(job.pieces)[: job.count]
        for first, last in job.masked:
            samples[first - job.start : last - job.start] = 0
        about = {
            **self._names,
            "epoch": job.epoch,
            "rate": job.rate,
            "start_sample": job.start,
            "stop_sample": stop,
            "start_utc_ns": job.utc_ns,
            "start_utc": None if job.utc_ns is None else rfc3339(job.utc_ns),
            "utc_uncertainty_ns": job.events[0].utc_uncertainty_ns,
            "masked": job.masked,
            "truncated": job.truncated,
            "events": [_plain(event) for event in job.events],
        }
        name = self._store.write(str(job.events[0].label), samples, job.rate, job.start, about)
        self._say(job, "clip", name, masked_s=round(hidden / job.rate, 3), truncated=job.truncated)

    def _say(self, job: Job, reason: str, clip: str | None = None, **more: Any) -> None:
        stop = job.start + job.count
        self._submit(
            Event(
                stream=self._names["stream"],
                id=f"{job.epoch}:clip:{job.start}",
                device=self._names["device"],
                epoch=job.epoch,
                type="health",
                onset_sample=job.start,
                offset_sample=stop,
                onset_s=round(job.start / job.rate, 6),
                offset_s=round(stop / job.rate, 6),
                onset_utc_ns=job.utc_ns,
                onset_utc=None if job.utc_ns is None else rfc3339(job.utc_ns),
                utc_uncertainty_ns=job.events[0].utc_uncertainty_ns,
                reason=reason,
                detail={"clip": clip, "events": [event.id for event in job.events], **more},
            )
        )


def folder(clips: Clips) -> Path:
    """The root of all clips."""
    return Path(clips.folder).expanduser() if clips.folder else platformdirs.user_state_path("wheatear") / "clips"


def _plain(event: Event) -> dict[str, Any]:
    """An event for the sidecar; `id` ties it to the journal's."""
    fields: dict[str, Any] = msgspec.to_builtins(event)
    return {name: value for name, value in fields.items() if name not in UNKNOWN}
