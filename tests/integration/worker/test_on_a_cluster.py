"""A worker and beat with all that belongs to them, on a Redis Cluster of six nodes."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.redis_cluster import RedisCluster
from tests.workers import Worker, runs, until

from umbel import Umbel
from umbel.errors import TaskRevokedError, TimeLimitExceeded
from umbel.redis import keys
from umbel.shards import shard_names

S = "tests.sample_app."
QUEUES = "default,mail,reports"


@pytest.fixture
def worker(redis_cluster: RedisCluster, prefix: str, start_worker: Callable[..., Worker]) -> Worker:
    return start_worker(redis_cluster, prefix, "--queues", QUEUES).wait_ready(30)


@pytest.fixture
def app(redis_cluster: RedisCluster, producer: Callable[..., Umbel]) -> Umbel:
    return producer(redis_cluster)


def test_tasks_of_all_queues_end(app: Umbel, worker: Worker) -> None:
    results = [
        app.send_task(S + "work", (number,), queue=queue, countdown=0.01 * (number % 3))
        for number in range(60)
        for queue in QUEUES.split(",")
    ]
    assert [result.get(timeout=30) for result in results] == [number for number in range(60) for _ in range(3)]
    assert app.send_task(S + "fails_twice").get(timeout=30) == 2
    with pytest.raises(TimeLimitExceeded):
        app.send_task(S + "too_long").get(timeout=30)
    until(lambda: not any(app.broker.info(queue).in_flight for queue in QUEUES.split(",")), "nothing is held any more")


def test_a_queue_is_split_over_several_masters(
    redis_cluster: RedisCluster, prefix: str, start_worker: Callable[..., Worker], producer: Callable[..., Umbel]
) -> None:
    app = producer(redis_cluster, queue_shards={"mail": 6})
    names = shard_names("mail", {"mail": 6})
    results = [app.send_task(S + "work", (number,), queue="mail") for number in range(60)]
    assert [app.broker.info(name).ready for name in names] == [10] * 6
    assert len({redis_cluster.master_of(keys.queue(prefix, name).meta).port for name in names}) > 1
    environment = {"UMBEL_QUEUE_SHARDS": '{"mail": 6}'}
    worker = start_worker(redis_cluster, prefix, "--queues", "mail=2", environment=environment)
    assert [result.get(timeout=30) for result in results] == list(range(60))
    assert not worker.events("worker.unknown_queue")


def test_a_dead_child_gives_back_what_it_held(app: Umbel, worker: Worker, tmp_path: Path) -> None:
    result = app.send_task(S + "hold", (1, str(tmp_path)), queue="mail")
    running = tmp_path / "running-1"
    until(running.exists, "it runs")
    first = until(lambda: running.read_text(), "its process is known")
    os.kill(int(first), signal.SIGKILL)
    until(lambda: running.read_text() not in ("", first), "it runs again, in another process")
    (tmp_path / "go").touch()
    assert result.get(timeout=20) == 1
    assert runs(worker.ledger, "began") == ["1", "1"]


def test_workers_are_seen_and_told(app: Umbel, worker: Worker, tmp_path: Path) -> None:
    result = app.send_task(S + "hold", (1, str(tmp_path)), queue="reports")
    until((tmp_path / "running-1").exists, "it runs")
    inspect = app.control.inspect(timeout=10.0)
    name = worker.hostname
    assert [info["id"] for info in inspect.active()[name]] == [result.id]
    stats = inspect.stats()[name]
    assert stats["broker"]["transport"] == "redis+cluster"
    assert stats["broker"]["alternates"] == [f"127.0.0.1:{stats['broker']['alternates'][0].rpartition(':')[2]}"]
    app.control.revoke(result.id, terminate=True)
    with pytest.raises(TaskRevokedError):
        result.get(timeout=20)


def test_beat_sends_each_slot_once(
    redis_cluster: RedisCluster, prefix: str, app: Umbel, worker: Worker, tmp_path: Path
) -> None:
    from umbel.beat.service import Beat, BeatOptions

    entry = {"task": S + "work", "schedule": 0.2, "args": (7,)}
    app.conf.beat_schedule = {"often": entry}
    from umbel.cli.beat import _entries

    beats = [Beat(BeatOptions(redis_cluster.url, prefix, lock_ttl=5.0), _entries(app), "sample") for _ in range(2)]
    began = time.monotonic()
    for beat in beats:
        beat.start()
    try:
        until(lambda: len(runs(worker.ledger)) >= 5, "slots are sent")
    finally:
        for beat in beats:
            beat.stop()
        for beat in beats:
            beat.join(10)
    assert len(runs(worker.ledger)) <= (time.monotonic() - began) / 0.2 + 2, "by one of the two"
