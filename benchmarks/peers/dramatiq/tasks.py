# mypy: ignore-errors
"""dramatiq's application: Redis as broker and for results."""

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.results import Results
from dramatiq.results.backends import RedisBackend

from benchmarks import body
from benchmarks.adapter import Place

_place = Place.from_environment()

backend = RedisBackend(url=_place.redis_url)
broker = RedisBroker(url=_place.redis_url)
broker.add_middleware(Results(backend=backend, store_results=True, result_ttl=86_400_000))
dramatiq.set_broker(broker)

noop = dramatiq.actor(body.noop, actor_name="noop")
work = dramatiq.actor(body.work, actor_name="work")
hold = dramatiq.actor(body.hold, actor_name="hold")

TASKS = {"noop": noop, "work": work, "hold": hold}
