"""`wheatear install-service` and `wheatear uninstall-service`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click

from edge.service import Service


def _place(command: Callable[..., None]) -> Callable[..., None]:
    """Options that say which service is meant."""
    root = click.option("--root", type=click.Path(path_type=Path), help="A system that is not running (an SD card).")
    user = click.option("--user", is_flag=True, help="A service of your own instead of the system's.")
    return root(user(command))


@click.command("install-service")
@_place
@click.option("--config", "-c", type=click.Path(path_type=Path), help="Default: /etc/wheatear/sensor.toml.")
@click.option("--as", "run_as", default="", metavar="USER", help="Run as this user instead of one of its own.")
@click.option("--dry-run", is_flag=True, help="Print the unit; change nothing.")
@click.option("--no-start", is_flag=True, help="Enable it, for the next boot.")
@click.option("--force", is_flag=True, help="Replace a unit that was changed by hand.")
def install_service(
    user: bool, root: Path | None, config: Path | None, run_as: str, dry_run: bool, no_start: bool, force: bool
) -> None:
    """Let systemd start Wheatear, watch it and start it again.

    \b
    Examples:
      sudo wheatear install-service
      wheatear install-service --user --config ~/sensor.toml
      wheatear install-service --dry-run
    """
    service = Service(user=user, run_as=run_as, config=config, root=root)
    if dry_run:
        click.echo(service.text(), nl=False)
        return
    for line in service.install(force, start=not no_start):
        click.echo(line, err=True)


@click.command("uninstall-service")
@_place
@click.option("--force", is_flag=True, help="Remove a unit that was changed by hand.")
def uninstall_service(user: bool, root: Path | None, force: bool) -> None:
    """Stop Wheatear's service and remove it; configuration, journal and clips stay."""
    for line in Service(user=user, root=root).uninstall(force):
        click.echo(line, err=True)
