# mypy: ignore-errors
"""Huey's application: RedisHuey, whose results are one Redis hash."""

from huey import RedisHuey

from benchmarks import body
from benchmarks.adapter import Place

_place = Place.from_environment()

# A notification lets a waiting get() return at once but costs a pipeline a task: on only where something waits.
huey = RedisHuey("bench", url=_place.redis_url, notify_result=_place.waits_for_results)

noop = huey.task(name="noop")(body.noop)
work = huey.task(name="work")(body.work)
hold = huey.task(name="hold")(body.hold)

TASKS = {"noop": noop, "work": work, "hold": hold}
