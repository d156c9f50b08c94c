"""The command `wheatear bench`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from threadpoolctl import threadpool_limits

if TYPE_CHECKING:
    from bench.result import Document, Result

MARKDOWN = click.Path(path_type=Path, dir_okay=False, exists=True)
MODEL = "esc10-s"


@click.group()
def bench() -> None:
    """Measure what Wheatear costs on this machine, and what others do."""


def outputs(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options that say where figures go."""
    command = click.option("--document", type=MARKDOWN, help="Write the tables into this Markdown file.")(command)
    return click.option("--json", "as_json", is_flag=True, help="All figures as JSON.")(command)


@bench.command()
@click.option("--streams", default=1, show_default=True, type=click.IntRange(1), help="Microphones at once.")
@click.option("--duration", default=60.0, show_default=True, type=click.FloatRange(5), help="Seconds of sound.")
@click.option("--model", default=MODEL, show_default=True, help="A model's name or folder.")
@click.option("--engine", type=click.Choice(["onnx", "tflite"]), help="Inference runtime to prefer.")
@click.option("--precision", type=click.Choice(["float32", "int8"]), help="Model file to prefer.")
@click.option("--endpoint", default="tcp", show_default=True, type=click.Choice(["tcp", "ipc"]), help="Kind of socket.")
@click.option("--load", default=0, show_default=True, type=click.IntRange(0), help="Other busy processes meanwhile.")
@click.option("--block", default=10.0, show_default=True, type=click.FloatRange(1, 1000), help="ms per delivery.")
@click.option("--sound", type=click.Path(path_type=Path, dir_okay=False), help="Play this instead of the scene.")
@outputs
def latency(as_json: bool, document: Path | None, duration: float, block: float, **options: Any) -> None:
    """Time the whole way, in real time: a sample sounds, a subscriber in another process has the event.

    \b
    Examples:
      wheatear bench latency
      wheatear bench latency --streams 32 --load 2
      wheatear bench latency --endpoint ipc --duration 300 --json
    """
    from bench import latency as benchmark

    _show(
        benchmark.run(benchmark.Options(seconds=duration, block_s=block / 1000, **options)),
        as_json,
        document,
        "bench latency",
    )


@bench.command()
@click.option("--model", default=MODEL, show_default=True, help="A model's name or folder.")
@click.option("--duration", "seconds", default=300.0, show_default=True, type=click.FloatRange(5), help="Of a file.")
@click.option("--rounds", default=5, show_default=True, type=click.IntRange(1), help="Interleaved rounds.")
@click.option("--trial", "trial_s", default=5.0, show_default=True, help="Seconds per trial of streams; 0: none.")
@click.option("--third-party", type=click.Path(path_type=Path, file_okay=False), help="BirdNET-STM32's folder.")
@outputs
def throughput(as_json: bool, document: Path | None, **options: Any) -> None:
    """Count hours of sound per core-hour on files, beside hand-written loops; and streams that one core carries.

    \b
    Examples:
      wheatear bench throughput
      wheatear bench throughput --trial 0 --third-party models/birdnet-stm32
    """
    from bench import throughput as benchmark

    _show(benchmark.run(benchmark.Options(**options)), as_json, document, "bench throughput")


@bench.command()
@click.option("--model", default=MODEL, show_default=True, help="A model's name or folder.")
@click.option("--duration", "seconds", default=60.0, show_default=True, type=click.FloatRange(1), help="Of sound.")
@click.option("--rounds", default=3, show_default=True, type=click.IntRange(1), help="Starts of the daemon.")
@outputs
def resources(as_json: bool, document: Path | None, **options: Any) -> None:
    """Measure what the daemon costs on one live stream: processor, memory, and the time until it listens.

    \b
    Examples:
      wheatear bench resources
      wheatear bench resources --model my-model/ --duration 300 --json
    """
    from bench import resources as benchmark

    _show(benchmark.run(**options), as_json, document, "bench resources")


@bench.command()
@click.option("--duration", "seconds", default=120.0, show_default=True, type=click.FloatRange(1), help="Of sound.")
@click.option("--rounds", default=5, show_default=True, type=click.IntRange(1), help="Repetitions.")
@outputs
def levels(as_json: bool, document: Path | None, **options: Any) -> None:
    """Measure what sound levels cost a stream: the processor time of third octaves, weightings and percentiles.

    \b
    Example:
      wheatear bench levels
    """
    from bench import levels as benchmark

    _show([benchmark.run(**options)], as_json, document, "bench levels")


@bench.command()
@click.option("--config", "path", required=True, type=click.Path(path_type=Path, dir_okay=False), help="One stream.")
@click.option("--sound", required=True, type=click.Path(path_type=Path, dir_okay=False), help="What it shall hear.")
@click.option("--rounds", default=5, show_default=True, type=click.IntRange(1), help="Interleaved rounds.")
@outputs
def second(path: Path, sound: Path, rounds: int, as_json: bool, document: Path | None) -> None:
    """Measure how much of a recording a second stage hears, and the processor time that this saves.

    \b
    Example:
      wheatear bench second --config garden-birds.toml --sound dawn.flac
    """
    from edge.config import load, override
    from edge.config.settle import settle

    config = settle(override(load(path), {"source": str(sound)}))
    from bench import second as benchmark

    _show([benchmark.run(config, rounds)], as_json, document, "bench second")


@bench.command()
@click.argument("folders", nargs=-1, metavar="[FOLDER]...")
@click.option("--duration", "seconds", default=20.0, show_default=True, type=click.FloatRange(1), help="Of sound.")
@click.option("--rounds", default=7, show_default=True, type=click.IntRange(1), help="Interleaved rounds.")
@outputs
def model(folders: tuple[str, ...], as_json: bool, document: Path | None, **options: Any) -> None:
    """Measure each file of a model: time to load, a step, a second of sound, memory, size.

    \b
    Examples:
      wheatear bench model
      wheatear bench model esc10-s my-model/ --json
    """
    from bench import model as benchmark

    _show(benchmark.run(folders or (MODEL,), **options), as_json, document, "bench model")


@bench.command()
@click.option("--against", metavar="PEER,…", default="", help="Peers to run; all that are installed by default.")
@click.option("--seconds", default=20.0, show_default=True, help="Length of the recording.")
@click.option("--rounds", default=9, show_default=True, help="Interleaved rounds.")
@click.option("--paced/--no-paced", default=True, show_default=True, help="Also one hop every 5 ms.")
@click.option("--json", "as_json", is_flag=True, help="All figures as JSON.")
@click.option("--document", type=click.Path(path_type=Path), help="Write the tables into this Markdown file.")
def frontend(against: str, seconds: float, rounds: int, paced: bool, as_json: bool, document: Path | None) -> None:
    """Time the front end against other libraries, in one process, in turns.

    \b
    Examples:
      wheatear bench frontend
      wheatear bench frontend --against librosa,kaldi-native-fbank --json
      wheatear bench frontend --document docs/frontend.md
    """
    from bench import frontend as benchmark
    from bench.everything import front_end
    from bench.report import replace_section
    from bench.result import document as stamped
    from bench.result import to_json

    names = [name.strip() for name in against.split(",") if name.strip()]
    with threadpool_limits(1):  # one thread for everybody, BLAS included
        cases = benchmark.run(names, seconds, rounds, paced)
    if as_json:
        click.echo(to_json(stamped(front_end(cases))))
        return
    text = benchmark.document(cases, benchmark.start())
    if document is not None:
        replace_section(document, "bench frontend", text)
        click.echo(f"wrote {document}")
        return
    click.echo(text)


@bench.command("all")
@click.option("--model", default=MODEL, show_default=True, help="A model's name or folder.")
@click.option("--third-party", type=click.Path(path_type=Path, file_okay=False), help="BirdNET-STM32's folder.")
@click.option("--short", is_flag=True, help="A fraction of everything: a minute, to see that it works.")
@click.option("--save", type=click.Path(path_type=Path, dir_okay=False), help="Write all figures here, for `compare`.")
@outputs
def everything(
    model: str, third_party: Path | None, short: bool, save: Path | None, as_json: bool, document: Path | None
) -> None:
    """Run latency (one stream and 32), throughput, model and front end, each in a process of its own.

    \b
    Examples:
      wheatear bench all --save before.json
      wheatear bench all --document docs/benchmarks.md
    """
    from bench.everything import run
    from bench.result import to_json

    made = run(model, third_party, short, lambda line: click.echo(line, err=True))
    if save is not None:
        save.write_text(to_json(made), encoding="utf-8")
        click.echo(f"wrote {save}", err=True)
    _give(made, as_json, document, "bench all")


@bench.command()
@click.argument("a", type=click.Path(path_type=Path, dir_okay=False))
@click.argument("b", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
def compare(a: Path, b: Path, as_json: bool) -> None:
    """Compare two saved runs: ratios, and whether they stand out from the noise.

    \b
    Examples:
      wheatear bench compare before.json after.json
    """
    import msgspec

    from bench import compare as comparing
    from bench.result import load

    found, notes = comparing.compare(load(a), load(b))
    if as_json:
        plain = msgspec.json.encode({"comparisons": found, "notes": notes})
        click.echo(msgspec.json.format(plain, indent=2).decode())
    else:
        click.echo(comparing.to_markdown(found, notes))


@bench.command()
@click.argument("trained", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--model", type=click.Path(exists=True, file_okay=False, path_type=Path), required=True, help="Folder.")
@click.option("--fold", "folds", multiple=True, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--data", type=click.Path(file_okay=False, path_type=Path), required=True, envvar="WHEATEAR_DATA")
@click.option("--rounds", default=9, show_default=True, help="Interleaved rounds.")
@click.option("--out", type=click.Path(path_type=Path), help="Put the tables into OUT.md, everything into OUT.json.")
def streaming(trained: Path, model: Path, folds: tuple[Path, ...], data: Path, rounds: int, out: Path | None) -> None:
    """Time carried state against a sliding window with the weights of the run TRAINED, and check what it must keep.

    \b
    Example:
      wheatear bench streaming runs/esc10-s --model edge/zoo/esc10-s --data ../shared/data --fold runs/esc10-s-fold1
    """
    from bench import streaming as benchmark

    with threadpool_limits(1):
        results = benchmark.run(trained, model, folds, data, rounds)
    click.echo(benchmark.document(results))
    if out is not None:
        benchmark.write(results, out)


def _show(results: list[Result], as_json: bool, document: Path | None, name: str) -> None:
    from bench import result

    _give(result.document(results), as_json, document, name)


def _give(made: Document, as_json: bool, document: Path | None, name: str) -> None:
    """To the terminal, or into the marked section of a document."""
    from bench import report, result

    if document is not None:
        report.replace_section(document, name, result.to_markdown(made))
        click.echo(f"wrote {document}", err=True)
    if as_json:
        click.echo(result.to_json(made))
    elif document is None:
        click.echo(result.to_markdown(made))
