"""``wheatear keys``: who may follow this device, and as whom this machine follows others."""

from __future__ import annotations

from pathlib import Path

import click

from edge.publish.keys import DEVICE, KeyFolder

EXAMPLES = """\b
On the device:
  wheatear keys new                                  its own pair; prints the public key
  wheatear keys allow laptop 'PUBLIC KEY OF LAPTOP'
On the laptop:
  wheatear keys new laptop
  wheatear listen hut.local --key laptop --server-key 'PUBLIC KEY OF THE DEVICE'
"""


@click.group(epilog=EXAMPLES)
@click.option("--folder", type=click.Path(path_type=Path, file_okay=False), help="Where keys are (default: yours).")
@click.pass_context
def keys(ctx: click.Context, folder: Path | None) -> None:
    """Make keys and say who may connect, for encrypted and authenticated ZeroMQ (CURVE)."""
    ctx.obj = KeyFolder(folder)


@keys.command()
@click.argument("name", default=DEVICE)
@click.pass_obj
def new(folder: KeyFolder, name: str) -> None:
    """Make the key pair NAME (default: device) and print its public key."""
    click.echo(folder.new(name))


@keys.command()
@click.argument("name", default=DEVICE)
@click.pass_obj
def show(folder: KeyFolder, name: str) -> None:
    """Print the public key of the pair NAME (default: device)."""
    click.echo(folder.pair(name)[0])


@keys.command()
@click.argument("name")
@click.argument("key")
@click.pass_obj
def allow(folder: KeyFolder, name: str, key: str) -> None:
    """Let client NAME connect, whose public key (or its file) is KEY. A running device sees it at once."""
    click.echo(f"{name} may connect with {folder.allow(name, key)}")


@keys.command("list")
@click.pass_obj
def list_(folder: KeyFolder) -> None:
    """List the pairs here, and who may connect."""
    for name in folder.names():
        click.echo(f"pair     {name:<24} {folder.pair(name)[0]}")
    for key, name in folder.allowed().items():
        click.echo(f"allowed  {name:<24} {key}")


@keys.command()
@click.argument("name")
@click.pass_obj
def revoke(folder: KeyFolder, name: str) -> None:
    """Deny NAME from now on; a connection that it has stays until it ends: restart the device to cut it."""
    folder.revoke(name)
