"""Commands of an app's own run beside the worker's work, and cannot hurt it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.redis_server import RedisServer
from tests.workers import Worker, until

from umbel import Umbel

S = "tests.sample_app."


@pytest.fixture
def worker(
    redis_server: RedisServer, prefix: str, start_worker: Callable[..., Worker], request: pytest.FixtureRequest
) -> Worker:
    environment = getattr(request, "param", {})
    return start_worker(
        redis_server, prefix, app="tests.commanded_app:app", concurrency=1, environment=environment
    ).wait_ready()


@pytest.fixture
def app(producer: Callable[..., Umbel], redis_server: RedisServer, worker: Worker) -> Umbel:
    return producer(redis_server)


@pytest.mark.parametrize("worker", [{}, {"COMMANDED_THREAD": "1"}], ids=["forked", "anew"], indirect=True)
def test_a_command_runs_while_the_only_child_is_busy(app: Umbel, worker: Worker, tmp_path: Path) -> None:
    app.send_task(S + "compute", (1, str(tmp_path)))
    until(lambda: (tmp_path / "running-1").exists(), "the child computes")
    (busy,) = app.control.inspect(timeout=20.0).stats()[worker.hostname]["pool"]["processes"]
    for name in ("primes", "p"):
        answer = app.control.inspect(timeout=20.0).ask(name, count=4)[worker.hostname]
        assert answer["primes"] == [2, 3, 5, 7]
        assert (answer["hostname"], answer["queues"], answer["pids"]) == (worker.hostname, ["default"], [busy])
        assert answer["pid"] not in (busy, worker.pid)
    (tmp_path / "go").touch()


def test_what_goes_wrong_in_a_command_is_its_answer(app: Umbel, worker: Worker) -> None:
    def tell(command: str, arguments: dict[str, Any] | None = None, timeout: float = 20.0) -> Any:
        (answer,) = app.control.broadcast(command, arguments, reply=True, timeout=timeout)
        return answer[worker.hostname]

    def naps_for_too_long() -> Any:
        """On a busy machine the answer may come when nobody waits for it any more."""
        told = app.control.broadcast("nap", {"seconds": 60}, reply=True, timeout=2.0)
        return told[0][worker.hostname] if told else None

    assert tell("shout", {"words": ["a", "b"]}) == {"ok": "A B"}
    assert tell("breaks") == {"error": "ValueError: as asked"}
    assert "unexpected keyword argument 'nonsense'" in tell("shout", {"nonsense": 1})["error"]
    assert "ended without an answer" in tell("dies")["error"]
    assert "answer with less" in tell("much")["error"]
    # One that takes too long is ended, and the worker is as it was
    assert "longer than 1.7 s and was ended" in until(naps_for_too_long, "an answer before who asked gives up")["error"]
    until(lambda: len(worker.children()) == 2, "only the zygote and the child are left")
    assert app.send_task(S + "add", (1, 2)).get(timeout=20) == 3


def test_commands_under_way_are_bounded(app: Umbel, worker: Worker) -> None:
    for _ in range(4):
        app.control.broadcast("rests", {"seconds": 60})
    (answer,) = app.control.broadcast("nap", {"seconds": 0}, reply=True, timeout=20)
    assert "4 commands are under way" in answer[worker.hostname]["error"]
    assert app.control.inspect(timeout=20).ping() == {worker.hostname: {"ok": "pong"}}


def test_commands_on_the_command_line(app: Umbel, worker: Worker) -> None:
    def umbel(*arguments: str, code: int = 0) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "umbel", *arguments],
            env={**os.environ, **worker.environment},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == code, (done.stdout, done.stderr)
        return done.stdout + done.stderr

    named = ("-A", "tests.commanded_app:app")
    listed = umbel(*named, "inspect", "--list")
    assert "primes" in listed
    assert "[COUNT=3]" in listed
    assert "List the first primes." in listed
    assert "Sleep for a while." in umbel(*named, "control", "--help")
    assert "primes: 2, 3" in umbel(*named, "inspect", "primes", "2", "-t", "20")
    assert json.loads(umbel(*named, "inspect", "-j", "primes", "2", "-t", "20"))[worker.hostname]["primes"] == [2, 3]
    assert umbel(*named, "control", "shout", "a", "b", "-t", "20") == f"{worker.hostname}: OK, A B\n"
    assert "ValueError: as asked" in umbel(*named, "control", "breaks", "-t", "20", code=1)
    assert "count takes int, not 'x'" in umbel(*named, "inspect", "primes", "x", code=2)
    assert "need its name: umbel -A" in umbel("inspect", "primes", code=2)
