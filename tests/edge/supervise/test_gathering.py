"""How much sound is gathered before a worker is woken: a chunk, in whole deliveries of the source."""

from types import SimpleNamespace

import pytest

from edge.config import Stream
from edge.sources.fake import FakeSource
from edge.supervise.capture import CHUNK_S, gathered_s, least

RATE = 48_000


@pytest.mark.parametrize(
    ("chunk", "period_s", "samples"),
    [
        (0.1, 0.0, 4800),  # a pipe: any number of samples may come
        (0.1, 0.1, 4800),
        (0.1, 4096 / RATE, 4096),  # waiting for 4800 would be waiting for 8192
        (0.1, 0.02, 4800),
        (0.25, 0.1, 9600),
        (0.1, 0.5, 1),  # each delivery is more than a chunk
        (0.0, 0.05, 1),
    ],
)
def test_a_worker_is_woken_by_whole_deliveries(chunk, period_s, samples):
    assert least(chunk, SimpleNamespace(rate=RATE, period_s=period_s)) == samples


def test_a_source_is_asked_for_the_chunk_of_the_stream_that_gathers_least(rig, config):
    made = []

    def source(key, channels, rate):
        made.append(FakeSource([0.0] * 1600, 16_000, channel=channels))
        return made[-1]

    streams = [{"name": name, "source": "mic:x", "chunk": chunk} for name, chunk in (("a", 0.25), ("b", 0.05))]
    rig(config(*streams), source).run()
    assert [one.gather_s for one in made] == [0.05]


def test_a_stream_that_says_nothing_gathers_a_tenth_of_a_second():
    assert (gathered_s(Stream()), gathered_s(Stream(chunk=0.0))) == (CHUNK_S, 0.0) == (0.1, 0.0)
