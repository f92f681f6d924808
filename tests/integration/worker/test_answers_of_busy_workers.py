"""Workers answer at once, whatever their children do: supervisors answer, which run no tasks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.chaos.proxy import ChaosProxy
from tests.redis_server import RedisServer
from tests.workers import Worker, until

from umbel import Umbel

S = "tests.sample_app."
Start = Callable[..., Worker]
Produce = Callable[..., Umbel]

#: What is promised, in seconds.
AT_ONCE = 0.2


@pytest.fixture
def proxy(redis_server: RedisServer) -> Iterator[ChaosProxy]:
    proxy = ChaosProxy(redis_server.port)
    proxy.start()
    yield proxy
    proxy.stop()


def answered_at_once(ask: Callable[[], Any]) -> None:
    """Ask until an answer comes at once: a busy machine is slow now and then, who waits for a child is so each time."""

    def at_once() -> bool:
        begun = time.monotonic()
        assert ask()
        return time.monotonic() - begun < AT_ONCE

    until(at_once, f"an answer within {AT_ONCE:g} s")


def test_answers_within_200_ms_while_every_child_computes(
    redis_server: RedisServer, prefix: str, start_worker: Start, producer: Produce, tmp_path: Path
) -> None:
    # Given a worker whose four children compute, and a task more
    worker = start_worker(redis_server, prefix, concurrency=4).wait_ready()
    app = producer(redis_server)
    sent = [app.send_task(S + "compute", (number, str(tmp_path))).id for number in range(4)]
    until(lambda: len(list(tmp_path.glob("running-*"))) == 4, "all children compute")
    waiting = app.send_task(S + "add", (1, 2), countdown=100).id
    # Then each question is answered, and at once
    inspect = app.control.inspect(timeout=20.0)
    name = worker.hostname
    active = inspect.active()[name]
    assert sorted(info["id"] for info in active) == sorted(sent)
    assert all(info["runtime"] >= 0 and abs(info["time_start"] - time.time()) < 60 for info in active)
    assert [item["request"]["id"] for item in inspect.scheduled()[name]] == [waiting]
    assert inspect.reserved() == {name: []}
    assert inspect.query_task(sent[0], "unknown")[name][sent[0]][0] == "active"
    stats = inspect.stats()[name]
    assert (stats["busy"], stats["slots"], stats["pid"]) == (4, 4, worker.pid)
    assert S + "compute" in inspect.registered()[name]
    assert inspect.conf()[name]["result_expires"] == 600
    assert [queue["name"] for queue in inspect.active_queues()[name]] == ["default"]
    assert S + "add" in inspect.report()[name]["ok"]
    for ask in (inspect.ping, inspect.active, inspect.stats, inspect.registered, inspect.conf):
        answered_at_once(ask)
    (tmp_path / "go").touch()


def test_answers_once_the_way_to_redis_is_made_anew(
    redis_server: RedisServer,
    proxy: ChaosProxy,
    prefix: str,
    start_worker: Start,
    producer: Produce,
    tmp_path: Path,
) -> None:
    # Given a worker whose only child is busy, and whose way to Redis is cut
    worker = start_worker(proxy, prefix, concurrency=1).wait_ready()
    app = producer(redis_server)
    task = app.send_task(S + "compute", (1, str(tmp_path)))
    until(lambda: (tmp_path / "running-1").exists(), "it computes")
    for _ in range(5):
        proxy.cut_all()
        # Then a question in that very moment is answered, once the worker listens again
        assert app.control.inspect(timeout=20.0).ping() == {worker.hostname: {"ok": "pong"}}
        answered_at_once(app.control.inspect(timeout=20.0).active)
    # And also after a while without Redis
    proxy.refuse()
    assert app.control.inspect(timeout=0.3).ping() is None
    proxy.accept()
    assert app.control.inspect(timeout=20.0).ping() == {worker.hostname: {"ok": "pong"}}
    (tmp_path / "go").touch()
    assert task.get(timeout=20) == 1
