from pathlib import Path

import firmware_config
from edge.config import Clips, load

FOLDER = Path(firmware_config.__file__).parent


def test_the_example_configuration_loads():
    config = load(FOLDER / "sensor.toml")
    assert (config.device_name, config.stream_names, config.streams[0].models) == ("garden", ["hedge"], ("wheatear-s",))
    assert config.publish.events.startswith("tcp://127.0.0.1:")
    assert not config.publish.allow_remote


def test_the_example_spells_out_the_defaults_of_clips():
    config = load(FOLDER / "sensor.toml")
    assert config.clips == Clips()
    assert not config.clips.enabled
