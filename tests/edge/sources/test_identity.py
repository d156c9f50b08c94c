"""Cards by identity, in a tree like the kernel's; unplugged, plugged in again, renumbered."""

import pytest

from edge.errors import SourceError
from edge.sources import alsa, identity
from edge.sources.alsa import AlsaSource
from edge.sources.identity import Card, cards, find_card
from edge.sources.parse import make_source


class Machine:
    """/proc/asound and /sys/class/sound, as Linux shows them."""

    def __init__(self, folder):
        self.proc, self.sys, self._devices = folder / "proc", folder / "sys", folder / "devices"
        self.proc.mkdir()
        self.sys.mkdir()
        self._cards = {}
        self._write()

    def plug(self, number, name, usb="", socket="", text="USB Audio"):
        self._cards[number] = (name, text)
        (self.proc / f"card{number}").mkdir()
        if usb:
            (self.proc / f"card{number}" / "usbid").write_text(f"{usb}\n")
        (self.sys / f"card{number}").mkdir()
        if socket:
            device = self._devices / "usb1" / socket / f"{socket}:1.0"
            device.mkdir(parents=True, exist_ok=True)
            (self.sys / f"card{number}" / "device").symlink_to(device)
        self._write()

    def unplug(self, number):
        del self._cards[number]
        (self.proc / f"card{number}" / "usbid").unlink(missing_ok=True)
        (self.proc / f"card{number}").rmdir()
        (self.sys / f"card{number}" / "device").unlink(missing_ok=True)
        (self.sys / f"card{number}").rmdir()
        self._write()

    def _write(self):
        lines = [
            f"{n:2d} [{name:15s}]: USB-Audio - {text}\n                      {text} at usb-0000:00:14.0-1, full speed\n"
            for n, (name, text) in sorted(self._cards.items())
        ]
        (self.proc / "cards").write_text("".join(lines) or "--- no soundcards ---\n")

    def cards(self):
        return cards(self.proc, self.sys)


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


def test_no_sound_at_all(machine, tmp_path):
    assert machine.cards() == []
    assert cards(tmp_path / "none", tmp_path / "none") == []
    with pytest.raises(SourceError, match="there is none: plug it in"):
        find_card("usb:0d8c:0014", [])


def test_cards_are_read(machine):
    machine.plug(0, "PCH", text="HDA Intel PCH")
    machine.plug(2, "Device", "0D8C:0014", "1-1.2", "USB PnP Sound Device")
    assert machine.cards() == [
        Card(0, "PCH", "HDA Intel PCH"),
        Card(2, "Device", "USB PnP Sound Device", "0d8c:0014", "1-1.2"),
    ]
    assert [card.source for card in machine.cards()] == ["mic:card:PCH", "mic:usb:0d8c:0014@1-1.2"]


def test_a_renumbered_card_stays_the_same_one(machine):
    machine.plug(1, "Device", "0d8c:0014", "1-1")
    assert find_card("usb:0d8c:0014", machine.cards()).number == 1
    machine.unplug(1)
    with pytest.raises(SourceError, match="expected a sound card with this identity"):
        find_card("usb:0d8c:0014", machine.cards())
    machine.plug(1, "Camera", "046d:0825", "1-3")
    machine.plug(3, "Device_1", "0d8c:0014", "1-1")
    for wanted in ("usb:0d8c:0014", "usb:0D8C:0014", "card:Device_1", "usb:0d8c:0014@1-1"):
        assert find_card(wanted, machine.cards()).number == 3


def test_two_of_a_kind_are_told_apart_by_their_socket(machine):
    machine.plug(1, "Device", "0d8c:0014", "1-1.1")
    machine.plug(2, "Device_1", "0d8c:0014", "1-1.2")
    with pytest.raises(SourceError, match=r"there are 2 of them; .*1-1.1`, `mic:usb:0d8c:0014@1-1.2`"):
        find_card("usb:0d8c:0014", machine.cards())
    assert find_card("usb:0d8c:0014@1-1.2", machine.cards()).id == "Device_1"


def test_a_card_is_opened_by_its_id_and_found_again_after_it_was_renumbered(machine, monkeypatch):
    """No kernel sound here: what would be opened is looked at."""
    opened = []

    class Library:
        def snd_pcm_open(self, pcm, name, *_):
            opened.append(name)
            return -19

        def snd_strerror(self, code):
            return b"No such device"

    monkeypatch.setattr(identity, "PROC", machine.proc)
    monkeypatch.setattr(identity, "SYS", machine.sys)
    monkeypatch.setattr(alsa, "_library", Library)
    source = make_source("mic:usb:0d8c:0014", rate_hint=16_000)
    assert isinstance(source, AlsaSource)
    with pytest.raises(SourceError, match="expected a sound card with this identity"):
        source.open()
    machine.plug(1, "Device", "0d8c:0014", "1-1")
    with pytest.raises(SourceError, match="No such device"):
        source.open()
    machine.unplug(1)
    machine.plug(4, "Device_1", "0d8c:0014", "1-1")
    with pytest.raises(SourceError, match="No such device"):
        source.open()
    assert opened == [b"plughw:CARD=Device", b"plughw:CARD=Device_1"]
