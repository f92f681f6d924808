"""A Redis that answers and refuses: workers wait without storming it, say so, and go on by themselves."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest
from tests.redis_server import RedisServer
from tests.workers import Worker, until

from umbel import Umbel

S = "tests.sample_app."
Start = Callable[..., Worker]
Produce = Callable[..., Umbel]


def test_a_redis_that_refuses_writes_is_not_stormed(
    own_redis: RedisServer, prefix: str, start_worker: Start, producer: Produce
) -> None:
    worker = start_worker(own_redis, prefix).wait_ready()
    app = producer(own_redis)
    assert app.send_task(S + "add", (1, 1)).get(timeout=30) == 2
    with own_redis.client() as client:
        client.config_set("min-replicas-to-write", 1)
        until(lambda: worker.events("broker.away"), "it is told")
        before = client.info("stats")["total_connections_received"]
        began = time.monotonic()
        time.sleep(3.0)  # the measure: how many connections in this time
        connected = client.info("stats")["total_connections_received"] - before
        assert connected < 20 * (time.monotonic() - began)
        client.config_set("min-replicas-to-write", 0)
    assert app.send_task(S + "add", (2, 2)).get(timeout=30) == 4
    assert not worker.events("child.died")


def test_a_password_that_changes_is_read_again(
    own_redis: RedisServer, prefix: str, start_worker: Start, producer: Produce, tmp_path: object
) -> None:
    """While the new password has not arrived, children wait; nobody dies of it, and nothing has to be restarted."""
    from pathlib import Path

    file = Path(str(tmp_path), "password")
    file.write_text("old")
    with own_redis.client() as client:
        client.config_set("requirepass", "old")
    worker = start_worker(own_redis, prefix, environment={"UMBEL_BROKER_PASSWORD_FILE": str(file)}).wait_ready()
    with own_redis.client("old") as client:
        client.config_set("requirepass", "new")
        client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        until(lambda: worker.probe("readyz")[0] == 503, "it is not ready")
        file.unlink()  # as a secret that is being replaced
        time.sleep(1.0)  # so that all of them meet the missing file
        file.write_text("new")
        until(lambda: worker.probe("readyz")[0] == 200, "it found its way back")
    url = own_redis.url.replace("redis://", "redis://:new@")
    app = Umbel("p", broker=url, key_prefix=prefix)
    try:
        assert app.send_task(S + "add", (2, 2)).get(timeout=30) == 4
    finally:
        app.close()
    assert not worker.events("child.died")
    assert worker.stop() == 0


@pytest.mark.parametrize("queue", ["default", "other"])
def test_a_worker_of_an_older_umbel_says_so_and_ends(
    redis_server: RedisServer, prefix: str, start_worker: Start, queue: str
) -> None:
    with redis_server.client() as client:
        client.hset(f"{prefix}:{{{queue}}}:meta", "layout", "99")
    worker = start_worker(redis_server, prefix, "--queues", "default,other")
    assert worker.process.wait(40) == 69
    text = worker.log.read_text()
    assert f"the keys of queue '{queue}' have layout version 99, this Umbel knows version 1" in text
    assert "upgrade this one" in text
    assert "Traceback" not in text


def test_a_newer_layout_that_comes_later_is_said_once_and_waited_for(
    redis_server: RedisServer, prefix: str, start_worker: Start
) -> None:
    worker = start_worker(redis_server, prefix).wait_ready()
    with redis_server.client() as client:
        client.hset(f"{prefix}:{{default}}:meta", "layout", "99")
        for key in client.scan_iter(f"{prefix}:*:o:*"):
            client.delete(key)
    told = until(lambda: [event for event in worker.events() if "layout version 99" in str(event)], "it is told")
    assert told
    time.sleep(1.0)  # so that a child that dies of it is seen
    assert not worker.events("child.died")
    assert "Traceback" not in worker.log.read_text()
    with redis_server.client() as client:
        client.hset(f"{prefix}:{{default}}:meta", "layout", "1")


def test_a_memory_policy_that_evicts_is_warned_of(own_redis: RedisServer, prefix: str, start_worker: Start) -> None:
    with own_redis.client() as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
    worker = start_worker(own_redis, prefix).wait_ready()
    (warning,) = worker.events("redis.maxmemory_policy")
    assert (warning["level"].upper(), warning["policy"]) == ("WARNING", "allkeys-lru")
    assert "noeviction" in warning["hint"]
    assert len(worker.events("redis.maxmemory_policy")) == 1


def test_a_broker_that_is_down_at_the_start_is_one_sentence(
    own_redis: RedisServer, prefix: str, start_worker: Start
) -> None:
    own_redis.stop()
    worker = start_worker(own_redis, prefix)
    assert worker.process.wait(40) == 69
    text = worker.log.read_text()
    assert f"127.0.0.1:{own_redis.port}" in text
    assert "check that it runs" in text
    assert "Traceback" not in text
    assert len([line for line in text.splitlines() if line.strip()]) == 1
