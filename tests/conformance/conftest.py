"""Fixtures of the conformance suite: each test runs on every adapter."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial

import pytest
from tests.conformance.adapters import Adapter, ApartAdapter, DatabaseAdapter, MemoryAdapter, RedisAdapter
from tests.conformance.making import owner

from umbel.broker.base import Bell, Broker, Consumer, Liveness
from umbel.results.base import Results
from umbel.results.redis import inbox
from umbel.results.waiting import Waiting

#: The servers that stand behind the adapter for Redis, by topology.
SERVERS = {"standalone": "redis_server", "sentinel": "redis_sentinels", "cluster": "redis_cluster"}
#: Which of them the suite runs on; ``UMBEL_TEST_TOPOLOGY`` names others, with commas between them.
TOPOLOGIES = os.environ.get("UMBEL_TEST_TOPOLOGY", "standalone,cluster").split(",")

#: Databases whose servers may be on PATH.
DATABASES = ("postgresql", "mariadb")
#: What the tests of result backends run on: with their broker, with another one, in a database.
RESULT_BACKENDS = ("memory", *TOPOLOGIES, "apart", "sqlite", *DATABASES)


@pytest.fixture(params=["memory", *TOPOLOGIES])
def adapter(request: pytest.FixtureRequest, prefix: str) -> Iterator[Adapter]:
    """An adapter with an empty store; on Redis, fails the test that leaves keys without owner or TTL."""
    if request.param == "memory":
        made: Adapter = MemoryAdapter(prefix)
    elif request.param == "sqlite":
        made = DatabaseAdapter(f"db+sqlite:///{request.getfixturevalue('tmp_path')}/results.db", prefix)
    elif request.param in DATABASES:
        made = DatabaseAdapter(request.getfixturevalue(request.param).url, prefix)
    elif request.param == "apart":
        made = ApartAdapter(request.getfixturevalue("redis_server"), prefix)
    else:
        made = RedisAdapter(request.getfixturevalue(SERVERS[request.param]), prefix)
    yield made
    made.close()


@pytest.fixture(autouse=True)
def told_or_never(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let who waits on Redis depend on being told: the look of every few seconds would hide that nobody did."""
    monkeypatch.setattr(inbox, "Waiting", partial(Waiting, 3600.0, 3600.0))


@pytest.fixture
def broker_factory(adapter: Adapter) -> Callable[[], Broker]:
    """Makes brokers that share one store."""
    return adapter.broker


@pytest.fixture
def results_factory(adapter: Adapter) -> Callable[[], Results]:
    """Makes result backends that share one store, with each other and with the brokers."""
    return adapter.results


@pytest.fixture
def broker(adapter: Adapter) -> Broker:
    return adapter.broker()


@pytest.fixture
def results(adapter: Adapter) -> Results:
    return adapter.results()


@pytest.fixture
def liveness(adapter: Adapter, broker: Broker) -> Iterator[Liveness]:
    liveness = broker.liveness()
    yield liveness
    liveness.close()


@pytest.fixture
def bell(adapter: Adapter, broker: Broker) -> Iterator[Bell]:
    bell = broker.bell()
    yield bell
    bell.close()


@pytest.fixture
def consumers(adapter: Adapter, broker: Broker) -> Iterator[Callable[..., Consumer]]:
    """Makes registered consumers: ``consumers("mail", "reports")``; queue ``q`` where none is named."""
    with ExitStack() as closing:

        def make(*queues: str, owner_id: str | None = None) -> Consumer:
            consumer = broker.consumer(owner(*(queues or ("q",)), owner_id=owner_id))
            closing.callback(consumer.close)
            consumer.register()
            return consumer

        yield make
