# mypy: ignore-errors
"""taskiq's broker: a list, which is its fastest; a stream, which is acknowledged, where a worker is killed."""

from taskiq_redis import ListQueueBroker, RedisAsyncResultBackend, RedisStreamBroker

from benchmarks import body
from benchmarks.adapter import Place

_place = Place.from_environment()

_results = RedisAsyncResultBackend(_place.redis_url, result_ex_time=86400)
_Broker = RedisStreamBroker if _place.must_recover else ListQueueBroker
broker = _Broker(_place.redis_url, queue_name="bench").with_result_backend(_results)


@broker.task(task_name="noop")
async def noop(number):
    """Run the body."""
    return body.noop(number)


@broker.task(task_name="work")
async def work(number):
    """Run the body."""
    return body.work(number)


@broker.task(task_name="hold")
async def hold(number):
    """Run the body."""
    return await body.hold_async(number)


TASKS = {"noop": noop, "work": work, "hold": hold}
