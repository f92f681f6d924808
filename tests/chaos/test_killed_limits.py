"""Workers die while they hold places, locks or tasks that may run once only."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.redis_server import RedisServer
from tests.workers import Worker, runs, until

from umbel import Umbel
from umbel.errors import WorkerLostError

S = "tests.sample_app."
Start = Callable[..., Worker]
Produce = Callable[..., Umbel]


def pid_of(folder: Path, number: int) -> int:
    """Return the process that runs a `hold`."""
    return int(until(lambda: (path := folder / f"running-{number}").exists() and path.read_text(), "it runs"))


def test_the_place_of_a_killed_worker_is_free_within_the_recovery_time(
    redis_server: RedisServer, prefix: str, start_worker: Start, producer: Produce, tmp_path: Path
) -> None:
    app = producer(redis_server)
    first = start_worker(redis_server, prefix, concurrency=2).wait_ready()
    sent = [app.send_task(S + "held_for", ("ann", number, str(tmp_path))) for number in range(3)]
    until(lambda: app.broker.info("default").parked == 2, "two wait for the place")
    second = start_worker(redis_server, prefix, concurrency=2).wait_ready()
    holder = until(lambda: runs(first.ledger, "began"), "one runs")
    first.kill()
    # Nobody else gets the place before the owner was buried, and one does then.
    until(lambda: len(runs(second.ledger, "began")) == 2, "the place is taken again", seconds=40.0)
    assert runs(second.ledger, "began")[0] == holder[0]
    (tmp_path / "go").touch()
    assert sorted(result.get(timeout=40) for result in sent) == [0, 1, 2]
    began, ran = runs(second.ledger, "began"), runs(second.ledger, "ran")
    assert (len(began), sorted(ran)) == (4, ["0", "1", "2"])  # the killed one began twice
    info = app.broker.info("default")
    assert (info.parked, info.in_flight) == (0, 0)
    with redis_server.client() as client:
        assert not client.exists(f"{prefix}:{{default}}:hold")


def test_the_place_of_a_killed_child_is_free_at_once(
    redis_server: RedisServer, prefix: str, start_worker: Start, producer: Produce, tmp_path: Path
) -> None:
    app = producer(redis_server)
    worker = start_worker(redis_server, prefix, concurrency=2).wait_ready()
    sent = [app.send_task(S + "held_for", ("ann", number, str(tmp_path))) for number in range(2)]
    until(lambda: app.broker.info("default").parked == 1, "one waits for the place")
    (first,) = until(lambda: runs(worker.ledger, "began"), "one runs")
    os.kill(pid_of(tmp_path, int(first)), signal.SIGKILL)
    until(lambda: len(runs(worker.ledger, "began")) == 2, "the place is taken again")
    (tmp_path / "go").touch()
    assert sorted(result.get(timeout=40) for result in sent) == [0, 1]


def test_at_most_once_holds_when_the_child_is_killed(
    redis_server: RedisServer, prefix: str, start_worker: Start, producer: Produce, tmp_path: Path
) -> None:
    app = producer(redis_server)
    worker = start_worker(redis_server, prefix, concurrency=1).wait_ready()
    result = app.send_task(S + "at_most_once", (1, str(tmp_path)))
    until(lambda: runs(worker.ledger, "began") == ["1"], "it runs")
    for pid in worker.children():
        os.kill(pid, signal.SIGKILL)
    (tmp_path / "go").touch()
    assert app.send_task(S + "at_most_once", (2, str(tmp_path))).get(timeout=40) == 2
    with pytest.raises(WorkerLostError, match="acks_late=False"):
        result.get(timeout=40)
    assert runs(worker.ledger, "began") == ["1", "2"]


def test_at_most_once_holds_when_the_worker_is_killed(
    redis_server: RedisServer, prefix: str, start_worker: Start, producer: Produce, tmp_path: Path
) -> None:
    app = producer(redis_server)
    first = start_worker(redis_server, prefix, concurrency=1).wait_ready()
    result = app.send_task(S + "at_most_once", (1, str(tmp_path)))
    until(lambda: runs(first.ledger, "began") == ["1"], "it runs")
    first.kill()
    second = start_worker(redis_server, prefix, concurrency=1)
    (tmp_path / "go").touch()
    assert app.send_task(S + "at_most_once", (2, str(tmp_path))).get(timeout=40) == 2
    with pytest.raises(WorkerLostError, match="acks_late=False"):
        result.get(timeout=40)
    assert runs(second.ledger, "began") == ["1", "2"]


def test_the_lock_of_a_unique_task_survives_its_worker_and_ends_with_the_task(
    redis_server: RedisServer, prefix: str, start_worker: Start, tmp_path: Path
) -> None:
    from umbel.broker.redis import RedisBroker

    sender = start_worker(redis_server, prefix, concurrency=1).wait_ready()
    only_one = Umbel("sender", broker=redis_server.url, key_prefix=prefix, set_as_current=False).task(
        name=S + "only_one", unique=True, unique_key="name"
    )(lambda name, folder: name)
    first = only_one.delay("ann", str(tmp_path))
    until(lambda: runs(sender.ledger, "began") == ["ann"], "it runs")
    sender.kill()
    assert only_one.delay("ann", str(tmp_path)).id == first.id
    second = start_worker(redis_server, prefix, concurrency=1)
    until(lambda: runs(second.ledger, "began") == ["ann", "ann"], "it runs again", seconds=40.0)
    assert only_one.delay("ann", str(tmp_path)).id == first.id
    (tmp_path / "go").touch()
    assert first.get(timeout=40) == "ann"
    again = only_one.delay("ann", str(tmp_path))
    assert again.id != first.id
    assert again.get(timeout=40) == "ann"
    broker = RedisBroker(redis_server.url, prefix=prefix)
    assert broker.info("default").in_flight == 0
    broker.close()
    only_one.app.close()
