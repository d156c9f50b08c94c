"""``wheatear listen``: follow a device's events."""

from __future__ import annotations

import re
import signal
from contextlib import suppress

import click

from edge.commands.format import human, line
from edge.errors import WireError

EPILOG = """\b
Examples:
  wheatear listen                                   this machine
  wheatear listen sensor.local --label rain         a device on the network, one label
  wheatear listen hut.local --key laptop --server-key hut.key   a device that has keys
  wheatear listen --json --from-seq 1 > events.jsonl  everything the journal still has, then live
"""


def endpoint_of(text: str) -> str:
    """An endpoint from what people type: ``HOST``, ``HOST:PORT``, ``PORT`` or a whole endpoint.

    >>> endpoint_of("sensor.local"), endpoint_of("6000"), endpoint_of("[::1]:7")
    ('tcp://sensor.local:5556', 'tcp://127.0.0.1:6000', 'tcp://[::1]:7')
    """
    if "://" in text:
        return text
    if text.isdecimal():
        return f"tcp://127.0.0.1:{text}"
    return f"tcp://{text}" if re.search(r":\d+$", text) and not text.endswith("]") else f"tcp://{text}:5556"


@click.command(epilog=EPILOG)
@click.argument("endpoint", default="tcp://127.0.0.1:5556")
@click.option("--label", "labels", multiple=True, metavar="L", help="Only events of this label; may be repeated.")
@click.option("--stream", metavar="NAME", help="Only events of this stream.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line instead of text.")
@click.option("--from-seq", type=click.IntRange(min=1), metavar="N", help="Replay from number N on before going live.")
@click.option("--count", type=click.IntRange(min=1), metavar="N", help="End after N events.")
@click.option("--timeout", type=click.FloatRange(min=0), metavar="S", help="End after S seconds without an event.")
@click.option("--server-key", metavar="KEY", help="The device's public key (or its file), where it has keys.")
@click.option("--key", metavar="NAME", help="This machine's key pair: a name from `wheatear keys`, or a secret file.")
@click.option("--replay", metavar="ENDPOINT", help="Where to ask for missed events; default: the port after ENDPOINT.")
def listen(
    *,
    endpoint: str,
    labels: tuple[str, ...],
    stream: str | None,
    as_json: bool,
    from_seq: int | None,
    count: int | None,
    timeout: float | None,
    replay: str | None,
    server_key: str | None,
    key: str | None,
) -> None:
    """Print the events of the device at ENDPOINT as they are published.

    Holes in the sequence are filled by replay; what cannot be replayed is said in a `lost` line. Gaps, losses,
    health and levels have no label and are printed whatever the labels asked for. Ctrl-C ends it.
    """
    from edge.client import Subscriber
    from edge.publish.keys import ClientKeys

    if key and not server_key:
        raise click.UsageError(
            "--key needs --server-key: the public key that `wheatear keys show` prints on the device"
        )

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    show = line if as_json else human
    printed = 0
    where = endpoint_of(endpoint)
    keys = ClientKeys.load(server_key, key or "") if server_key else None
    subscriber = Subscriber(
        where, replay, labels, from_seq, timeout, stream=stream, keys=keys, on_levels=lambda one: click.echo(show(one))
    )
    with suppress(KeyboardInterrupt), subscriber as events:
        for event in events:
            click.echo(show(event))
            printed += 1
            if printed == count:
                return
        if not events.heard:
            raise WireError(
                f"nobody publishes at {where}: not even a heartbeat came within {timeout:g} s; start "
                "`wheatear run` there, or give the endpoint of its --publish, and the keys if it has any"
            )
