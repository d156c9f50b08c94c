from configparser import ConfigParser
from pathlib import Path

import firmware_config
from edge.config import load

FOLDER = Path(firmware_config.__file__).parent


def test_the_example_configuration_loads():
    config = load(FOLDER / "sensor.toml")
    assert (config.device_name, config.stream_names, config.streams[0].models) == ("garden", ["hedge"], ("esc10-s",))
    assert config.publish.events.startswith("tcp://127.0.0.1:")
    assert not config.publish.allow_remote


def test_the_service_gains_no_privileges():
    unit = ConfigParser(strict=False)
    unit.optionxform = str
    unit.read(FOLDER / "wheatear.service")
    assert unit["Service"]["NoNewPrivileges"] == "yes"
    assert unit["Service"]["DynamicUser"] == "yes"
    assert unit["Service"]["ExecStart"].endswith("wheatear run --config /etc/wheatear/sensor.toml")
