# mypy: ignore-errors
"""RQ's queue and jobs. RQ finds functions by their import path, so they live in this module."""

from redis import Redis
from rq import Queue, Retry

from benchmarks import body
from benchmarks.adapter import Place

_place = Place.from_environment()

connection = Redis.from_url(_place.redis_url)
queue = Queue("bench", connection=connection)
OPTIONS = {"result_ttl": 86400, "retry": Retry(max=3) if _place.must_recover else None}


def noop(number):
    """Run the body."""
    return body.noop(number)


def work(number):
    """Run the body."""
    return body.work(number)


def hold(number):
    """Run the body."""
    return body.hold(number)


TASKS = {"noop": noop, "work": work, "hold": hold}
