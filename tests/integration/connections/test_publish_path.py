"""One message, published: the short way makes every check, survives what Redis does in between, and ends in time."""

from __future__ import annotations

import multiprocessing
import os
import threading
import time
from collections.abc import Iterator

import pytest
from tests.conformance.making import outgoing
from tests.redis_server import RedisServer

from umbel import message as messages
from umbel.broker.base import Outgoing
from umbel.broker.redis import RedisBroker
from umbel.errors import LayoutError, OperationalError, PublishUncertain, QueueClosed
from umbel.redis import keys
from umbel.redis.pool import TRUST


@pytest.fixture
def broker(redis_server: RedisServer, prefix: str) -> Iterator[RedisBroker]:
    broker = RedisBroker(redis_server.url, prefix=prefix, publish_timeout=20.0)
    yield broker
    broker.close()
    with redis_server.client() as client:
        for key in client.scan_iter(f"{prefix}:*", count=1000):
            client.delete(key)


def test_one_message_is_stamped_and_whole_whatever_it_holds(broker: RedisBroker, redis_server: RedisServer) -> None:
    for body in (b"", b"\r\n$0\r\n", bytes(range(256)), b"x" * 1_000_000):
        raw = messages.Message({"task": "t", "id": "a"}, body, 4).encode()
        before = int(time.time() * 1000)
        broker.publish("q", [Outgoing(raw, "a")])
        with redis_server.client() as client:
            stored = client.rpop(keys.queue(broker.prefix, "q").ready[4])
        read = messages.decode(stored)
        assert read.body == body
        assert before - 5000 <= read.enqueued_ms <= before + 5000
        assert stored[:11] + stored[19:] == raw[:11] + raw[19:]


def test_each_priority_and_queue_has_its_list(broker: RedisBroker, redis_server: RedisServer) -> None:
    for _ in range(2):
        for queue in ("q", "other"):
            for priority in range(10):
                broker.publish(queue, [outgoing("a", priority=priority)])
    with redis_server.client() as client:
        for queue in ("q", "other"):
            own = keys.queue(broker.prefix, queue)
            assert [client.llen(name) for name in own.ready] == [2] * 10
            assert client.zcard(own.bell) == 1
    assert broker.queues() == ["other", "q"]


def test_the_way_for_one_checks_layout_and_intake_each_time(broker: RedisBroker, redis_server: RedisServer) -> None:
    broker.publish("q", [outgoing("a")])
    broker.configure("q", {"intake": "Reject"}, 1)
    with pytest.raises(QueueClosed, match="intake"):
        broker.publish("q", [outgoing("b")])
    broker.configure("q", {"intake": "Accept"}, 2)
    broker.publish("q", [outgoing("c")])
    with redis_server.client() as client:
        own = keys.queue(broker.prefix, "q")
        assert client.hget(own.meta, "layout") == str(keys.LAYOUT).encode()
        client.hset(own.meta, "layout", keys.LAYOUT + 1)
        with pytest.raises(LayoutError):
            broker.publish("q", [outgoing("d")])
        assert client.llen(own.ready[5]) == 2


def test_a_server_that_forgot_its_scripts_is_told_again(broker: RedisBroker, redis_server: RedisServer) -> None:
    broker.publish("q", [outgoing("a")])
    with redis_server.client() as client:
        client.script_flush()
    broker.publish("q", [outgoing("b")])
    assert broker.info("q").ready == 2


def test_a_server_that_forgets_its_scripts_all_the_time_is_told_until_it_listens(
    own_redis: RedisServer, prefix: str
) -> None:
    """Also those that it was told a moment ago: as a restart, a failover or a flush may come between the two."""
    broker = RedisBroker(own_redis.url, prefix=prefix, publish_timeout=30.0)
    stop = threading.Event()

    def forget() -> None:
        with own_redis.client() as client:
            while not stop.is_set():
                client.script_flush()

    forgetting = threading.Thread(target=forget)
    forgetting.start()
    try:
        for number in range(60):
            broker.publish("q", [outgoing(str(number))])
    finally:
        stop.set()
        forgetting.join()
    assert broker.info("q").ready == 60
    broker.close()


def test_a_connection_that_was_closed_while_idle_is_replaced(broker: RedisBroker, redis_server: RedisServer) -> None:
    for number in range(5):
        broker.publish("q", [outgoing(str(number))])
        with redis_server.client() as client:
            client.client_kill_filter(_type="normal", skipme=True)
        time.sleep(TRUST * 1.5)
    broker.publish("q", [outgoing("last")])
    assert broker.info("q").ready == 6


def test_what_passes_by_itself_is_tried_until_the_deadline(own_redis: RedisServer, prefix: str) -> None:
    broker = RedisBroker(own_redis.url, prefix=prefix, publish_timeout=1.0)
    broker.publish("q", [outgoing("a")])
    with own_redis.client() as client:
        client.replicaof("127.0.0.1", "1")
        began = time.monotonic()
        with pytest.raises(OperationalError, match="READONLY"):
            broker.publish("q", [outgoing("b")])
        assert 0.5 < time.monotonic() - began < 15.0
        healing = threading.Timer(0.3, client.replicaof, ("NO", "ONE"))
        healing.start()
        patient = RedisBroker(own_redis.url, prefix=prefix, publish_timeout=30.0)
        patient.publish("q", [outgoing("c")])
        patient.close()
        healing.join()
    assert broker.info("q").ready == 2
    broker.close()


def test_a_silent_server_makes_the_publish_uncertain_in_time(own_redis: RedisServer, prefix: str) -> None:
    broker = RedisBroker(own_redis.url, prefix=prefix, publish_timeout=0.4)
    broker.publish("q", [outgoing("a")])
    own_redis.pause()
    try:
        began = time.monotonic()
        with pytest.raises(PublishUncertain, match="no answer for") as caught:
            broker.publish("q", [outgoing("b")])
        assert 0.3 < time.monotonic() - began < 15.0
    finally:
        own_redis.go_on()
    assert caught.value.task_ids == ("b",)
    patient = RedisBroker(own_redis.url, prefix=prefix)
    patient.publish("q", [outgoing("c")])
    patient.close()
    broker.close()


def test_threads_send_at_once(broker: RedisBroker, redis_server: RedisServer) -> None:
    def send(thread: int) -> None:
        for number in range(100):
            broker.publish("q", [outgoing(f"{thread}-{number}")])

    threads = [threading.Thread(target=send, args=(thread,)) for thread in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with redis_server.client() as client:
        raw = client.lrange(keys.queue(broker.prefix, "q").ready[5], 0, -1)
    names = [messages.decode(item).headers["id"] for item in raw]
    assert sorted(names) == sorted(f"{thread}-{number}" for thread in range(6) for number in range(100))


def _send_in_child(broker: RedisBroker, numbers: range) -> None:
    for number in numbers:
        broker.publish("q", [outgoing(f"{os.getpid()}-{number}")])


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_forked_processes_do_not_share_a_connection(broker: RedisBroker) -> None:
    broker.publish("q", [outgoing("before")])
    context = multiprocessing.get_context("fork")
    children = [context.Process(target=_send_in_child, args=(broker, range(200))) for _ in range(3)]
    for child in children:
        child.start()
    for number in range(200):
        broker.publish("q", [outgoing(f"parent-{number}")])
    for child in children:
        child.join(60)
        assert child.exitcode == 0
    assert broker.info("q").ready == 801
