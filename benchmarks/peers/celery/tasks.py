# mypy: ignore-errors
"""Celery's application: Redis as broker and as result backend."""

from celery import Celery

from benchmarks import body
from benchmarks.adapter import Place

_place = Place.from_environment()

app = Celery("bench", broker=_place.redis_url, backend=_place.redis_url)
app.conf.task_acks_late = app.conf.task_reject_on_worker_lost = _place.must_recover

noop = app.task(name="noop")(body.noop)
work = app.task(name="work")(body.work)
hold = app.task(name="hold")(body.hold)

TASKS = {"noop": noop, "work": work, "hold": hold}
