"""The command `wheatear bench`."""

from __future__ import annotations

from pathlib import Path

import click
from threadpoolctl import threadpool_limits


@click.group()
def bench() -> None:
    """Measure what Wheatear costs on this machine."""


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
    from bench.report import replace_section

    names = [name.strip() for name in against.split(",") if name.strip()]
    with threadpool_limits(1):  # one thread for everybody, BLAS included
        cases = benchmark.run(names, seconds, rounds, paced)
    if as_json:
        click.echo(benchmark.to_json(cases))
        return
    text = benchmark.document(cases, benchmark.start())
    if document is not None:
        replace_section(document, "bench frontend", text)
        click.echo(f"wrote {document}")
        return
    click.echo(text)


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
