"""Who owns a task when what ran it dies, and how soon it is back: the rows of the design's recovery table."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.redis_server import RedisServer
from tests.workers import Worker, runs, until

from umbel import Umbel
from umbel.broker.base import OwnerInfo

S = "tests.sample_app."
Start = Callable[..., Worker]
Produce = Callable[..., Umbel]


def _pid_of(folder: Path, number: int, seconds: float = 30.0) -> int:
    path = folder / f"running-{number}"
    text: str = until(lambda: path.exists() and path.read_text(), f"task {number} runs", seconds)
    return int(text)


def test_a_dead_childs_task_is_back_within_a_second(
    redis_server: RedisServer, prefix: str, start_worker: Start, producer: Produce, tmp_path: Path
) -> None:
    worker = start_worker(redis_server, prefix).wait_ready()
    app = producer(redis_server)
    taken = []
    for number in range(5):  # a busy machine may be slow now and then
        folder = tmp_path / str(number)
        folder.mkdir()
        result = app.send_task(S + "hold", (1, str(folder)))
        pid = _pid_of(folder, 1)
        (folder / "running-1").unlink()
        os.kill(pid, signal.SIGKILL)
        killed = time.monotonic()
        assert _pid_of(folder, 1) != pid
        taken.append(time.monotonic() - killed)
        (folder / "go").touch()
        assert result.get(timeout=30) == 1
        if taken[-1] < 1.0:
            break
    assert min(taken) < 1.0

    def buried() -> list[str]:
        return [event["charge"] for event in worker.events("owner.buried") if event["messages"]]

    until(lambda: buried() == ["lost"] * len(taken), "each burial is told, a moment after the task is back")


def test_children_that_are_killed_at_work_are_born_again_at_once(
    redis_server: RedisServer, prefix: str, start_worker: Start, producer: Produce
) -> None:
    """Births wait longer and longer only where children die before they did anything: 45 s for as many deaths."""
    worker = start_worker(redis_server, prefix, concurrency=1).wait_ready()
    app = producer(redis_server)
    began = time.monotonic()
    for killed in range(1, 13):
        os.kill(app.send_task(S + "who").get(timeout=30)["pid"], signal.SIGKILL)
        until(lambda: len(worker.events("child.died")) == killed, "its death was noticed")  # noqa: B023 - called at once
    assert app.send_task(S + "add", (1, 2)).get(timeout=30) == 3
    assert time.monotonic() - began < 35.0


def test_what_waits_behind_a_long_task_is_given_to_a_neighbour(
    redis_server: RedisServer, prefix: str, start_worker: Start, producer: Produce, tmp_path: Path
) -> None:
    """A child that learned that tasks are short fetches many; a long one among them must not hold the others up."""
    start_worker(redis_server, prefix).wait_ready()
    app = producer(redis_server)
    for result in [app.send_task(S + "add", (n, 0)) for n in range(500)]:
        result.get(timeout=30)
    long = app.send_task(S + "hold", (1, str(tmp_path)))
    short = [app.send_task(S + "add", (n, 0)) for n in range(300)]
    assert [result.get(timeout=30) for result in short] == list(range(300))
    assert not long.ready()
    (tmp_path / "go").touch()
    assert long.get(timeout=30) == 1


def test_an_outcome_never_waits_behind_a_long_task(
    redis_server: RedisServer, prefix: str, start_worker: Start, producer: Produce, tmp_path: Path
) -> None:
    start_worker(redis_server, prefix, concurrency=1).wait_ready()
    app = producer(redis_server)
    for result in [app.send_task(S + "add", (n, 0)) for n in range(200)]:
        result.get(timeout=30)
    with app.batch():
        before = app.send_task(S + "add", (20, 22))
        long = app.send_task(S + "hold", (1, str(tmp_path)))
    _pid_of(tmp_path, 1)
    assert before.get(timeout=30) == 42
    (tmp_path / "go").touch()
    assert long.get(timeout=30) == 1


def test_a_dead_workers_tasks_are_back_within_15_seconds(
    redis_server: RedisServer, prefix: str, start_worker: Start, producer: Produce, tmp_path: Path
) -> None:
    first = start_worker(redis_server, prefix).wait_ready()
    app = producer(redis_server)
    results = [app.send_task(S + "hold", (n, str(tmp_path))) for n in (1, 2)]
    for number in (1, 2):
        _pid_of(tmp_path, number)
        (tmp_path / f"running-{number}").unlink()
    children = first.children()
    start_worker(redis_server, prefix).wait_ready()
    first.kill()
    killed = time.monotonic()
    for number in (1, 2):
        _pid_of(tmp_path, number, 40.0)
    assert time.monotonic() - killed < 25.0
    (tmp_path / "go").touch()
    assert [result.get(timeout=30) for result in results] == [1, 2]
    until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in children), "zygote and children went with it")


def test_sigterm_finishes_what_runs_and_hands_back_the_rest(
    redis_server: RedisServer, prefix: str, start_worker: Start, producer: Produce, tmp_path: Path
) -> None:
    worker = start_worker(redis_server, prefix, concurrency=1).wait_ready()
    app = producer(redis_server)
    running = app.send_task(S + "hold", (1, str(tmp_path)))
    _pid_of(tmp_path, 1)
    waiting = [app.send_task(S + "work", (n,)) for n in range(10)]
    worker.send(signal.SIGTERM)
    until(lambda: worker.probe("readyz")[0] == 503, "it says that it drains")
    assert worker.probe("livez")[0] == 200
    assert app.broker.info("default").ready == 10
    (tmp_path / "go").touch()
    assert running.get(timeout=30) == 1
    assert worker.process.wait(30) == 0
    assert app.broker.info("default").in_flight == 0
    assert app.broker.liveness().owners() == []
    start_worker(redis_server, prefix)
    assert [result.get(timeout=30) for result in waiting] == list(range(10))
    assert sorted(runs(worker.ledger, "began")) == ["1"]


def test_a_task_that_outlasts_the_drain_goes_back_without_charge(
    redis_server: RedisServer, prefix: str, start_worker: Start, producer: Produce, tmp_path: Path
) -> None:
    app = producer(redis_server)
    result = app.send_task(S + "hold", (1, str(tmp_path)))
    for _ in range(4):  # more often than max_deliveries
        worker = start_worker(redis_server, prefix, "--drain-timeout", "0.2")
        _pid_of(tmp_path, 1)
        (tmp_path / "running-1").unlink()
        assert worker.stop() == 0
    (tmp_path / "go").touch()
    start_worker(redis_server, prefix)
    assert result.get(timeout=30) == 1


def test_a_second_signal_is_cold(
    redis_server: RedisServer, prefix: str, start_worker: Start, producer: Produce, tmp_path: Path
) -> None:
    worker = start_worker(redis_server, prefix).wait_ready()
    app = producer(redis_server)
    result = app.send_task(S + "hold", (1, str(tmp_path)))
    _pid_of(tmp_path, 1)
    worker.send(signal.SIGINT)
    until(lambda: worker.events("worker.draining"), "it drains")
    worker.send(signal.SIGINT)
    assert worker.process.wait(30) == 0
    (tmp_path / "go").touch()
    start_worker(redis_server, prefix)
    assert result.get(timeout=30) == 1


def test_control_shutdown_ends_workers(
    redis_server: RedisServer, prefix: str, start_worker: Start, producer: Produce
) -> None:
    workers = [start_worker(redis_server, prefix).wait_ready() for _ in range(2)]
    producer(redis_server).control.shutdown()
    assert [worker.process.wait(30) for worker in workers] == [0, 0]


def test_a_restarted_container_takes_over_from_its_predecessor_at_once(
    redis_server: RedisServer, prefix: str, start_worker: Start, producer: Produce, tmp_path: Path
) -> None:
    pod = {"UMBEL_POD_UID": "5d1c3c62-0000-4000-8000-000000000001"}
    first = start_worker(redis_server, prefix, environment=pod).wait_ready()
    app = producer(redis_server)
    result = app.send_task(S + "hold", (1, str(tmp_path)))
    _pid_of(tmp_path, 1)
    (tmp_path / "running-1").unlink()
    first.kill()
    start_worker(redis_server, prefix, environment=pod).wait_ready()
    # For a heartbeat that is missing it would have to wait for ten seconds from now on.
    began = time.monotonic()
    _pid_of(tmp_path, 1)
    assert time.monotonic() - began < 8.0
    (tmp_path / "go").touch()
    assert result.get(timeout=30) == 1


def test_a_frozen_worker_wakes_up_buried_and_its_late_outcome_is_refused(
    redis_server: RedisServer, prefix: str, start_worker: Start, producer: Produce, tmp_path: Path
) -> None:
    frozen = start_worker(redis_server, prefix, concurrency=1).wait_ready()
    app = producer(redis_server)
    result = app.send_task(S + "hold", (1, str(tmp_path)))
    _pid_of(tmp_path, 1)
    (tmp_path / "running-1").unlink()
    pids = [frozen.pid, *frozen.children()]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        other = start_worker(redis_server, prefix, concurrency=1).wait_ready()
        _pid_of(tmp_path, 1, 40.0)
        (tmp_path / "go").touch()
        assert result.get(timeout=30) == 1
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
    # The zombie ends its run too, finds that the message is no longer its own, and goes on as a new owner.
    until(lambda: runs(frozen.ledger).count("1") == 2, "both runs are over")
    until(lambda: frozen.events("owner.lost"), "the zombie noticed")
    assert app.broker.info("default").in_flight == 0
    other.stop()
    assert app.send_task(S + "add", (1, 1)).get(timeout=30) == 2


def test_a_dead_zygote_is_begun_anew(
    redis_server: RedisServer, prefix: str, start_worker: Start, producer: Produce
) -> None:
    worker = start_worker(redis_server, prefix).wait_ready()
    app = producer(redis_server)
    liveness = app.broker.liveness()
    until(lambda: len(liveness.owners()) == 2, "both children are registered")
    children = {owner.pid for owner in liveness.owners()}
    (zygote,) = [pid for pid in worker.children() if pid not in children]
    os.kill(zygote, signal.SIGKILL)
    until(lambda: worker.events("zygote.died"), "the death was noticed")
    assert app.send_task(S + "add", (1, 1)).get(timeout=30) == 2
    for pid in children:
        os.kill(pid, signal.SIGKILL)
    assert app.send_task(S + "add", (2, 2)).get(timeout=40) == 4


def test_a_living_owner_is_not_buried_by_a_neighbours_reaper(
    redis_server: RedisServer, prefix: str, start_worker: Start, producer: Produce, tmp_path: Path
) -> None:
    start_worker(redis_server, prefix).wait_ready()
    other = start_worker(redis_server, prefix).wait_ready()
    app = producer(redis_server)
    result = app.send_task(S + "hold", (1, str(tmp_path)))
    _pid_of(tmp_path, 1)
    liveness = app.broker.liveness()
    until(lambda: len(liveness.owners()) == 4, "all children are registered")
    owners = {owner.id for owner in liveness.owners()}
    with pytest.raises(AssertionError):
        until(lambda: other.events("owner.buried"), "somebody is buried", seconds=13)
    assert {owner.id for owner in app.broker.liveness().owners()} == owners
    (tmp_path / "go").touch()
    assert result.get(timeout=30) == 1


def test_an_owner_that_died_between_registering_and_its_first_beat_is_buried(
    redis_server: RedisServer, prefix: str, start_worker: Start, producer: Produce
) -> None:
    app = producer(redis_server)
    app.broker.consumer(OwnerInfo("stillborn", ["default"], worker="nobody")).register()
    start_worker(redis_server, prefix)
    liveness = app.broker.liveness()
    until(lambda: "stillborn" not in [owner.id for owner in liveness.owners()], "it is being buried", 40)
    liveness.close()
    with redis_server.client() as client:
        until(lambda: not client.exists(f"{prefix}:{{default}}:o:stillborn"), "nothing is left of it")
