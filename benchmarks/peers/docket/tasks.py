# mypy: ignore-errors
"""docket's tasks, and what the producer needs of it."""

from datetime import timedelta

from docket import Docket

from benchmarks import body
from benchmarks.adapter import Place

_place = Place.from_environment()


async def noop(number: int) -> int:
    """Run the body."""
    return body.noop(number)


async def work(number: int) -> int:
    """Run the body."""
    return body.work(number)


async def hold(number: int) -> int:
    """Run the body."""
    return await body.hold_async(number)


collection = [noop, work, hold]
TASKS = {"noop": noop, "work": work, "hold": hold}


def make_docket() -> Docket:
    """Return a docket that knows the tasks."""
    docket = Docket(name="bench", url=_place.redis_url, execution_ttl=timedelta(days=1))
    for task in collection:
        docket.register(task)
    return docket
