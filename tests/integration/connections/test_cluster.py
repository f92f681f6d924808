"""The way to a cluster: which node is asked, what it sends elsewhere, and what is written in which order."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from tests.conformance.making import SILENCE, ids, outgoing, owner, record, rung, several, take
from tests.ports import free_port
from tests.redis_cluster import Node, RedisCluster
from tests.redis_server import RedisServer
from tests.workers import until

from umbel.broker.base import ConnectionLost
from umbel.broker.redis import RedisBroker
from umbel.broker.redis.apart import store_apart
from umbel.errors import ImproperlyConfigured, OperationalError
from umbel.redis import keys
from umbel.redis.cluster import ClusterConnection
from umbel.redis.connection import ServerRefused
from umbel.redis.endpoint import Endpoint
from umbel.redis.slots import slot_of
from umbel.results.redis import RedisResults, inbox
from umbel.results.waiting import Waiting


@pytest.fixture
def broker(redis_cluster: RedisCluster, prefix: str) -> Iterator[RedisBroker]:
    broker = RedisBroker(redis_cluster.url, prefix=prefix)
    yield broker
    broker.close()


@pytest.fixture
def connection(redis_cluster: RedisCluster) -> Iterator[ClusterConnection]:
    connection = Endpoint(redis_cluster.url).connect(20.0)
    assert isinstance(connection, ClusterConnection)
    yield connection
    connection.close()


@pytest.fixture(scope="module")
def guarded() -> Iterator[RedisCluster]:
    """A cluster of the module's own, whose slots are moved about, with a password."""
    cluster = RedisCluster(password="se/cret", node_timeout=15000)
    cluster.start()
    yield cluster
    cluster.remove()


def _url(cluster: RedisCluster, user: str = ":se%2Fcret@") -> str:
    return cluster.url.replace("//", f"//{user}")


def _spread(count: int, label: str) -> list[str]:
    """Return names whose keys are spread over all slots."""
    return [f"{label}-{number}" for number in range(count)]


@pytest.mark.parametrize("key", ["123456789", "a{b}c", "{}x", "{x", "x}{y}", "{ä}", "a{{b}}c", ""])
def test_slots_are_those_of_the_server(redis_cluster: RedisCluster, key: str) -> None:
    assert slot_of(key) == redis_cluster.nodes[0].command("CLUSTER", "KEYSLOT", key)


def test_commands_find_the_node_of_their_key(connection: ClusterConnection, prefix: str) -> None:
    names = [keys.result(prefix, name) for name in _spread(50, "task")]
    assert connection.call_many([(b"SET", name, name, b"PX", 60000) for name in names]) == [b"OK"] * 50
    assert [connection.call(b"GET", name).decode() for name in names] == names
    answers = connection.call_many([(b"TIME",), *((b"GET", name) for name in names)])
    assert [answer.decode() for answer in answers[1:]] == names
    assert len({id(connection.at(name)) for name in names}) == 3


def test_a_script_that_crosses_slots_is_refused(connection: ClusterConnection, prefix: str) -> None:
    from umbel.redis import scripts

    with pytest.raises(ServerRefused, match="CROSSSLOT"):
        scripts.store(connection, (keys.result(prefix, "a"), keys.inbox(prefix, "b")), (b"x" * 16, 0, "a"))


def test_credentials_are_those_of_all_nodes(guarded: RedisCluster, prefix: str) -> None:
    broker = RedisBroker(_url(guarded), prefix=prefix)
    for queue in _spread(10, "queue"):
        broker.publish(queue, [outgoing("a")])
        assert broker.info(queue).ready == 1
        broker.purge(queue)
    broker.close()
    for user, said in (("", "Authentication required"), (":wrong@", "refuses the credentials")):
        with pytest.raises(OperationalError, match=said):
            Endpoint(_url(guarded, user)).connect(20.0)


def test_one_server_is_told_to_be_no_cluster(redis_server: RedisServer) -> None:
    with pytest.raises(
        OperationalError, match=r"is no node of a cluster .* use redis:// in place of redis\+cluster://"
    ):
        Endpoint(redis_server.url.replace("redis://", "redis+cluster://")).connect(20.0)


def test_nobody_there_names_all_that_were_asked() -> None:
    ports = (free_port(), free_port())
    url = f"redis+cluster://:secret@127.0.0.1:{ports[0]},127.0.0.1:{ports[1]}"
    with pytest.raises(OperationalError) as raised:
        RedisBroker(url, publish_timeout=0.3).publish("q", [outgoing("a")])
    for port in ports:
        assert f"127.0.0.1:{port}" in str(raised.value)
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("redis+cluster://h:1/1", "a cluster has only database 0, not '1'"),
        ("redis+cluster://h:x", "'x' is no port"),
        ("redis+cluster://", "it names no server"),
        ("redis+cluster://h?sentinel_password=x", "there is no parameter 'sentinel_password'"),
    ],
)
def test_a_url_that_cannot_be_meant_is_refused(url: str, said: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=said):
        Endpoint(url).connect(1.0)


# Slots on the move


class _Moving:
    """The move of one slot from one master to another, step by step."""

    def __init__(self, cluster: RedisCluster, key: str) -> None:
        self.slot = slot_of(key)
        self.source = cluster.master_of(key)
        self.target = next(node for node in cluster.nodes if node.is_master() and node is not self.source)
        self.others = [node for node in cluster.nodes if node.is_master()]

    def begin(self) -> None:
        self.target.command("CLUSTER", "SETSLOT", self.slot, "IMPORTING", self.source.id())
        self.source.command("CLUSTER", "SETSLOT", self.slot, "MIGRATING", self.target.id())

    def carry(self) -> None:
        names = self.source.command("CLUSTER", "GETKEYSINSLOT", self.slot, 1000)
        if names:
            more: tuple[Any, ...] = ("AUTH", "se/cret", "KEYS", *names)
            self.source.command("MIGRATE", "127.0.0.1", self.target.port, "", 0, 5000, *more)

    def end(self) -> None:
        name = self.target.id()
        for node in (self.target, self.source, *self.others):
            node.command("CLUSTER", "SETSLOT", self.slot, "NODE", name)


def test_a_slot_that_has_moved_is_found(guarded: RedisCluster, prefix: str) -> None:
    broker = RedisBroker(_url(guarded), prefix=prefix)
    consumer = broker.consumer(owner("q"))
    consumer.register()
    broker.publish("q", several("abc"))
    assert ids(take(consumer, "q", 1)) == ["a"]
    moving = _Moving(guarded, keys.queue(prefix, "q").meta)
    moving.begin()
    moving.carry()
    moving.end()
    broker.publish("q", [outgoing("d")])
    assert ids(take(consumer, "q")) == ["b", "c", "d"]
    assert guarded.master_of(keys.queue(prefix, "q").meta) is moving.target
    consumer.leave()
    broker.purge("q")
    broker.close()


def test_what_has_gone_ahead_is_asked_for_there(guarded: RedisCluster, prefix: str) -> None:
    """While a slot is on the move, its first node sends on what it has given away already, and keeps the slot (ASK)."""
    connection = Endpoint(_url(guarded)).connect(20.0)
    name = keys.result(prefix, "task")
    connection.call(b"SET", name, b"x", b"PX", 60000)
    moving = _Moving(guarded, name)
    moving.begin()
    assert connection.call(b"GET", name) == b"x"
    moving.carry()
    assert connection.call(b"GET", name) == b"x"
    assert connection.call_many([(b"GET", name), (b"TIME",), (b"GET", name)])[::2] == [b"x", b"x"]
    assert connection.at(name) is connection.at(name)
    moving.end()
    assert connection.call(b"GET", name) == b"x"
    connection.close()


def _refused(node: Node) -> int:
    """Return how many calls of scripts a node has sent away."""
    return int(node.command("INFO", "commandstats").get("cmdstat_evalsha", {}).get("rejected_calls", 0))


def test_sending_waits_for_the_end_of_a_move(guarded: RedisCluster, prefix: str) -> None:
    """A script with keys on both sides is told to try again; producers do, within their deadline."""
    broker = RedisBroker(_url(guarded), prefix=prefix, publish_timeout=30.0)
    broker.publish("q", several("ab"))
    for node in guarded.nodes:
        node.command("CONFIG", "RESETSTAT")
    moving = _Moving(guarded, keys.queue(prefix, "q").meta)
    moving.begin()
    sent = threading.Event()

    def send() -> None:
        broker.publish("q", [outgoing("c")])
        sent.set()

    thread = threading.Thread(target=send)
    thread.start()
    until(lambda: _refused(moving.source) > 0, "it was told to try again")
    moving.carry()
    moving.end()
    thread.join(40)
    assert sent.is_set()
    assert broker.info("q").ready == 3
    broker.purge("q")
    broker.close()


# Bells


def _marks(cluster: RedisCluster, prefix: str, queue: str) -> int:
    node = cluster.master_of(keys.queue(prefix, queue).bell)
    return int(node.command("ZCARD", keys.queue(prefix, queue).bell))


def _apart(cluster: RedisCluster, prefix: str) -> tuple[str, str]:
    """Return two queues on two nodes."""
    first, *others = _spread(20, "queue")
    place = cluster.master_of(keys.queue(prefix, first).bell)
    return first, next(name for name in others if cluster.master_of(keys.queue(prefix, name).bell) is not place)


def test_a_busy_worker_takes_no_bell(broker: RedisBroker, redis_cluster: RedisCluster, prefix: str) -> None:
    """The bell of one queue ends the wait on all."""
    first, second = _apart(redis_cluster, prefix)
    bell = broker.bell()
    broker.publish(first, [outgoing("a")])
    assert rung(bell, [first, second]) == first
    broker.publish(second, [outgoing("b")])
    assert _marks(redis_cluster, prefix, second) == 1
    assert rung(bell, [first, second]) == second
    assert rung(bell, [first, second], SILENCE) is None
    bell.close()


def test_a_second_bell_is_left_for_others(broker: RedisBroker, redis_cluster: RedisCluster, prefix: str) -> None:
    queues = _apart(redis_cluster, prefix)
    bell, other = broker.bell(), broker.bell()
    for queue in queues:
        broker.publish(queue, [outgoing("a")])
    taken = {rung(bell, queues), rung(other, queues)}
    assert taken == set(queues)
    assert [_marks(redis_cluster, prefix, queue) for queue in queues] == [0, 0]
    bell.close()
    other.close()


def test_a_bell_outlives_a_cut_line(broker: RedisBroker, redis_cluster: RedisCluster, prefix: str) -> None:
    queues = _apart(redis_cluster, prefix)
    bell = broker.bell()
    assert rung(bell, queues, SILENCE) is None
    for node in redis_cluster.nodes:
        node.command("CLIENT", "KILL", "TYPE", "normal")
    broker.publish(queues[0], [outgoing("a")])
    with pytest.raises(ConnectionLost):
        rung(bell, queues)
    assert rung(bell, queues) == queues[0]
    bell.close()


# Results


def test_a_late_attempt_replaces_nothing(
    connection: ClusterConnection, redis_cluster: RedisCluster, prefix: str
) -> None:
    """An owner that is buried between its look and its store: the next attempt's result stands."""
    results = RedisResults(redis_cluster.url, prefix=prefix)
    later, earlier = record(value=b"later", attempt=1), record(value=b"earlier", attempt=0)
    assert store_apart(connection, prefix, [("t", later.encode(), 60.0, None)], ended=True) == [True]
    assert store_apart(connection, prefix, [("t", earlier.encode(), 60.0, None)], ended=True) == [False]
    assert results.get("t") == later
    again = record(value=b"again", attempt=1)
    assert store_apart(connection, prefix, [("t", again.encode(), 60.0, None)], ended=True) == [True], (
        "the answer was lost"
    )
    assert results.get("t") == again
    results.close()


def test_all_who_wait_are_told(redis_cluster: RedisCluster, prefix: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those whose inbox the message names, and those who left a watch, each in its own slot."""
    monkeypatch.setattr(
        inbox, "Waiting", partial(Waiting, 120.0, 120.0)
    )  # nobody looks for it in the time of this test
    waiting = [RedisResults(redis_cluster.url, prefix=prefix) for _ in range(3)]
    futures = [results.wait("t") for results in waiting]
    connection = Endpoint(redis_cluster.url).connect(20.0)
    store_apart(connection, prefix, [("t", record().encode(), 60.0, waiting[0].inbox())], ended=True)
    assert [future.result(30.0).value for future in futures] == [b"42"] * 3
    connection.close()
    for results in waiting:
        results.close()


def test_all_workers_that_hear_are_counted(broker: RedisBroker) -> None:
    heard: list[Any] = []
    listeners = [broker.listen(heard.append) for _ in range(5)]
    until(lambda: broker.control({"command": "x"}) == 5, "all five listen")
    until(lambda: len(heard) >= 5, "and hear")
    for listener in listeners:
        listener.stop()
        listener.join(5)


def test_a_node_that_restarts_is_met_again(guarded: RedisCluster, prefix: str) -> None:
    """Its connections are gone and its scripts are forgotten; no replica is promoted in so short a time."""
    broker = RedisBroker(_url(guarded), prefix=prefix)
    place = keys.queue(prefix, "q").meta
    broker.publish("q", [outgoing("a")])
    node: Node = guarded.master_of(place)
    node.command("SCRIPT", "FLUSH")
    node.command("CLIENT", "KILL", "TYPE", "normal")
    until(lambda: broker.info("q").ready == 1, "it is seen again")
    broker.publish("q", [outgoing("b")])
    assert broker.info("q").ready == 2
    broker.purge("q")
    broker.close()
