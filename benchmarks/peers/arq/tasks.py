# mypy: ignore-errors
"""arq's worker settings and functions."""

from arq.connections import RedisSettings

from benchmarks import body
from benchmarks.adapter import Place

_place = Place.from_environment()

SETTINGS = RedisSettings.from_dsn(_place.redis_url)


async def noop(ctx, number):
    """Run the body."""
    return body.noop(number)


async def work(ctx, number):
    """Run the body."""
    return body.work(number)


async def hold(ctx, number):
    """Run the body."""
    return await body.hold_async(number)


class WorkerSettings:
    """Half a second between two looks at the queue, which is the default, would be what a round trip measures."""

    functions = [noop, work, hold]  # noqa: RUF012
    redis_settings = SETTINGS
    poll_delay = 0.005
    max_jobs = 50
    keep_result = 86400
    log_results = False
