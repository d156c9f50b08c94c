"""A real sound server as the microphone."""

import pytest

from bench import microphone as bench_microphone


@pytest.fixture
def pulse_microphone(monkeypatch):
    """A running `PulseMicrophone`, for this process (PortAudio reads the environment) and for others (`env`)."""
    if not bench_microphone.installed():
        pytest.skip(bench_microphone.MISSING)
    with bench_microphone.pulse_microphone() as microphone:
        for name, value in microphone.env.items():
            monkeypatch.setenv(name, value)
        yield microphone
