# mypy: ignore-errors
"""Umbel's application: Redis as broker and as result backend."""

import time

from benchmarks import body, sampler
from benchmarks.adapter import Place
from benchmarks.counter import tick
from umbel import Umbel

_place = Place.from_environment()

app = Umbel("bench", broker=_place.redis_url, backend=_place.redis_url)

noop = app.task(name="noop")(body.noop)
work = app.task(name="work")(body.work)
hold = app.task(name="hold")(body.hold)


@app.task(name="carry")
def carry(number, payload):
    """Run the body of a no-op, whose message is as large as asked for."""
    return body.noop(number)


@app.task(name="nap")
def nap(seconds):
    """Do nothing for a while, and count this run."""
    time.sleep(seconds)
    tick()


sampler.install()

TASKS = {"noop": noop, "work": work, "hold": hold, "carry": carry}
