# mypy: ignore-errors
"""SAQ's queue, functions and settings."""

from saq import Queue

from benchmarks import body
from benchmarks.adapter import Place

_place = Place.from_environment()

queue = Queue.from_url(_place.redis_url, name="bench")
OPTIONS = {"ttl": 86400, "timeout": 0, "heartbeat": 5, "retries": 3} if _place.must_recover else {"ttl": 86400}


async def noop(ctx, *, number):
    """Run the body."""
    return body.noop(number)


async def work(ctx, *, number):
    """Run the body."""
    return body.work(number)


async def hold(ctx, *, number):
    """Run the body."""
    return await body.hold_async(number)


async def sweep_first(ctx):
    """Sweep before a job is taken. The sweep with which a worker begins aborts jobs that are between the queue and their start."""
    await queue.sweep()


settings = {"queue": queue, "functions": [noop, work, hold], "concurrency": 40, "startup": sweep_first}
