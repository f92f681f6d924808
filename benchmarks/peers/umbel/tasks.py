# mypy: ignore-errors
"""Umbel's application: Redis as broker and as result backend."""

from benchmarks import body, sampler
from benchmarks.adapter import Place
from umbel import Umbel

_place = Place.from_environment()

app = Umbel("bench", broker=_place.redis_url, backend=_place.redis_url)

noop = app.task(name="noop")(body.noop)
work = app.task(name="work")(body.work)
hold = app.task(name="hold")(body.hold)

sampler.install()

TASKS = {"noop": noop, "work": work, "hold": hold}
