"""Writes a model folder: the files that were asked for, proved against the network, the card, and the proof."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec
import numpy as np
import tomli_w
import torch

from edge.frontend.stream import FrontEnd
from edge.inference import card as cards
from edge.inference.card import Card, Input, ModelFile, Output, State, Stateful
from edge.inference.model import Model
from export import onnx, parity, plan, precision, quantize, tflite
from export.parity import Parity, Proof
from export.precision import Kind
from export.step import CLOCK, Float32, Graph, Step, StepFunction, Tensors, Window, stream
from training.run import Run

CHUNK = 2  # frames, unless time strides ask for more
FORMATS = {"onnx": (onnx.write, onnx.runner, quantize.onnx), "tflite": (tflite.write, tflite.runner, quantize.tflite)}
CALIBRATION_CLIPS, RECORDINGS, EVERY = 60, 20, 11
FIELDS = 3  # receptive fields that a recording is long, at least
LONG = 600.0  # seconds over which int8 may drift
LONGEST = 10.0  # seconds of a window, unless one is asked for
Report = Callable[[str], None]


def package(
    run: Run,
    folder: Path,
    data: Path,
    formats: Sequence[str] = ("onnx", "tflite"),
    int8: bool = True,
    metrics: Mapping[str, float | str] | None = None,
    report: Report = lambda _: None,
    window: float = 0.0,
) -> Card:
    """Write `folder` and return its card.

    Parameters
    ----------
    data
        Folder of the data sets: the run's own training clips calibrate the int8 files and check all files.
    metrics
        Further figures for the card.
    report
        Takes one line per finding.
    window
        Seconds of a window that slides by half its length, instead of carried state. A network that cannot stream
        gets one as long as its clips, at most `LONGEST`.

    Raises
    ------
    ValueError
        A layer cannot be written, or a float file does not compute what the network computes within 1e-5.
    """
    folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)  # steps are small: two threads would spend their time waiting for each other
    loaded = run.samples(data)
    writer = _writer(run, window, loaded, report)
    files, proofs = [], {}
    kinds, rounded = writer.kinds() if int8 else ({}, writer.graph)
    feeds: list[Tensors] = []
    for kind in formats:
        write, runner, to_int8 = FORMATS[kind]
        path = folder / f"model.{kind}"
        write(writer.graph, path)
        proofs[path.name] = writer.prove(path.name, runner(path))
        files.append(_file(path, kind, "float32"))
        if int8:
            feeds = feeds or writer.calibration(runner(path))
            small = folder / f"model.int8.{kind}"
            write(rounded, small)
            to_int8(small, small, feeds, kinds)
            proofs[small.name] = writer.compare(small, runner(small), feeds)
            files.append(_file(small, kind, "int8"))
    own = _own_metrics(run) | _agreement(proofs) | _precision(kinds) | dict(metrics or {})
    card = _card(run, writer.graph, writer.mode(), files, own)
    (folder / "card.toml").write_text(tomli_w.dumps(msgspec.to_builtins(card)), encoding="utf-8")
    proofs |= writer.deployed(folder, card)
    (folder / "parity.json").write_text(
        json.dumps(writer.facts() | {"convolutions": kinds} | proofs, indent=1) + "\n", encoding="utf-8"
    )
    return card


def _writer(run: Run, window: float, clips: Sequence[Float32], report: Report) -> _Steps | _Windows:
    """Carried state where the network streams, else a window."""
    if not window:
        try:
            Step(run.model)
        except ValueError as error:
            window = min(LONGEST, min(map(len, clips)) / run.recipe.frontend.rate)
            report(f"{error}: a window of {window:g} s slides instead")
    return _Windows(run, window, clips, report) if window else _Steps(run, clips, report)


def planned(run: Run) -> str:
    """The plan of a run's network as text.

    Raises
    ------
    ValueError
        A layer cannot stream: its name and the reason.
    """
    step = Step(run.model, math.lcm(CHUNK, Step(run.model).chunk))
    return plan.text(step, run.recipe.frontend, run.recipe.decode)


class _Steps:
    """A network with carried state."""

    def __init__(self, run: Run, clips: Sequence[Float32], report: Report) -> None:
        least = Step(run.model).chunk
        self.graph = Step(run.model, math.lcm(CHUNK, least))
        self._run, self._report, self._clips = run, report, clips
        self._front_end = FrontEnd(run.recipe.frontend)
        self._recordings = self._joined()
        recipe = run.recipe
        self._proof = Proof(run.model, self.graph, self._recordings, run.labels, recipe.decode, recipe.frontend)
        self._scene = self._long_scene()
        steps = self._proof.of_steps()
        _tell(report, "torch steps", steps)
        self._proof.demand(steps, "torch steps")

    def prove(self, name: str, run: StepFunction) -> dict[str, object]:
        """Compare a float file; refuse it where it differs."""
        found = self._proof.of(run)
        _tell(self._report, name, found)
        self._proof.demand(found, name)
        return dataclasses.asdict(found)

    def compare(self, path: Path, run: StepFunction, feeds: Sequence[Tensors]) -> dict[str, object]:
        """Measure an int8 file: error, drift over a long scene, saturated values."""
        found, seconds = self._proof.of(run), len(self._scene) * self._front_end.spec.hop / self._front_end.spec.rate
        drift = self._proof.drift(run, self._run.model, self._scene, seconds)
        _tell(self._report, path.name, found)
        self._report(
            f"{path.name}: over {drift.seconds:.0f} s mean error {drift.first:.1e} in the first tenth and "
            f"{drift.last:.1e} in the last; of {drift.events} events {drift.decisions:.1%} the same within a frame, "
            f"{drift.collar:.1%} within 200 ms"
        )
        facts = dataclasses.asdict(found) | {"drift": dataclasses.asdict(drift)}
        return facts | _clipped(path, feeds, self._report)

    def kinds(self) -> tuple[dict[str, Kind], Graph]:
        """What the convolutions of int8 files compute in, and the network with their weights."""
        spec = self._front_end.spec
        frame = self.graph.timeline.rate * spec.hop / spec.rate
        return _chosen(self.graph, self._recordings, frame, self._report)

    def calibration(self, run: StepFunction) -> list[Tensors]:
        """Inputs of some steps of streamed clips: real features with the states that they lead to."""
        chosen = self._clips[3 :: max(1, len(self._clips) // CALIBRATION_CLIPS)] or self._clips
        clips = [self._front_end.transform(clip) for clip in chosen]
        return [feed for frames in clips for feed in stream(run, self.graph, frames, EVERY).feeds]

    def deployed(self, folder: Path, card: Card) -> dict[str, object]:
        """Compare every float file through the device's scorer, over a gap."""
        errors = {}
        for file in card.files:
            if file.precision == "float32":
                model = Model.load(folder, file.engine, file.precision)
                errors[file.name] = parity.through_a_gap(model, self._run.model, self._recordings[0])
                self._report(
                    f"{file.name}: before and after a gap, through the device's scorer {errors[file.name]:.1e}"
                )
                parity.demand(Parity(errors[file.name], 0.0, 1.0), f"{file.name} over a gap")
        return {"over_a_gap": errors}

    def mode(self) -> Stateful:
        """The card's table."""
        step, at = self.graph, self.graph.timeline
        states = [State(f"past.{name}", f"next.{name}", shape) for name, shape in step.shapes.items()]
        pos, end = CLOCK if step.clocked else ("", "")
        grain = at.grain if at.grain != at.rate else 0
        return Stateful(
            chunk=step.chunk, rate=at.rate, grain=grain, delay=at.delay, states=states, position=pos, end=end
        )

    def facts(self) -> dict[str, object]:
        """What was proved on."""
        frames = [len(r) for r in self._recordings]
        at = self.graph.timeline
        field = at.past + at.ahead + at.rate
        return {"recordings": len(frames), "frames": min(frames), "receptive_field": field, "chunk": self.graph.chunk}

    def _joined(self) -> list[Float32]:
        """Clips in a row, each recording at least `FIELDS` receptive fields and one second long."""
        at, spec = self.graph.timeline, self._front_end.spec
        past = at.past if math.isfinite(at.past) else 10 * spec.rate / spec.hop
        wanted = int(max(FIELDS * (past + at.ahead + at.rate), spec.rate / spec.hop) + 2) * spec.hop + spec.frames.size
        clips = list(self._clips[:: max(1, len(self._clips) // (RECORDINGS * 3))])
        there = sum(map(len, clips))
        if not there:
            raise ValueError("expected clips to prove the files on, got none")
        long, samples = [], np.empty(0, np.float32)
        for clip in clips * -(-wanted // there):  # a small set sounds again and again
            samples = np.concatenate([samples, clip])
            if len(samples) >= wanted:
                long.append(self._front_end.transform(samples))
                samples = np.empty(0, np.float32)
        return long[:RECORDINGS]

    def _long_scene(self) -> Float32:
        """Clips one behind another, up to `LONG` seconds; a stride through the table mixes the classes."""
        spec, samples = self._front_end.spec, []
        order = np.argsort([(i * 37) % len(self._clips) for i in range(len(self._clips))], kind="stable")
        for i in order:
            if sum(map(len, samples)) >= LONG * spec.rate:
                break
            samples.append(self._clips[i])
        return self._front_end.transform(np.concatenate(samples)[: int(LONG * spec.rate)])


class _Windows:
    """A network on whole windows."""

    def __init__(self, run: Run, seconds: float, clips: Sequence[Float32], report: Report) -> None:
        spec = run.recipe.frontend
        self.graph = _window(run, int(seconds * spec.rate / spec.hop))
        self._report, front_end, frames = report, FrontEnd(spec), self.graph.chunk
        self._seconds = frames * spec.hop / spec.rate
        self._recordings = [x for x in (front_end.transform(clip) for clip in clips) if len(x) >= frames]
        if not self._recordings:
            raise ValueError(f"--window: expected clips of at least {seconds:g} s to prove the files on, got none")

    def prove(self, name: str, run: StepFunction) -> dict[str, object]:
        """Compare a float file; refuse it where it differs."""
        found = parity.of_windows(self.graph, run, self._recordings[:RECORDINGS])
        _tell(self._report, name, found)
        parity.demand(found, name)
        return _finite(found)

    def compare(self, path: Path, run: StepFunction, feeds: Sequence[Tensors]) -> dict[str, object]:
        """Measure an int8 file: error, saturated values."""
        found = parity.of_windows(self.graph, run, self._recordings[:RECORDINGS])
        _tell(self._report, path.name, found)
        return _finite(found) | _clipped(path, feeds, self._report)

    def kinds(self) -> tuple[dict[str, Kind], Graph]:
        """What the convolutions of int8 files compute in, and the network with their weights."""
        heard = [frames[: self.graph.chunk] for frames in self._recordings]
        return _chosen(self.graph, heard, self._seconds / self.graph.rows, self._report)

    def calibration(self, run: StepFunction) -> list[Tensors]:  # noqa: ARG002 - as for steps
        """Windows of clips."""
        chosen = self._recordings[:: max(1, len(self._recordings) // CALIBRATION_CLIPS)]
        return [self.graph.feeds(frames[: self.graph.chunk], {}) for frames in chosen]

    def deployed(self, folder: Path, card: Card) -> dict[str, object]:
        """Load every file as the device does, which runs it once."""
        for file in card.files:
            Model.load(folder, file.engine, file.precision)
        return {}

    def mode(self) -> cards.Window:
        """The card's table."""
        return cards.Window(length=self.graph.chunk, hop=self.graph.chunk // 2)

    def facts(self) -> dict[str, object]:
        """What was proved on."""
        return {"recordings": min(len(self._recordings), RECORDINGS), "frames": self.graph.chunk}


def _window(run: Run, frames: int) -> Window:
    """The longest window of at most `frames` whose scores divide it, and half of it, evenly."""
    for length in range(frames // 2 * 2, 0, -2):
        graph = Window(run.model, length)
        if graph.rows and not graph.rows % 2 and not length % graph.rows:
            return graph
    raise ValueError(f"--window: expected enough frames for two scores, got {frames}")


def _chosen(graph: Graph, recordings: Sequence[Float32], frame: float, report: Report) -> tuple[dict[str, Kind], Graph]:
    kinds, rounded = precision.choose(graph, recordings[:: max(1, len(recordings) // precision.HEARD)], frame)
    report(f"int8 files: {precision.told(kinds)}")
    return kinds, rounded


def _clipped(path: Path, feeds: Sequence[Tensors], report: Report) -> dict[str, int]:
    clipped, total = quantize.saturations(path, feeds)
    report(f"{path.name}: {clipped} of {total} values clipped where float becomes int8")
    return {"saturated": clipped, "saturated_of": total}


def _tell(report: Report, name: str, found: Parity) -> None:
    same = "" if math.isnan(found.decisions) else f", {found.decisions:.1%} of events the same within a frame"
    report(f"{name}: largest error {found.error:.1e}, mean {found.mean_error:.1e}{same}")
    report("  " + "  ".join(f"{tensor} {error:.0e}" for tensor, error in found.tensors.items()))


def _finite(found: Parity) -> dict[str, object]:
    return {name: value for name, value in dataclasses.asdict(found).items() if name != "decisions"}


def _agreement(proofs: Mapping[str, Mapping[str, object]]) -> dict[str, float]:
    """Share of events that int8 files agree on, for the card."""
    names = {"model.int8.onnx": "onnx", "model.int8.tflite": "tflite"}
    return {
        f"{names[name]}_int8_events_within_{span}": round(float(found["drift"][key]), 4)
        for name, found in proofs.items()
        if name in names and "drift" in found
        for span, key in (("a_frame", "decisions"), ("200ms", "collar"))
    }


def _precision(kinds: Mapping[str, Kind]) -> dict[str, str]:
    return {"int8_convolutions": precision.told(kinds)} if kinds else {}


def _file(path: Path, engine: str, precision: str) -> ModelFile:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return ModelFile(name=path.name, engine=engine, precision=precision, sha256=digest)


def _card(
    run: Run,
    graph: Graph,
    mode: Stateful | cards.Window,
    files: list[ModelFile],
    metrics: dict[str, float | str],
) -> Card:
    recipe = run.recipe
    return Card(
        format=1,
        name=recipe.name,
        version=recipe.version,
        description=recipe.description,
        licence=recipe.licence,
        attribution=recipe.attribution,
        data=[source.folder for source in (recipe.data, recipe.background) if source],
        labels=list(run.labels),
        files=files,
        input=Input(kind="features", rate=recipe.frontend.rate, tensor="features", layout="BTF"),
        frontend=recipe.frontend,
        frontend_hash=recipe.frontend.hash,
        stream=mode,
        output=Output(
            scores="scores",
            kind="frame",
            activation="probabilities",
            clip="clip" if graph.pools else "",
            embedding="embedding",
        ),
        decode=recipe.decode,
        metrics=metrics,
    )


def _own_metrics(run: Run) -> dict[str, float | str]:
    """Figures of the run itself that are single numbers."""
    kept = {k: v for k, v in run.metrics.items() if isinstance(v, int | float) and k not in ("seconds", "loss")}
    folds = "+".join(str(f) for f in run.splits["folds"])
    return {"trained_on_folds": folds, **{k: float(v) for k, v in kept.items()}}
