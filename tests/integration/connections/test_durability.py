"""``durability="replicated"``: a send that returns has reached a replica."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.redis_cluster import RedisCluster
from tests.redis_sentinels import SentinelTrio
from tests.redis_server import RedisServer

from umbel import NotReplicated, Umbel
from umbel.broker.redis import publisher
from umbel.redis import keys
from umbel.redis.connection import ServerRefused, pack
from umbel.redis.endpoint import Endpoint

Producer = Callable[..., Umbel]


@pytest.fixture(params=["redis_sentinels", "redis_cluster"])
def servers(request: pytest.FixtureRequest) -> SentinelTrio | RedisCluster:
    found: SentinelTrio | RedisCluster = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for a replica for as long as it takes on a busy machine."""
    monkeypatch.setattr(publisher, "REPLICATED_WITHIN", 20_000)


@pytest.mark.usefixtures("patience")
def test_what_was_sent_is_on_a_replica(servers: SentinelTrio | RedisCluster, producer: Producer, prefix: str) -> None:
    app = producer(servers)
    name = keys.queue(prefix, "default").ready[5]
    for count in range(1, 20):
        app.send_task("t", durability="replicated")
        assert _longest_on_a_replica(servers, name) == count
    app.broker.purge("default")


@pytest.mark.usefixtures("patience")
def test_a_task_may_ask_for_it_each_time(servers: SentinelTrio | RedisCluster, producer: Producer, prefix: str) -> None:
    app = producer(servers)

    @app.task(durability="replicated", priority=7)
    def pay() -> None: ...

    pay.delay()
    name = keys.queue(prefix, "default").ready[7]
    assert _longest_on_a_replica(servers, name) == 1
    with app.batch():
        app.send_task("t", priority=7)
        pay.delay()
    assert _longest_on_a_replica(servers, name) == 3
    app.broker.purge("default")


def test_a_server_without_replica_is_told(redis_server: RedisServer, producer: Producer) -> None:
    app = producer(redis_server)
    with pytest.raises(NotReplicated, match=r"no replica has it after 500 ms: it is lost .* send again") as raised:
        app.send_task("t", task_id="one", durability="replicated")
    assert raised.value.task_ids == ("one",)
    assert app.broker.info("default").ready == 1, "it was sent"
    app.broker.purge("default")


def test_another_word_is_refused(producer: Producer, redis_server: RedisServer) -> None:
    with pytest.raises(ValueError, match="durability='all': give 'replicated', or None"):
        producer(redis_server).send_task("t", durability="all")


def _longest_on_a_replica(servers: SentinelTrio | RedisCluster, name: str) -> int:
    """Return how long a list is on the replica that has most of it."""
    nodes = servers.nodes if isinstance(servers, RedisCluster) else servers.servers
    return max(_length(node, name) for node in nodes if node.role() == "slave")


def _length(replica: RedisServer, name: str) -> int:
    connection = Endpoint(replica.url).connect(20.0)
    try:
        connection.ask(name, pack(b"READONLY"), 20.0)  # replicas of a cluster answer only who says so
        return int(connection.call(b"LLEN", name))
    except ServerRefused as error:
        if error.code != "MOVED":
            raise
        return 0
    finally:
        connection.close()
