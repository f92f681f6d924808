"""What waits, and for how long: outcomes beside a long task, delayed tasks of several queues, retries, a slow import."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path

from tests.chaos.proxy import Act, ChaosProxy
from tests.redis_server import RedisServer
from tests.workers import Worker, until

from umbel import Umbel
from umbel.redis import scripts

S = "tests.sample_app."
Start = Callable[..., Worker]
Produce = Callable[..., Umbel]


def test_an_outcome_never_waits_behind_a_long_task_though_the_connection_breaks(
    redis_server: RedisServer, prefix: str, start_worker: Start, producer: Produce, tmp_path: Path
) -> None:
    proxy = ChaosProxy(redis_server.port)
    proxy.start()
    try:
        start_worker(redis_server, prefix, concurrency=1, environment={"UMBEL_BROKER_URL": proxy.url}).wait_ready()
        app = producer(redis_server)
        for result in [app.send_task(S + "add", (n, 0)) for n in range(200)]:
            result.get(timeout=20)

        def cut_the_helpers_first_report(command: list[bytes]) -> Act:
            if command[0] != b"EVALSHA" or command[1] != scripts.cycle.sha or proxy.cut.total():
                return Act.PASS
            want, outcomes, *first = command[3 + int(command[2]) :]
            return Act.CUT_BEFORE if want == b"0" and outcomes != b"0" and first[0] == b"a" else Act.PASS

        proxy.rule = cut_the_helpers_first_report
        for turn in range(10):
            folder = tmp_path / str(turn)
            folder.mkdir()
            with app.batch():
                before = app.send_task(S + "add", (20, 22))
                long = app.send_task(S + "hold", (1, str(folder)))
            until((folder / "running-1").exists, "the long task runs")
            assert before.get(timeout=20) == 42
            (folder / "go").touch()
            assert long.get(timeout=20) == 1
            if proxy.cut.total():  # not so where a busy machine made the child fetch one by one
                return
            for result in [app.send_task(S + "add", (n, 0)) for n in range(200)]:
                result.get(timeout=20)
        raise AssertionError("the helper never reported beside the long task")
    finally:
        proxy.stop()


def test_a_delayed_task_is_in_time_for_a_worker_of_several_queues(
    redis_server: RedisServer, prefix: str, start_worker: Start, producer: Produce
) -> None:
    start_worker(redis_server, prefix, "--queues", "default,other", concurrency=1).wait_ready()
    app = producer(redis_server)
    taken = []
    for _ in range(3):  # a busy machine is slow now and then; who sleeps on for two seconds does so each time
        app.send_task(S + "add", (1, 1), queue="other").get(timeout=30)
        began = time.monotonic()
        assert app.send_task(S + "add", (1, 1), queue="other", countdown=0.3).get(timeout=30) == 2
        taken.append(time.monotonic() - began)
        if taken[-1] < 1.5:
            break
    assert 0.3 <= min(taken) < 1.5


def test_a_retry_is_in_time_for_a_neighbour_when_its_own_child_is_busy(
    redis_server: RedisServer, prefix: str, start_worker: Start, producer: Produce, tmp_path: Path
) -> None:
    """Who puts a message into the delayed set is busy for long afterwards: the others must learn when it is due."""
    app = producer(redis_server)
    retried = app.send_task(S + "never_succeeds", priority=9)
    held = [app.send_task(S + "hold", (number, str(tmp_path))) for number in range(2)]
    start_worker(redis_server, prefix, concurrency=1)
    until((tmp_path / "running-0").exists, "the first child is busy")
    # What it reports now, with its helper, is a retry; the second worker's child waits for a bell.
    start_worker(redis_server, prefix, concurrency=2).wait_ready()
    until((tmp_path / "running-1").exists, "one more is busy")
    assert "never" in str(retried.get(timeout=20, propagate=False))
    (tmp_path / "go").touch()
    assert sorted(result.get(timeout=20) for result in held) == [0, 1]


def test_sigterm_is_heard_while_the_app_is_imported(
    redis_server: RedisServer, prefix: str, start_worker: Start, tmp_path: Path
) -> None:
    """As process 1 of a container it would otherwise not even see the signal: the kernel drops what has no handler."""
    begun = tmp_path / "importing"
    (tmp_path / "slow_app.py").write_text(f"import time\nopen({str(begun)!r}, 'w').close()\ntime.sleep(60)\n")
    worker = start_worker(redis_server, prefix, app="slow_app:app", environment={"PYTHONPATH": str(tmp_path)})
    until(begun.exists, "the import has begun")
    (caught,) = [
        int(line.split()[1], 16)
        for line in Path(f"/proc/{worker.pid}/status").read_text().splitlines()
        if line.startswith("SigCgt")
    ]
    assert caught & (1 << (signal.SIGTERM - 1))
    assert worker.stop(30) == 128 + signal.SIGTERM
    assert "Traceback" not in worker.log.read_text()
