# mypy: ignore-errors
"""Celery's application: Redis as broker and as result backend."""

from celery import Celery

from benchmarks import body
from benchmarks.adapter import Place

_place = Place.from_environment()

app = Celery("bench", broker=_place.redis_url, backend=_place.redis_url)

noop = app.task(name="noop")(body.noop)
work = app.task(name="work")(body.work)

TASKS = {"noop": noop, "work": work}
