"""ALSA reads the configuration, and the udev rules give the names that it means."""

import ctypes
import ctypes.util
import re
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

import firmware_config

FOLDER = Path(firmware_config.__file__).parent
WORD = re.compile(r'([A-Z_]+)(?:\{([a-zA-Z_/]+)\})?(==|!=|=|\+=|:=)"([^"]*)"')
MATCHES = {"ACTION", "SUBSYSTEM", "SUBSYSTEMS", "KERNEL", "KERNELS", "DRIVERS", "ATTR", "ATTRS", "TEST"}


@pytest.fixture(scope="module")
def alsa():
    name = ctypes.util.find_library("asound")
    if name is None:
        pytest.skip("needs ALSA: apt-get install libasound2")
    return ctypes.CDLL(name)


def read(alsa, path):
    """What ALSA itself makes of a file; a function that looks a key up."""
    tree, source = ctypes.c_void_p(), ctypes.c_void_p()
    assert alsa.snd_config_top(ctypes.byref(tree)) == 0
    assert alsa.snd_input_stdio_open(ctypes.byref(source), str(path).encode(), b"r") == 0
    assert alsa.snd_config_load(tree, source) == 0
    alsa.snd_input_close(source)

    def value(key):
        node, text = ctypes.c_void_p(), ctypes.c_char_p()
        if alsa.snd_config_search(tree, key.encode(), ctypes.byref(node)) < 0:
            return None
        assert alsa.snd_config_get_string(node, ctypes.byref(text)) == 0, f"{key} is no string"
        return text.value.decode()

    return value


def test_alsa_reads_it_and_knows_both_microphones(alsa):
    value = read(alsa, FOLDER / "asound.conf")
    assert (value("pcm.usbmic.type"), value("pcm.usbmic.slave.pcm.card")) == ("plug", "UsbMic")
    assert (value("pcm.audiomoth.type"), value("pcm.audiomoth.card")) == ("hw", "AudioMoth")
    assert (value("pcm.default.type"), value("pcm.default.slave.pcm")) == ("plug", "usbmic")
    assert value("ctl.default.card") == value("ctl.usbmic.card") == "UsbMic"
    assert value("pcm.nothing.type") is None


def test_alsa_refuses_a_broken_file(alsa, tmp_path):
    (tmp_path / "broken.conf").write_text("pcm.mic { type plug")
    with pytest.raises(AssertionError):
        read(alsa, tmp_path / "broken.conf")


def rules():
    for line in (FOLDER / "90-wheatear.rules").read_text().splitlines():
        if line and not line.startswith("#"):
            words = [WORD.fullmatch(word.strip()) for word in line.split(", ")]
            assert all(words), f"not a rule: {line}"
            yield [word.groups() for word in words]


def named(device):
    """The card id that the rules give a device: udev's way through them, for the keys that they use."""
    given, target = None, None
    for rule in rules():
        label = [value for key, _, operator, value in rule if (key, operator) == ("LABEL", "=")]
        if target is not None and target not in label:
            continue
        target = None
        if all(fits(device, word) for word in rule if word[0] in MATCHES and word[2] in ("==", "!=")):
            for key, name, operator, value in rule:
                if (key, name, operator) == ("ATTR", "id", "="):
                    given = value
                elif key == "GOTO":
                    target = value
    assert target is None, f"no LABEL {target}"
    return given


def fits(device, word):
    key, name, operator, pattern = word
    found = device.get(key if name is None else f"{key}{{{name}}}", "")
    if key == "TEST":
        return (pattern in found) == (operator == "==")
    hit = any(fnmatchcase(found, one) for one in pattern.split("|"))
    return hit == (operator == "==")


CARD = {"ACTION": "add", "SUBSYSTEM": "sound", "KERNEL": "card2", "SUBSYSTEMS": "usb", "DRIVERS": "snd-usb-audio"}


@pytest.mark.parametrize(
    ("device", "name"),
    [
        ({**CARD, "ATTRS{product}": "USB PnP Sound Device", "TEST": ["pcmC%nD0c"]}, "UsbMic"),
        ({**CARD, "ATTRS{product}": "384kHz AudioMoth USB Microphone", "TEST": ["pcmC%nD0c"]}, "AudioMoth"),
        ({**CARD, "ATTRS{product}": "48kHz AudioMoth USB Microphone", "ACTION": "change"}, "AudioMoth"),
        ({**CARD, "ATTRS{product}": "USB Speaker", "TEST": []}, None),  # nothing to capture from
        ({**CARD, "SUBSYSTEMS": "pci", "DRIVERS": "snd_hda_intel", "TEST": ["pcmC%nD0c"]}, None),
        ({**CARD, "KERNEL": "controlC2", "ATTRS{product}": "48kHz AudioMoth USB Microphone"}, None),
        ({**CARD, "SUBSYSTEM": "block", "TEST": ["pcmC%nD0c"]}, None),
        ({**CARD, "ACTION": "remove", "TEST": ["pcmC%nD0c"]}, None),
    ],
)
def test_a_microphone_gets_its_stable_name(device, name):
    assert named(device) == name


def test_the_rules_use_keys_and_names_that_the_kernel_takes():
    given = [
        value for rule in rules() for key, name, operator, value in rule if (key, name, operator) == ("ATTR", "id", "=")
    ]
    assert given == ["AudioMoth", "UsbMic"]
    assert all(re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,14}", name) for name in given)  # 15 characters: the kernel's limit
    assert {key for rule in rules() for key, *_ in rule} <= MATCHES | {"GOTO", "LABEL"}
