"""Carried state against a sliding window: the same weights, runtime and precision, one thread; and what it must keep.

sliding window   |------ length ------|             computes every frame length / hop times
                     |------ length ------|
carried state    |-hop-|-hop-|-hop-| …              computes every frame once
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bench import measure, report
from bench.measure import Contender, Timing
from edge.blocks import Float32
from edge.frontend.stream import FrontEnd
from edge.inference import store
from edge.inference.engine import Engine
from edge.inference.litert import import_interpreter
from edge.inference.model import Model
from edge.inference.runtimes import open_engine
from export import precision, tflite
from export.package import FORMATS
from export.step import Graph, Step, Streamed, Window, stream
from training import run as runs
from training.layers.examples import NETWORKS, build
from training.layers.network import Network
from training.layers.network import stream as torch_stream
from training.layers.streaming import Clock
from training.metrics.clips import clip_score
from training.run import Run

WINDOWS = {"1 s window, every 100 ms": (1.0, 0.1), "10 s window, every 0.5 s": (10.0, 0.5)}  # seconds
SHORT = 0.04  # seconds of sound that one step should hear, if the network's strides allow it
FAST = 10  # percentile: a busy machine interrupts long calls more often than short ones, which would flatter the state
ENGINES = (  # runtime, precision, its own call alone
    ("tflite", "float32", True),
    ("tflite", "float32", False),
    ("tflite", "int8", True),
    ("tflite", "int8", False),
    ("onnx", "float32", False),
)
SILERO = 104e-6 / 0.032  # seconds per second of sound, measured beside these once: docs/streaming.md says where
VERSIONS = ("wheatear", "numpy", "torch", "onnxruntime", "ai-edge-litert", "ai-edge-quantizer")
RSS = """
import sys
import numpy as np
from edge.inference.model import Model
scorer = Model.load(sys.argv[1], "tflite", sys.argv[2]).stream(np.zeros(1, np.float32))
for _ in range(200):
    scorer.graph.run()
assert not {"torch", "numba", "scipy", "onnxruntime"} & set(sys.modules)
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmRSS")))
"""


def run(trained: Path, model: Path, fold_runs: Sequence[Path], data: Path, rounds: int = 9) -> dict[str, Any]:
    """Measure everything in this process, memory excepted.

    Parameters
    ----------
    trained
        The run whose weights are timed.
    model
        The exported folder that the daemon runs.
    fold_runs
        Runs that each held out a fold: int8 against float on those folds.
    data
        Folder of the data sets.
    """
    torch.set_num_threads(1)
    loaded = runs.read(trained)
    clips = loaded.samples(data)
    front_end = FrontEnd(loaded.recipe.frontend)
    frames = [front_end.transform(clip) for clip in clips[::4]]
    return {
        "machine": report.machine(VERSIONS),
        "exact": exactness(),
        "sliding": sliding(loaded, frames, rounds),
        "step": one_step(model, np.concatenate(frames), rounds),
        "memory_mb": {kind: memory(model, kind) for kind in ("float32", "int8")},
        "folds": [fold(folder, data) for folder in fold_runs],
        "sizes": sizes(model),
    }


@torch.no_grad()
def exactness(frames: int = 72) -> dict[str, Any]:
    """Largest error of steps against the whole clip over all layers and heads, and the same with the mask off."""
    errors, unmasked = {}, {}
    for name in NETWORKS:
        network = build(name)
        x = torch.randn(1, frames, network.bands, generator=torch.Generator().manual_seed(1))
        truth = network(x)
        found = []
        for times in (1, 2, 3):
            got, _ = torch_stream(network, x, times * network.chunk, silence=-2.0)
            pairs = [(got.frame, truth.frame)] + [(got.clip, truth.clip)] * (truth.clip is not None)
            found += [float((a - b).abs().max()) for a, b in pairs]
        errors[name] = max(found)
        if network.clocked:
            unmasked[name] = _unmasked(network, x, truth.frame)
    worst, least = max(errors, key=errors.__getitem__), min(unmasked, key=unmasked.__getitem__)
    return {
        "networks": len(errors),
        "largest_error": errors[worst],
        "of": worst,
        "masked_networks": len(unmasked),
        "smallest_error_without_mask": unmasked[least],
        "without_mask_of": least,
        "errors": errors,
    }


def sliding(trained: Run, frames: Sequence[Float32], rounds: int) -> list[dict[str, Any]]:
    """Cost per second of sound: a window that slides, and carried state in steps of the same hop and of the shortest.

    Where strides do not divide the hop, the steps are the next shorter ones: never later than the window, and dearer.
    """
    spec, long, rows = trained.recipe.frontend, np.concatenate(frames), []
    step = Step(trained.model)
    second, least = spec.rate / spec.hop, step.chunk
    kinds, small = precision.choose(step, frames[: precision.HEARD], step.timeline.rate / second)
    with tempfile.TemporaryDirectory() as folder:
        for title, (length, hop) in WINDOWS.items():
            window, heard = round(length * second), round(hop * second)
            sizes = {"state": max(1, heard // least) * least, "short": math.ceil(SHORT * second / least) * least}
            for engine, kind, alone in ENGINES:
                model = small if kind == "int8" else trained.model
                graphs: dict[str, Graph] = {"window": Window(model, window)}
                graphs |= {name: Step(model, size) for name, size in sizes.items()}
                contenders = []
                for name, graph in graphs.items():
                    path = _written(graph, engine, kind, Path(folder), long, kinds)
                    seconds = (heard if name == "window" else graph.chunk) / second
                    contenders.append(_contender(name, graph, engine, path, long, alone, seconds))
                times = measure.back_to_back(contenders, rounds)
                rows.append(_row(title, f"{engine} {kind}{', network alone' * alone}", length / hop, times))
    return rows


def _row(title: str, runtime: str, ideal: float, times: dict[str, Timing]) -> dict[str, Any]:
    return {
        "window": title,
        "runtime": runtime,
        "ideal": ideal,
        "us_per_second": {name: timing.percentile(FAST) * 1e6 for name, timing in times.items()},
        "ratio_same_hop": times["window"].ratio(times["state"], FAST),
        "ratio_short": times["window"].ratio(times["short"], FAST),
        "warning": measure.warning(list(times.values())),
    }


def one_step(folder: Path, frames: Float32, rounds: int) -> dict[str, Any]:
    """40 ms of sound through the deployed model: the network alone, through the engine, and as the daemon runs it."""
    contenders = []
    for kind in ("int8", "float32"):
        model = Model.load(folder, "tflite", kind)
        stream, spec = model.card.stream, model.card.frontend
        graph = model.stream(frames[-1]).graph
        path = folder / _file(folder, "tflite", kind)
        chunks = [frames[i : i + stream.chunk] for i in range(0, min(2000, len(frames) - stream.chunk), stream.chunk)]
        units = stream.chunk * spec.hop / spec.rate / SHORT
        contenders.append(Contender(f"{kind}, as the daemon", _through(graph), chunks, units))
        engine = open_engine("tflite", path)
        engine.carry({state.input: state.output for state in stream.states})
        feeds = dict(graph.feeds)
        contenders.append(
            Contender(f"{kind}, through the engine", lambda _, e=engine, f=feeds: e.run(f), chunks, units)
        )
        interpreter = import_interpreter()(model_path=str(path), num_threads=1)
        interpreter.allocate_tensors()
        contenders.append(Contender(f"{kind}, network alone", lambda _, i=interpreter: i.invoke(), chunks, units))
    times = measure.back_to_back(contenders, rounds)
    best = times["int8, as the daemon"]
    return {
        "us": {name: {"p50": t.p50 * 1e6, "p99": t.p99 * 1e6} for name, t in times.items()},
        "share_of_silero": best.p50 / SHORT / SILERO,
        "warning": measure.warning(list(times.values())),
    }


def memory(folder: Path, kind: str) -> float:
    """Resident memory, MB, of a process that imports numpy, LiteRT and `edge.inference` and runs the model."""
    done = subprocess.run(
        [sys.executable, "-c", RSS, str(folder.resolve()), kind], capture_output=True, text=True, check=True
    )
    return round(int(done.stdout) / 1024, 1)


def fold(folder: Path, data: Path) -> dict[str, Any]:
    """Int8 against float on the fold that a run never saw: clips right, and sizes, of the TFLite files."""
    trained = runs.read(folder)
    step, spec = Step(trained.model), trained.recipe.frontend
    front_end = FrontEnd(spec)
    heard = [front_end.transform(samples) for samples in trained.samples(data)[::5]]
    kinds, small = precision.choose(
        step, heard[:: max(1, len(heard) // precision.HEARD)], step.timeline.rate * spec.hop / spec.rate
    )
    test = [(front_end.transform(item.samples(spec.rate)), item.weak) for item in trained.part(data, "test").items]
    right, bytes_of = {}, {}
    with tempfile.TemporaryDirectory() as place:
        for kind in ("float32", "int8"):
            graph = Step(small) if kind == "int8" else step
            path = _written(graph, "tflite", kind, Path(place), np.concatenate(heard), kinds)
            runner = tflite.runner(path)
            right[kind] = sum(_heard(stream(runner, graph, frames)) in labels for frames, labels in test)
            bytes_of[kind] = path.stat().st_size
    return {"fold": trained.splits["held_out"], "clips": len(test), "right": right, "bytes": bytes_of}


def _heard(found: Streamed) -> int:
    """The class of a clip: by the network's own clip scores where it has them, else by its frames."""
    return int(np.argmax(clip_score(found.scores) if found.clip is None else found.clip[-1]))


def sizes(folder: Path) -> dict[str, int]:
    """Bytes of each file of a model folder."""
    return {file.name: (folder / file.name).stat().st_size for file in store.load_card(folder).files}


def document(results: dict[str, Any]) -> str:
    """The tables as Markdown."""
    exact, step, folds = results["exact"], results["step"], results["folds"]
    lost = sum(f["right"]["float32"] - f["right"]["int8"] for f in folds)
    clips = sum(f["clips"] for f in folds)
    shrunk = results["sizes"]
    facts = [
        (
            "largest error of steps against the whole clip",
            f"{exact['largest_error']:.1e}",
            f"{exact['networks']} networks",
        ),
        (
            "the same without the mask, at least",
            f"{exact['smallest_error_without_mask']:.1e}",
            f"{exact['masked_networks']} networks that have one",
        ),
        *(
            (f"40 ms of sound, {name}", f"{t['p50']:.0f} µs", f"p99 {t['p99']:.0f} µs")
            for name, t in step["us"].items()
        ),
        ("int8 as the daemon, of Silero VAD's cost", f"{step['share_of_silero']:.2f}", "per second of sound"),
        *((f"resident memory, {p}", f"{mb:.0f} MB", "") for p, mb in results["memory_mb"].items()),
        ("held-out clips lost by int8", f"{lost}", f"of {clips}"),
        *(
            (f"int8 size, {kind}", f"{shrunk[f'model.int8.{kind}'] / shrunk[f'model.{kind}']:.2f}", "of float32")
            for kind in ("tflite", "onnx")
        ),
    ]
    table = report.markdown(
        ("window", "runtime", "window µs", "state µs", "ratio", "shortest steps µs", "ratio", "ideal"),
        [_cells(row) for row in results["sliding"]],
    )
    machine = results["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    noise = next((row["warning"] for row in [*results["sliding"], step] if row["warning"]), "")
    return "\n\n".join(
        filter(
            None,
            [
                table,
                report.markdown(("", "measured", ""), facts),
                f"{machine['processor']}, Python {machine['python']}, {versions}.",
                f"Warning: {noise}." if noise else "",
            ],
        )
    )


def write(results: dict[str, Any], path: Path) -> None:
    """Put the tables into ``PATH.md`` and everything into ``PATH.json``."""
    report.replace_section(path.with_suffix(".md"), "bench streaming", document(results))
    path.with_suffix(".json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    cost = row["us_per_second"]
    return (
        row["window"],
        row["runtime"],
        f"{cost['window']:.0f}",
        f"{cost['state']:.0f}",
        f"{row['ratio_same_hop']:.1f}",
        f"{cost['short']:.0f}",
        f"{row['ratio_short']:.1f}",
        f"{row['ideal']:.0f}",
    )


def _written(
    graph: Graph, engine: str, kind: str, folder: Path, frames: Float32, kinds: Mapping[str, precision.Kind]
) -> Path:
    """The file of a graph, written and calibrated once."""
    write, run, convert = FORMATS[engine]
    path = folder / f"{type(graph).__name__}{graph.chunk}.{kind}.{engine}"
    if path.exists():
        return path
    write(graph, path)
    if kind == "int8":
        if isinstance(graph, Step):
            feeds = stream(run(path), graph, frames[: 200 * graph.chunk], 3).feeds
        else:
            feeds = [graph.feeds(item, {}) for item in _items(graph, frames)[:40]]
        convert(path, path, feeds, kinds)
    return path


def _items(graph: Graph, frames: Float32) -> list[Float32]:
    return [frames[i : i + graph.chunk] for i in range(0, min(len(frames) - graph.chunk, 2000), max(graph.chunk, 25))]


def _contender(
    name: str, graph: Graph, engine: str, path: Path, frames: Float32, alone: bool, seconds: float
) -> Contender:
    """What runs a graph, states carried; or the runtime's own call and nothing around it."""
    if alone:
        interpreter = import_interpreter()(model_path=str(path), num_threads=1)
        interpreter.allocate_tensors()
        work: Callable[[Any], object] = lambda _: interpreter.invoke()  # noqa: E731 - of one argument, as items need
    else:
        work = _carried(graph, open_engine(engine, path))
    return Contender(name, work, _items(graph, frames), seconds)


def _carried(graph: Graph, engine: Engine) -> Callable[[Any], object]:
    engine.carry({f"past.{name}": f"next.{name}" for name in graph.shapes})
    feeds = graph.feeds(np.zeros((graph.chunk, graph.bands), np.float32), {})

    def work(frames: Float32) -> None:
        feeds["features"][0] = frames
        engine.run(feeds)

    return work


def _through(graph: Any) -> Callable[[Any], object]:
    def work(frames: Float32) -> None:
        graph.frames[...] = frames
        graph.run()

    return work


def _file(folder: Path, engine: str, kind: str) -> str:
    return next(f.name for f in store.load_card(folder).files if (f.engine, f.precision) == (engine, kind))


def _unmasked(network: Network, x: torch.Tensor, truth: torch.Tensor) -> float:
    """Error of steps whose clock says that the clip began long ago and never ends."""
    at, size, far = network.head.timeline, network.chunk, 10_000 * network.chunk
    steps = -(-(x.shape[1] + at.delay * at.rate) // size)
    padded = torch.nn.functional.pad(x, (0, 0, 0, steps * size - x.shape[1]), value=-2.0)
    state, frames = network.init_state(), []
    for first in range(0, steps * size, size):
        scores, _, state = network.step(padded[:, first : first + size], state, Clock.at(far + first))
        frames.append(scores.frame)
    got = torch.cat(frames, 1)[:, at.delay :]
    count = min(got.shape[1], truth.shape[1])
    return float((got[:, :count] - truth[:, :count]).abs().max())
