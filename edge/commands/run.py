"""`wheatear run`: the daemon."""

from __future__ import annotations

import signal
from pathlib import Path
from types import FrameType
from typing import Any

import click

from edge.commands.format import human, line
from edge.commands.output import Printer
from edge.config import Config, load, override
from edge.config.outputs import DEFAULT_EMBEDDINGS
from edge.config.settle import settle
from edge.config.streams import DEFAULT_MODEL


@click.command()
@click.option("--source", "-s", help="Device name, index or mic:usb:0d8c:0014, sound file, URL, or - for stdin.")
@click.option("--model", "-m", help=f"A model's name or folder (default: {DEFAULT_MODEL}).")
@click.option("--config", "-c", "path", type=click.Path(path_type=Path), help="A TOML file; options go over it.")
@click.option(
    "--publish",
    "endpoint",
    is_flag=False,
    flag_value="default",
    metavar="[ENDPOINT]",
    help="Publish a file's events too, here (default tcp://127.0.0.1:5556).",
)
@click.option("--no-publish", is_flag=True, help="Only print: no journal, no sockets.")
@click.option("--replay", metavar="ENDPOINT", help="Where past events can be asked for (default: the port after).")
@click.option(
    "--embeddings",
    is_flag=False,
    flag_value="default",
    metavar="[ENDPOINT|FILE]",
    help="Publish what the model makes of the sound, too (default tcp://127.0.0.1:5558), or write it to a file.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON event a line on standard output.")
@click.option("--realtime", is_flag=True, default=None, help="Files at the speed of sound.")
@click.option("--channel", help="mix (default) or a channel's index.")
@click.option("--pcm", help="Format of raw standard input: s16le:16000:1.")
@click.option("--start", help="UTC of a file's first sample: 2026-05-01T04:30:00Z.")
@click.option("--device", help="Name of this sensor in topics and events.")
@click.option("--stream", help="Name of this stream in topics and events.")
@click.option("--engine", type=click.Choice(["onnx", "tflite"]), help="Inference runtime to prefer.")
@click.option("--precision", type=click.Choice(["float32", "int8"]), help="Model file to prefer.")
@click.option("--linger", default=0.0, metavar="SECONDS", help="Answer replay for so long after the end of a file.")
@click.option("--levels", is_flag=True, default=None, help="Also tell how loud each minute was.")
@click.option("--calibration-db", type=float, metavar="DB", help="Sound pressure level of full scale, for --levels.")
@click.option("--profile", metavar="NAME", help="Device profile: raspberry-pi-4 …; auto looks at the board.")
@click.option("--journal", type=click.Path(path_type=Path), help="The journal's file.")
def run(
    path: Path | None,
    endpoint: str | None,
    no_publish: bool,
    replay: str | None,
    as_json: bool,
    linger: float,
    **options: Any,
) -> None:
    """Listen, and publish what sounds and when.

    Live sources are journalled and published over ZeroMQ; a file's events are printed, and published with --publish.

    \b
    Examples:
      wheatear run                                        the default microphone
      wheatear run --source "USB Audio" --device garden   a microphone by name
      wheatear run --source dawn.flac --json > dawn.jsonl
      arecord -f S16_LE -r 16000 -t wav | wheatear run --source -
      wheatear run --source rtsp://camera.local/audio
      wheatear run --source dawn.flac --embeddings dawn.embeddings.jsonl
      wheatear run --config sensor.toml                   many streams; SIGHUP reads the file again
    """
    changes = _changes(endpoint, replay, options)

    def read() -> Config:
        return settle(override(load(path) if path else Config(), changes))

    config = read()
    form = line if as_json else human
    from edge.daemon import Daemon
    from edge.sources.parse import kind_of

    live = any(kind_of(stream.source)[0] != "file" for stream in config.streams)
    publish = not no_publish and (endpoint is not None or live)

    def unread() -> None:
        if not publish:
            daemon.stop()  # nobody hears of the rest

    daemon = Daemon(
        config,
        publish=publish,
        show=Printer(form, unread),
        linger=linger,
        read=read if path else None,
        patient=path is not None,
    )

    def stop(number: int, frame: FrameType | None) -> None:  # noqa: ARG001  # the signature is Python's
        daemon.stop()

    def reload(number: int, frame: FrameType | None) -> None:  # noqa: ARG001  # the signature is Python's
        daemon.reload()

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGHUP, reload)
    daemon.run()


def _changes(endpoint: str | None, replay: str | None, options: dict[str, Any]) -> dict[str, Any]:
    """Options as configuration keys; the replay port follows the events' where it is not given."""
    journal, channel, profile = options.pop("journal"), options.pop("channel"), options.pop("profile")
    embeddings = options.pop("embeddings")
    changes = {
        **options,
        "channel": int(channel) if channel and channel.isdigit() else channel,
        "journal.path": str(journal) if journal else None,
        "publish.replay": replay,
        "device_profile.name": profile,
        "publish.embeddings": DEFAULT_EMBEDDINGS if embeddings == "default" else embeddings,
    }
    if endpoint and endpoint != "default":
        changes["publish.events"] = endpoint
        if not replay:
            from edge.publish.zeromq import replay_endpoint

            changes["publish.replay"] = replay_endpoint(endpoint)
    return changes
