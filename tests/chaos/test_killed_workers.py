"""Whole workers are killed under load: every task runs at least once, every result arrives."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable

import pytest
from tests.redis_server import RedisServer
from tests.workers import Worker, runs, until

from umbel import Umbel
from umbel.message import decode

TASKS = 5000
KILLS = 10


@pytest.mark.timeout(240)
def test_nothing_is_lost_when_whole_workers_die(
    redis_server: RedisServer,
    prefix: str,
    start_worker: Callable[..., Worker],
    producer: Callable[..., Umbel],
    capsys: pytest.CaptureFixture[str],
) -> None:
    app = producer(redis_server)
    workers = [start_worker(redis_server, prefix).wait_ready() for _ in range(2)]
    ledger = workers[0].ledger
    sent_at = time.monotonic()
    results = [app.send_task("tests.sample_app.work", (number, 0.001)) for number in range(TASKS)]
    for kill in range(KILLS):
        # Spread over the whole work, each at a random moment of its share.
        goal = (kill * TASKS + random.randrange(TASKS)) // (KILLS + 1)
        until(lambda goal=goal: len(runs(ledger)) >= goal, f"{goal} are done", 60)  # type: ignore[misc]
        workers.pop(random.randrange(len(workers))).kill()
        workers.append(start_worker(redis_server, prefix))
        if kill < KILLS - 1:
            workers[-1].wait_ready()
    killed_at = time.monotonic()
    assert [result.get(timeout=60) for result in results] == list(range(TASKS))
    recovered = time.monotonic() - killed_at
    counts = Counter(int(number) for number in runs(ledger))
    assert set(counts) == set(range(TASKS))
    until(lambda: app.broker.info("default").in_flight == 0, "nothing is held any more")
    info = app.broker.info("default")
    assert (info.ready, info.dead) == (0, 0)
    with capsys.disabled():
        twice = sum(1 for count in counts.values() if count > 1)
        print(  # noqa: T201 - the figure is what this test shows
            f"\n{TASKS} tasks, {KILLS} workers killed: {len(results)} results, {twice} ran more than once, "
            f"last result {recovered:.1f} s after the last kill, {time.monotonic() - sent_at:.0f} s in all"
        )


@pytest.mark.timeout(240)
def test_redis_is_away_for_20_seconds_under_load(
    own_redis: RedisServer, prefix: str, start_worker: Callable[..., Worker], producer: Callable[..., Umbel]
) -> None:
    app = producer(own_redis)
    workers = [start_worker(own_redis, prefix).wait_ready() for _ in range(2)]
    liveness = app.broker.liveness()
    until(lambda: len(liveness.owners()) == 4, "all children are registered")
    owners = {owner.id for owner in liveness.owners()}
    results = [app.send_task("tests.sample_app.counts_charges", (number, 0.002)) for number in range(3000)]
    until(lambda: len(runs(workers[0].ledger)) > 500, "they are at it")
    own_redis.stop()
    away = time.monotonic()
    while time.monotonic() - away < 20:
        assert [worker.probe("livez")[0] for worker in workers] == [200, 200]
        time.sleep(0.5)
    assert [worker.probe("readyz")[0] for worker in workers] == [503, 503]
    own_redis.start()
    back = time.monotonic()
    assert {result.get(timeout=60) for result in results} == {0}, "no task was charged"
    assert set(map(int, runs(workers[0].ledger))) == set(range(3000))
    assert time.monotonic() - back < 40
    assert {owner.id for owner in liveness.owners()} == owners, "nobody was buried"
    assert [worker.events("owner.buried") for worker in workers] == [[], []]
    until(lambda: [worker.probe("readyz")[0] for worker in workers] == [200, 200], "both are ready again")
    assert app.broker.dead("default") == []


def test_redis_restarts_and_is_empty(
    own_redis: RedisServer, prefix: str, start_worker: Callable[..., Worker], producer: Callable[..., Umbel]
) -> None:
    """After FLUSHALL the workers register anew by themselves and take what is sent from then on."""
    app = producer(own_redis)
    start_worker(own_redis, prefix).wait_ready()
    assert app.send_task("tests.sample_app.add", (1, 1)).get(timeout=30) == 2
    with own_redis.client() as client:
        client.flushall()
    assert app.send_task("tests.sample_app.add", (2, 2)).get(timeout=30) == 4
    until(lambda: len(app.broker.liveness().owners()) == 2, "both children are registered again")


@pytest.mark.timeout(240)
def test_redis_is_killed_again_and_again(
    own_redis: RedisServer, prefix: str, start_worker: Callable[..., Worker], producer: Callable[..., Umbel]
) -> None:
    """With an append-only file written at each command, a kill -9 of Redis loses nothing that was answered."""
    app = producer(own_redis)
    worker = start_worker(own_redis, prefix).wait_ready()
    results = [app.send_task("tests.sample_app.work", (number, 0.001)) for number in range(2000)]
    for goal in (200, 600, 1000):
        until(lambda goal=goal: len(runs(worker.ledger)) >= goal, f"{goal} are done", 60)  # type: ignore[misc]
        own_redis.kill()
        own_redis.start()
    assert [result.get(timeout=60) for result in results] == list(range(2000))
    assert set(map(int, runs(worker.ledger))) == set(range(2000))
    for letter in app.broker.dead("default"):
        raise AssertionError(decode(letter.payload))
