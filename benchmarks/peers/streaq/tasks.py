# mypy: ignore-errors
"""streaQ's worker and tasks."""

from datetime import timedelta

from streaq import Worker

from benchmarks import body
from benchmarks.adapter import Place

_place = Place.from_environment()

worker = Worker(redis_url=_place.redis_url, queue_name="bench")
_ttl = timedelta(days=1)


@worker.task(name="noop", ttl=_ttl, silent=True)
async def noop(number):
    """Run the body."""
    return body.noop(number)


@worker.task(name="work", ttl=_ttl, silent=True)
async def work(number):
    """Run the body."""
    return body.work(number)


@worker.task(name="hold", ttl=_ttl, silent=True)
async def hold(number):
    """Run the body."""
    return await body.hold_async(number)


TASKS = {"noop": noop, "work": work, "hold": hold}
