"""Many streams, kept alive.

    capture.py      a source, opened, watched, and had back when it is lost; fans out to its streams' rings
    stream.py       what happens to the sound of one stream: conditioning, gates, models, events, health
    worker.py       the inference thread: serves the streams of a model in turn
    supervisor.py   builds all of it from a configuration, and rebuilds what a new one changes

Threads: one per capture (and the device's own callback), one per model, one outbox. Between a capture and its worker
stands the ring, the bounded queue: what the worker does not fetch in time is overwritten, counted and announced.
"""
