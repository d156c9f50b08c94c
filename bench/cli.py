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
