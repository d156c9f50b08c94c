"""Which sound card is which, by what stays the same when it is unplugged or the machine is started again.

    /proc/asound/cards           1 [Device         ]: USB-Audio - USB PnP Sound Device
    /proc/asound/card1/usbid     0d8c:0014
    /sys/class/sound/card1/device  → …/usb1/1-1/1-1.2/1-1.2:1.0      the socket it is plugged into

The number (1) is given in order of discovery and means nothing; the id (``Device``) can be pinned by a udev rule.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

from edge.errors import SourceError
from edge.sources.base import printable

PROC, SYS = Path("/proc/asound"), Path("/sys/class/sound")
CARD = re.compile(r"^\s*(\d+) \[(\S+)\s*\]: (.*?) - (.*)$")
USB_SOCKET = re.compile(r"^\d+-\d+(\.\d+)*$")


@dataclass(frozen=True, slots=True)
class Card:
    """A sound card.

    Attributes
    ----------
    number, id, name
        ALSA's: the number may change, the id rarely does.
    usb
        ``vendor:product`` in hexadecimal; "" where it is not on USB.
    socket
        Where it is plugged in, ``1-1.2``; "" where unknown. Tells equal devices apart.
    """

    number: int
    id: str
    name: str
    usb: str = ""
    socket: str = ""

    @property
    def source(self) -> str:
        """What to write as `source`."""
        if not self.usb:
            return f"mic:card:{self.id}"
        return f"mic:usb:{self.usb}" + (f"@{self.socket}" if self.socket else "")


def cards(proc: Path | None = None, sys: Path | None = None) -> list[Card]:
    """Return the sound cards that there are, by number; none where the kernel has no sound."""
    proc, sys = proc or PROC, sys or SYS
    try:
        text = (proc / "cards").read_text(errors="replace")
    except OSError:
        return []
    found = [CARD.match(line) for line in text.splitlines()]
    return [
        Card(
            int(match[1]),
            match[2],
            printable(match[4]),
            _usb_id(proc / f"card{match[1]}"),
            _socket(sys / f"card{match[1]}" / "device"),
        )
        for match in found
        if match
    ]


def find_card(text: str, there: list[Card]) -> Card:
    """Return the one card meant by ``usb:VVVV:PPPP``, ``usb:VVVV:PPPP@SOCKET`` or ``card:ID``.

    Raises
    ------
    SourceError
        Where none is meant, with those that there are; where several are, with what tells them apart.
    """
    kind, _, rest = text.partition(":")
    usb, _, socket = rest.partition("@")
    if kind == "card":
        found = [card for card in there if card.id == rest]
    else:
        found = [card for card in there if card.usb == usb.lower() and socket in ("", card.socket)]
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(f"`{card.source}`" if card.socket else f"`mic:card:{card.id}`" for card in found)
        raise SourceError(
            f"microphone {printable(text)}: there are {len(found)} of them; choose by the socket: {names}"
        )
    names = ", ".join(f"`{card.source}` ({card.name})" for card in there)
    raise SourceError(
        f"microphone {printable(text)}: expected a sound card with this identity; "
        + (f"there is {names}" if names else "there is none: plug it in, see `cat /proc/asound/cards`")
    )


def _usb_id(folder: Path) -> str:
    try:
        return (folder / "usbid").read_text().strip().lower()
    except OSError:
        return ""


def _socket(device: Path) -> str:
    """The last part of the path that names a USB socket."""
    try:
        parts = Path(os.path.realpath(device, strict=True)).parts
    except OSError:
        return ""
    return next((part for part in reversed(parts) if USB_SOCKET.match(part)), "")
