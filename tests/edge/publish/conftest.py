"""Real sockets for the tests of the wire."""

import msgspec
import pytest
import zmq


class Ear:
    """A plain SUB socket: what any ZeroMQ program sees."""

    def __init__(self, endpoint, prefix=b"wheatear.v1."):
        self.context = zmq.Context()
        self.socket = self.context.socket(zmq.SUB)
        self.socket.setsockopt(zmq.SUBSCRIBE, prefix)
        self.socket.connect(endpoint)

    def next(self, seconds=5.0):
        """Topic and payload of the next message, or None."""
        if not self.socket.poll(int(seconds * 1000)):
            return None
        topic, body = self.socket.recv_multipart()
        return topic.decode(), msgspec.json.decode(body)

    def events(self, count, seconds=5.0):
        """The next events; heartbeats, and what is repeated for newcomers, left out."""
        found = []
        while len(found) < count and (message := self.next(seconds)):
            if message[1]["type"] != "heartbeat" and "retained" not in message[1]:
                found.append(message[1])
        return found

    def welcome(self):
        """Wait for the first heartbeat: from then on nothing is missed."""
        while (message := self.next()) and message[1]["type"] != "heartbeat":
            pass
        return message

    def close(self):
        self.context.destroy(linger=0)


@pytest.fixture
def ear():
    """Maker of plain subscribers."""
    made = []

    def make(endpoint, prefix=b"wheatear.v1."):
        made.append(Ear(endpoint, prefix))
        return made[-1]

    yield make
    for one in made:
        one.close()
