"""What may happen to Redis while workers work and a producer sends: everybody goes on by itself, nothing is lost."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest
from tests.chaos.load import Load, S, not_ready
from tests.chaos.proxy import ChaosProxy
from tests.redis_server import RedisServer
from tests.workers import Worker, until

from umbel import Umbel
from umbel.errors import OperationalError

Start = Callable[..., Worker]
Produce = Callable[..., Umbel]


@pytest.fixture
def workers(own_redis: RedisServer, prefix: str, start_worker: Start) -> list[Worker]:
    """Two workers of a Redis that belongs to the test."""
    started = [start_worker(own_redis, prefix) for _ in range(2)]
    return [worker.wait_ready() for worker in started]


@pytest.fixture
def proxy(own_redis: RedisServer) -> Iterator[ChaosProxy]:
    proxy = ChaosProxy(own_redis.port)
    proxy.start()
    yield proxy
    proxy.stop()


@pytest.fixture
def replica(own_redis: RedisServer) -> Iterator[RedisServer]:
    with own_redis.client() as client:
        client.config_set("repl-diskless-sync-delay", 0)
    server = RedisServer(persistent=True, arguments=("--replicaof", f"127.0.0.1 {own_redis.port}"))
    server.start()

    def linked() -> bool:
        with server.client() as client:
            return bool(client.info("replication")["master_link_status"] == "up")

    until(linked, "the replica follows")
    yield server
    server.remove()


def test_restart_under_load(own_redis: RedisServer, workers: list[Worker], producer: Produce) -> None:
    with Load(producer(own_redis), workers) as load:
        load.runs_on()
        for _ in range(2):
            own_redis.stop()
            until(not_ready(workers), "they say that they are not ready")
            own_redis.start()
            load.runs_on()
    load.is_complete()


def test_hung_for_some_seconds(own_redis: RedisServer, workers: list[Worker], producer: Produce) -> None:
    """Connections are taken and nobody answers: worse than gone, since nothing breaks."""
    with Load(producer(own_redis), workers) as load:
        load.runs_on()
        own_redis.pause()
        until(not_ready(workers), "they say that they are not ready")
        own_redis.go_on()
        load.runs_on()
    load.is_complete()


def test_scripts_flushed_under_load(own_redis: RedisServer, workers: list[Worker], producer: Produce) -> None:
    with Load(producer(own_redis), workers) as load, own_redis.client() as client:
        load.runs_on()
        for _ in range(20):
            client.script_flush()
            time.sleep(0.05)  # how often, not for how long
        load.runs_on()
    counts = load.is_complete()
    assert load.errors == []
    assert max(counts.values()) == 1


def test_every_answer_200_ms_late(
    own_redis: RedisServer, proxy: ChaosProxy, prefix: str, start_worker: Start, producer: Produce
) -> None:
    workers = [start_worker(proxy, prefix) for _ in range(2)]
    for worker in workers:
        worker.wait_ready()
    app = Umbel("slow", broker=proxy.url, key_prefix=prefix)
    with Load(app, workers, pause=0.02) as load:
        load.runs_on()
        proxy.delay = 0.2
        load.runs_on()
        before = len(load.results)
        until(lambda: len(load.results) > before + 10, "it sends on")
        assert [worker.probe("readyz")[0] for worker in workers] == [200, 200]
        proxy.delay = 0.0
    counts = load.is_complete()
    assert load.errors == []
    assert max(counts.values()) == 1
    assert not any(worker.events("owner.lost") or worker.events("owner.buried") for worker in workers)
    app.close()


def test_failover_to_a_replica(
    own_redis: RedisServer, replica: RedisServer, proxy: ChaosProxy, prefix: str, start_worker: Start
) -> None:
    """Nothing is lost if the replica has all: the address leads to it from then on, as that of a Service does."""
    workers = [start_worker(proxy, prefix) for _ in range(2)]
    for worker in workers:
        worker.wait_ready()
    app = Umbel("producer", broker=proxy.url, key_prefix=prefix)
    with Load(app, workers) as load:
        load.runs_on()
        proxy.refuse()
        with own_redis.client() as old, replica.client() as new:
            wanted = int(old.info("replication")["master_repl_offset"])
            until(lambda: int(new.info("replication")["slave_repl_offset"]) >= wanted, "the replica has all")
            new.replicaof("NO", "ONE")
            old.replicaof("127.0.0.1", str(replica.port))
        proxy.point_at(replica.port)
        proxy.accept()
        load.runs_on()
    load.is_complete()
    app.close()
    assert not any(worker.events("owner.buried") for worker in workers), "a failover buries nobody"


def test_a_failover_that_lost_the_last_writes(
    own_redis: RedisServer, replica: RedisServer, proxy: ChaosProxy, prefix: str, start_worker: Start
) -> None:
    """Replication is asynchronous: the promoted replica may be behind. What it has is done; the rest was lost with the primary."""
    workers = [start_worker(proxy, prefix) for _ in range(2)]
    for worker in workers:
        worker.wait_ready()
    app = Umbel("producer", broker=proxy.url, key_prefix=prefix)
    with Load(app, workers) as load:
        load.runs_on()
        with own_redis.client() as old, replica.client() as new:
            kept = set(load.results)
            wanted = int(old.info("replication")["master_repl_offset"])
            until(lambda: int(new.info("replication")["slave_repl_offset"]) >= wanted, "the replica has these")
            new.replicaof("NO", "ONE")  # from here on the replica misses what the primary answers
            missed = len(load.results)
            until(lambda: len(load.results) > missed + 20, "some are sent to the primary alone")
            own_redis.kill()
        proxy.point_at(replica.port)
        proxy.cut_all()
        load.runs_on()
        back = time.monotonic()
    kept |= {number for number, at in load.sent_at.items() if at > back}
    assert {load.results[number].get(timeout=30) for number in kept} == kept

    def empty() -> bool:
        info = app.broker.info("default")
        return info.ready + info.in_flight == 0

    until(empty, "nothing is left")
    assert load.dead_probes == []
    app.close()


def test_a_replica_that_answers(own_redis: RedisServer, workers: list[Worker], producer: Produce) -> None:
    """READONLY: the primary was demoted, and its address has not moved yet. Nobody works, nobody dies, and then all go on."""
    app = producer(own_redis, publish_timeout=1.0)
    with Load(app, workers) as load:
        load.runs_on()
        with own_redis.client() as client:
            client.replicaof("127.0.0.1", "1")
            until(not_ready(workers), "they say that they are not ready")
            until(lambda: any("READONLY" in str(error) for error in load.errors), "the producer is told")
            client.replicaof("NO", "ONE")
        load.runs_on()
    load.is_complete()
    assert not any(worker.events("child.died") for worker in workers)


def test_who_talks_to_the_old_primary_connects_anew(
    own_redis: RedisServer, replica: RedisServer, proxy: ChaosProxy, prefix: str, start_worker: Start
) -> None:
    """No connection breaks when a primary is demoted: those to it have to be given up for its address to be asked again."""
    workers = [start_worker(proxy, prefix).wait_ready()]
    app = Umbel("producer", broker=proxy.url, key_prefix=prefix)
    with Load(app, workers) as load:
        load.runs_on()
        with own_redis.client() as old, replica.client() as new:
            old.client_pause(10_000, all=False)  # no writes, until the replica has all
            wanted = int(old.info("replication")["master_repl_offset"])
            until(lambda: int(new.info("replication")["slave_repl_offset"]) >= wanted, "the replica has all")
            new.replicaof("NO", "ONE")
            proxy.point_at(replica.port)
            old.replicaof("127.0.0.1", str(replica.port))
            old.client_unpause()
        load.runs_on()
    load.is_complete()
    app.close()


def test_flushall_under_load(own_redis: RedisServer, workers: list[Worker], producer: Produce) -> None:
    """What was queued is gone, as was asked for; who works registers anew, and what is sent from then on is run."""
    app = producer(own_redis)
    with Load(app, workers) as load:
        load.runs_on()
        with own_redis.client() as client:
            client.flushall()
        flushed = time.monotonic()
        load.runs_on()
    after = [number for number, at in load.sent_at.items() if at > flushed]
    assert {load.results[number].get(timeout=30) for number in after} == set(after)
    liveness = app.broker.liveness()
    until(lambda: len(liveness.owners()) == 4, "all children are registered again")
    liveness.close()
    assert load.dead_probes == []


def test_maxmemory_reached(own_redis: RedisServer, workers: list[Worker], producer: Produce) -> None:
    """Producers are told at once; workers go on, since they alone make room; nothing that was queued is lost."""
    app = producer(own_redis)
    held = [app.send_task(S + "work", (number,), countdown=1.0) for number in range(10_000, 10_200)]
    with Load(app, workers) as load:
        load.runs_on()
        with own_redis.client() as client:
            client.config_set("maxmemory", 1)

            def told() -> list[OperationalError]:
                return [error for error in load.errors if "OOM command not allowed" in str(error)]

            error, *_ = until(told, "the producer is told")
            assert "maxmemory" in str(error)
            assert [result.get(timeout=40) for result in held] == list(range(10_000, 10_200))
            assert [worker.probe("readyz")[0] for worker in workers] == [200, 200]
            client.config_set("maxmemory", 0)
        load.runs_on()
    load.results.update({10_000 + number: result for number, result in enumerate(held)})
    load.is_complete()
