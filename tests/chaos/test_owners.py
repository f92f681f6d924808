"""Who owns a task when somebody dies, freezes or cannot be heard, with real processes and real signals."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.chaos.proxy import Act, ChaosProxy
from tests.integration.beat.process import BeatProcess
from tests.redis_server import RedisServer
from tests.workers import Worker, runs, until

from umbel import Umbel, record
from umbel.message import decode
from umbel.redis import keys, scripts

S = "tests.sample_app."
POD = "5d1c3c62-0000-4000-8000-000000000004"
Start = Callable[..., Worker]
Produce = Callable[..., Umbel]


def _running(folder: Path, number: int, seconds: float = 40.0) -> int:
    """Wait until a task of `hold` runs, and forget that it said so; return its process."""
    path = folder / f"running-{number}"
    pid = int(until(lambda: path.exists() and path.read_text(), f"task {number} runs", seconds))
    path.unlink()
    return pid


def _signal(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        os.kill(pid, number)


def test_a_long_task_that_holds_the_interpreter_is_not_taken_for_dead(
    redis_server: RedisServer, prefix: str, start_worker: Start, producer: Produce
) -> None:
    """Nothing of its process runs for longer than a reaper's patience: the supervisor beats for it."""
    hostile = {"app": "tests.hostile_app:app"}
    workers = [start_worker(redis_server, prefix, concurrency=1, **hostile).wait_ready() for _ in range(2)]
    result = producer(redis_server).send_task("tests.hostile_app.holds_the_interpreter", (13,))
    assert result.get(timeout=30) == 13
    assert [worker.events("owner.buried") + worker.events("owner.lost") for worker in workers] == [[], []]


def test_a_silent_owner_is_buried_while_its_child_still_runs(
    redis_server: RedisServer, prefix: str, start_worker: Start, producer: Produce, tmp_path: Path
) -> None:
    """Only the supervisor is frozen: nobody beats, so the task goes to a neighbour, and the child's outcome is refused."""
    silent = start_worker(redis_server, prefix, concurrency=1).wait_ready()
    neighbour = start_worker(redis_server, prefix, concurrency=1).wait_ready()
    app = producer(redis_server)
    blocker = app.send_task(S + "hold", (2, str(tmp_path)))
    result = app.send_task(S + "hold", (1, str(tmp_path)))
    pids = {number: _running(tmp_path, number) for number in (1, 2)}
    number = 1 if pids[1] in silent.children() else 2
    mine, other = (result, blocker) if number == 1 else (blocker, result)
    silent.send(signal.SIGSTOP)
    began = time.monotonic()
    try:
        start_worker(redis_server, prefix, concurrency=1).wait_ready()
        assert _running(tmp_path, number) != pids[number]
        assert 6.0 < time.monotonic() - began < 30.0
        (tmp_path / "go").touch()
        until(lambda: silent.events("owner.lost"), "the child finds out")
        assert [mine.get(timeout=30), other.get(timeout=30)] == [number, 3 - number]
        until(lambda: len(runs(silent.ledger)) == 3, "both runs of it are over")
        with redis_server.client() as client:
            stored = record.decode(client.get(keys.result(prefix, mine.id)))
        assert stored.attempt == 1, "the answer is that of the run after the burial"
    finally:
        silent.send(signal.SIGCONT)
    assert neighbour.stop() == 0
    assert app.send_task(S + "add", (1, 1)).get(timeout=30) == 2


@pytest.mark.timeout(120)
def test_a_worker_that_was_frozen_for_30_seconds_comes_back_as_another_owner(
    redis_server: RedisServer, prefix: str, start_worker: Start, producer: Produce, tmp_path: Path
) -> None:
    frozen = start_worker(redis_server, prefix, concurrency=1).wait_ready()
    app = producer(redis_server)
    liveness = app.broker.liveness()
    (before,) = until(liveness.owners, "it is registered")
    result = app.send_task(S + "hold", (1, str(tmp_path)))
    _running(tmp_path, 1)
    pids = [frozen.pid, *frozen.children()]
    _signal(pids, signal.SIGSTOP)
    began = time.monotonic()
    try:
        neighbour = start_worker(redis_server, prefix, concurrency=1).wait_ready()
        _running(tmp_path, 1)
        (tmp_path / "go").touch()
        assert result.get(timeout=30) == 1
        others = [app.send_task(S + "work", (number,)) for number in range(10, 30)]
        assert [other.get(timeout=30) for other in others] == list(range(10, 30))
        time.sleep(max(0.0, began + 30.0 - time.monotonic()))  # the row says thirty
    finally:
        _signal(pids, signal.SIGCONT)
    until(lambda: frozen.events("owner.lost"), "it finds itself buried")
    assert neighbour.stop() == 0
    assert app.send_task(S + "add", (1, 1)).get(timeout=30) == 2
    (after,) = liveness.owners()
    liveness.close()
    assert (after.pid, after.id == before.id) == (before.pid, False)
    assert result.get(timeout=30) == 1
    info = app.broker.info("default")
    assert (info.ready, info.in_flight, info.dead) == (0, 0, 0)
    until(
        lambda: runs(frozen.ledger).count("1") == 2, "both have run"
    )  # the zombie's run ended too, and counted for nothing


def test_a_vanished_pod_that_was_reported_is_back_within_6_seconds(
    redis_server: RedisServer, prefix: str, start_worker: Start, producer: Produce, tmp_path: Path, beat: BeatProcess
) -> None:
    """A node is gone: nobody on it says anything any more. The operator tells beat, which needs no full patience then."""
    app = producer(redis_server)
    lost = start_worker(redis_server, prefix, environment={"UMBEL_POD_UID": POD}).wait_ready()
    start_worker(redis_server, prefix).wait_ready()
    until(lambda: len(app.broker.liveness().owners()) == 4, "all are registered")
    results = [app.send_task(S + "hold", (number, str(tmp_path))) for number in (1, 2, 3, 4)]
    pids = {number: _running(tmp_path, number) for number in (1, 2, 3, 4)}
    children = lost.children()
    gone = [number for number, pid in pids.items() if pid in children]
    assert len(gone) == 2
    _signal([*children, lost.pid], signal.SIGKILL)
    killed = time.monotonic()
    assert beat.post("/v1/pods/gone", f'{{"uids": ["{POD}"]}}'.encode())[0] == 202
    until(lambda: app.broker.info("default").ready == len(gone), "they are back")
    # Six are promised on a machine that is not busy; by the missing heartbeats alone it would take eight at the least.
    assert time.monotonic() - killed < 7.5
    (tmp_path / "go").touch()
    assert sorted(result.get(timeout=30) for result in results) == [1, 2, 3, 4]


def test_beat_buries_where_no_worker_is_left(
    redis_server: RedisServer, prefix: str, start_worker: Start, producer: Produce, tmp_path: Path, beat: BeatProcess
) -> None:
    app = producer(redis_server)
    worker = start_worker(redis_server, prefix, concurrency=1).wait_ready()
    app.send_task(S + "hold", (1, str(tmp_path)))
    _running(tmp_path, 1)
    worker.kill()
    killed = time.monotonic()
    until(lambda: app.broker.info("default").ready == 1, "it is back", 40)
    assert time.monotonic() - killed < 25.0
    liveness = app.broker.liveness()
    until(lambda: not liveness.owners() and not liveness.dying(), "nobody is left")
    liveness.close()


def test_a_supervisor_without_redis_for_8_seconds_lets_no_task_start(
    redis_server: RedisServer, prefix: str, start_worker: Start, producer: Produce, tmp_path: Path
) -> None:
    """Its children reach Redis, it does not: others are about to bury them, so they start nothing until it is back."""
    proxy = ChaosProxy(redis_server.port)
    proxy.start()
    app = producer(redis_server)
    try:
        worker = start_worker(proxy, prefix).wait_ready()
        running = app.send_task(S + "hold", (1, str(tmp_path)))
        _running(tmp_path, 1)

        def only_the_supervisor(command: list[bytes]) -> Act:
            beats = command[0] == b"EVALSHA" and command[1] == scripts.beat.sha
            return Act.CUT_BEFORE if beats or command[:2] == [b"INFO", b"server"] else Act.PASS

        proxy.rule = only_the_supervisor
        cut = time.monotonic()
        assert app.send_task(S + "work", (2,)).get(timeout=20) == 2  # not yet
        until(lambda: worker.events("worker.holding"), "it holds")
        assert 5.0 < time.monotonic() - cut < 20.0
        assert worker.probe("readyz")[0] == 503
        assert worker.probe("livez")[0] == 200
        time.sleep(0.2)  # a task that was just beginning
        before = len(runs(worker.ledger))
        waiting = [app.send_task(S + "work", (number,)) for number in range(10, 20)]
        time.sleep(1.5)  # the measure: nothing begins in this time
        assert len(runs(worker.ledger)) == before
        proxy.rule = lambda command: Act.PASS
        assert [result.get(timeout=30) for result in waiting] == list(range(10, 20))
        until(lambda: worker.events("worker.goes_on"), "it says so, a moment later")
        assert worker.probe("readyz")[0] == 200
        (tmp_path / "go").touch()
        assert running.get(timeout=30) == 1  # what ran before was left alone
    finally:
        proxy.stop()


def test_a_scale_in_that_outlasts_the_grace_period_three_times_charges_nobody(
    redis_server: RedisServer, prefix: str, start_worker: Start, producer: Produce, tmp_path: Path
) -> None:
    app = producer(redis_server)
    result = app.send_task(S + "hold", (1, str(tmp_path)))
    for _ in range(3):
        worker = start_worker(redis_server, prefix, "--drain-timeout", "0.2", concurrency=1)
        _running(tmp_path, 1)
        assert worker.stop() == 0
        assert worker.events("worker.hands_back")
    with redis_server.client() as client:
        (raw,) = client.lrange(keys.queue(prefix, "default").ready[5], 0, -1)
    message = decode(raw)
    assert (message.requeues, message.lost, message.suspect) == (3, 0, 0)
    (tmp_path / "go").touch()
    start_worker(redis_server, prefix, concurrency=1)
    assert result.get(timeout=30) == 1
    assert app.broker.info("default").dead == 0


def test_a_child_that_was_stopped_under_a_living_supervisor_is_killed_on_request(
    redis_server: RedisServer, prefix: str, start_worker: Start, producer: Produce, tmp_path: Path
) -> None:
    """Nobody buries its owner, for the supervisor beats: without the request its task waits for as long as it does."""
    worker = start_worker(redis_server, prefix, "--kill-stopped-after", "1.5").wait_ready()
    result = producer(redis_server).send_task(S + "hold", (1, str(tmp_path)))
    stopped = _running(tmp_path, 1)
    os.kill(stopped, signal.SIGSTOP)
    assert _running(tmp_path, 1) != stopped
    (told,) = worker.events("child.stopped")
    assert told["child"] == stopped
    assert "kill -CONT" in told["hint"]
    (tmp_path / "go").touch()
    assert result.get(timeout=30) == 1


def test_an_exclusive_task_is_ended_before_others_may_begin_it(
    redis_server: RedisServer, prefix: str, start_worker: Start, producer: Produce, tmp_path: Path
) -> None:
    """Its supervisor has lost Redis, so a neighbour is about to bury it: it ends now, and what is not exclusive goes on."""
    proxy = ChaosProxy(redis_server.port)
    proxy.start()
    app = producer(redis_server)
    try:
        cut_off = start_worker(proxy, prefix).wait_ready()
        exclusive = app.send_task(S + "holds_alone", (1, str(tmp_path)))
        other = app.send_task(S + "hold", (2, str(tmp_path)))
        first, second = _running(tmp_path, 1), _running(tmp_path, 2)
        neighbour = start_worker(redis_server, prefix, concurrency=2).wait_ready()
        proxy.refuse()
        until(lambda: not Path(f"/proc/{first}").exists(), "the exclusive task is ended")
        (ended,) = cut_off.events("task.ended_exclusive")
        assert Path(f"/proc/{second}").exists()
        assert _running(tmp_path, 1) not in (first, second)
        buried = until(lambda: neighbour.events("owner.buried"), "the burial is told, a moment later")
        assert all(event["time"] > ended["time"] for event in buried), "before anybody may have taken it over"
        (tmp_path / "go").touch()
        assert exclusive.get(timeout=30) == 1
        proxy.accept()
        assert other.get(timeout=30) == 2
        with redis_server.client() as client:
            stored = record.decode(client.get(keys.result(prefix, exclusive.id)))
        assert stored.state == "SUCCESS"
    finally:
        proxy.stop()


def test_an_exclusive_task_of_a_frozen_worker_ends_when_that_wakes_up_buried(
    redis_server: RedisServer, prefix: str, start_worker: Start, producer: Produce, tmp_path: Path
) -> None:
    app = producer(redis_server)
    frozen = start_worker(redis_server, prefix, concurrency=1).wait_ready()
    result = app.send_task(S + "holds_alone", (1, str(tmp_path)))
    first = _running(tmp_path, 1)
    pids = [frozen.pid, *frozen.children()]
    _signal(pids, signal.SIGSTOP)
    try:
        start_worker(redis_server, prefix, concurrency=1).wait_ready()
        _running(tmp_path, 1)
    finally:
        _signal(pids, signal.SIGCONT)
    until(lambda: not Path(f"/proc/{first}").exists(), "the zombie is ended")
    assert frozen.events("task.ended_exclusive")
    (tmp_path / "go").touch()
    assert result.get(timeout=30) == 1
    assert runs(frozen.ledger).count("1") == 1
