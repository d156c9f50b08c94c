"""Writes a model folder: the files that were asked for, checked against the network, and the card."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec
import tomli_w
import torch

from edge.frontend.stream import FrontEnd
from edge.inference.card import Card, Input, ModelFile, Output, State, Stateful
from export import onnx, parity, quantize, tflite
from export.step import Float32, Step, StepFunction, Tensors, stream
from training.data import esc10
from training.data.esc10 import LABELS, Clip
from training.recipe import Recipe
from training.run import Run

CHUNK = 2
FORMATS = {"onnx": (onnx.write, onnx.runner, quantize.onnx), "tflite": (tflite.write, tflite.runner, quantize.tflite)}
CALIBRATION_CLIPS, PARITY_CLIPS, EVERY = 60, 40, 11


def package(
    run: Run,
    folder: Path,
    data: Path,
    formats: Sequence[str] = ("onnx", "tflite"),
    int8: bool = True,
    metrics: Mapping[str, float | str] | None = None,
    report: Callable[[str], None] = lambda _: None,
) -> Card:
    """Write `folder` and return its card.

    Parameters
    ----------
    data
        Folder of the data sets: the run's own training clips calibrate the int8 files and check all files.
    metrics
        Further figures for the card.
    report
        Takes one line per file.

    Raises
    ------
    ValueError
        A float file does not compute the network's scores within 1e-5.
    """
    folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)  # steps are small: two threads would spend their time waiting for each other
    recipe, step = run.recipe, Step(run.model, CHUNK)
    clips = _frames(recipe, esc10.load(data / recipe.data.labelled, recipe.frontend.rate, run.splits["folds"]))
    check, figures = _checker(run, step, clips[:: max(1, len(clips) // PARITY_CLIPS)], report), {}
    figures["steps"] = check("torch steps", step.run, parity.TOLERANCE)
    feeds = _feeds(step, clips[3 :: max(1, len(clips) // CALIBRATION_CLIPS)]) if int8 else []
    files = []
    for kind in formats:
        write, runner, to_int8 = FORMATS[kind]
        path = folder / f"model.{kind}"
        write(step, path)
        check(path.name, runner(path), parity.TOLERANCE)
        files.append(_file(path, kind, "float32"))
        if int8:
            small = folder / f"model.int8.{kind}"
            to_int8(path, small, feeds)
            figures[kind] = check(small.name, runner(small), 1.0)
            files.append(_file(small, kind, "int8"))
    agreement = {f"{k}_int8_event_agreement": round(p.decisions, 4) for k, p in figures.items() if k in formats}
    card = _card(recipe, step, files, _own_metrics(run) | agreement | dict(metrics or {}))
    (folder / "card.toml").write_text(tomli_w.dumps(msgspec.to_builtins(card)), encoding="utf-8")
    return card


def _frames(recipe: Recipe, clips: Sequence[Clip]) -> list[Float32]:
    front_end = FrontEnd(recipe.frontend)
    return [front_end.transform(clip.samples) for clip in clips]


def _feeds(step: Step, clips: Sequence[Float32]) -> list[Tensors]:
    """Inputs of some steps of streamed clips: real features with the states that they lead to."""
    return [feed for frames in clips for feed in stream(step.run, step.zeros(), frames, step.chunk)[1][::EVERY]]


def _checker(
    run: Run, step: Step, clips: Sequence[Float32], report: Callable[[str], None]
) -> Callable[[str, StepFunction, float], parity.Parity]:
    def check(name: str, function: StepFunction, tolerance: float) -> parity.Parity:
        recipe = run.recipe
        found = parity.compare(run.model, step, function, clips, LABELS, recipe.decode, recipe.frontend)
        same = f"same events in {found.decisions:.0%}"
        report(f"{name}: largest error {found.error:.1e}, mean {found.mean_error:.1e}, {same}")
        parity.demand(found, name, tolerance)
        return found

    return check


def _file(path: Path, engine: str, precision: str) -> ModelFile:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return ModelFile(name=path.name, engine=engine, precision=precision, sha256=digest)


def _card(recipe: Recipe, step: Step, files: list[ModelFile], metrics: dict[str, float | str]) -> Card:
    states = [State(f"past.{name}", f"next.{name}", shape) for name, shape in step.shapes.items()]
    return Card(
        format=1,
        name=recipe.name,
        version=recipe.version,
        description=recipe.description,
        licence=recipe.licence,
        attribution=recipe.attribution,
        data=[d for d in (recipe.data.labelled, recipe.data.background) if d],
        labels=list(LABELS),
        files=files,
        input=Input(kind="features", rate=recipe.frontend.rate, tensor="features", layout="BTF"),
        frontend=recipe.frontend,
        frontend_hash=recipe.frontend.hash,
        stream=Stateful(chunk=step.chunk, rate=1, delay=0, states=states),
        output=Output(scores="scores", kind="frame", activation="probabilities", embedding="embedding"),
        decode=recipe.decode,
        metrics=metrics,
    )


def _own_metrics(run: Run) -> dict[str, float | str]:
    """Figures of the run itself that are single numbers."""
    kept = {k: v for k, v in run.metrics.items() if isinstance(v, int | float) and k not in ("seconds", "loss")}
    folds = "+".join(str(f) for f in run.splits["folds"])
    return {"trained_on_folds": folds, **{k: float(v) for k, v in kept.items()}}
