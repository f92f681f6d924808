"""Janitors of own queues that die half-way, and what waits elsewhere for the tasks that end with a queue."""

from __future__ import annotations

import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from tests.redis_server import RedisServer
from tests.workers import ROOT

from umbel import Umbel, chain, worker_direct
from umbel.broker.memory import MemoryBroker
from umbel.clock import SYSTEM_CLOCK
from umbel.control.abandoned import OwnQueueJanitor
from umbel.errors import WorkerLostError
from umbel.results.memory import MemoryResults
from umbel.storing import store_elsewhere
from umbel.testing import InMemoryWorker

#: A janitor that is killed in the middle of a queue: before what it has put aside is told, or after some of it.
DIES = """
import os, signal, sys
from umbel.broker.redis import RedisBroker
from umbel.broker.redis.ownqueues import RedisOwnQueues
from umbel.clock import SYSTEM_CLOCK
from umbel.control import abandoned

url, prefix, queue, settled = sys.argv[1:]
abandoned.ASIDE, left = 10, int(settled)
settle = RedisOwnQueues.settle

def dying(self, queue, outcomes):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    settle(self, queue, outcomes)

RedisOwnQueues.settle = dying
abandoned.OwnQueueJanitor(RedisBroker(url, prefix=prefix), lambda: 1.0, 60.0, SYSTEM_CLOCK).end(queue)
"""


@pytest.mark.parametrize("settled", [0, 2])
def test_a_janitor_that_is_killed_half_way_is_followed_by_another_one(
    redis_server: RedisServer, prefix: str, settled: int
) -> None:
    with Umbel("producer", broker=redis_server.url, key_prefix=prefix, set_as_current=False) as app:
        gone = worker_direct("w@gone")
        sent = [app.send_task("x", (number,), queue=gone) for number in range(50)]
        arguments = [redis_server.url, prefix, gone.name, str(settled)]
        died = subprocess.run([sys.executable, "-c", DIES, *arguments], cwd=ROOT, check=False)
        assert died.returncode == -9
        info = app.broker.info(gone.name)
        assert (info.dead, info.in_flight, info.ready) == (10 * settled, 10, 40 - 10 * settled)
        OwnQueueJanitor(app.broker, lambda: 1.0, 60.0, SYSTEM_CLOCK).end(gone.name)
        letters = [letter.reason["id"] for letter in app.broker.dead(gone.name, 100)]
        assert sorted(letters) == sorted(result.id for result in sent)
        for result in sent:
            with pytest.raises(WorkerLostError, match="w@gone"):
                result.get(timeout=20)


@pytest.fixture
def app() -> Iterator[Umbel]:
    with Umbel("owned", broker=f"memory://{uuid.uuid4().hex}", set_as_current=False) as app:
        yield app


def test_a_workflow_hears_of_a_step_whose_worker_is_gone(app: Umbel) -> None:
    told: list[Any] = []

    @app.task
    def one() -> int:
        return 1

    @app.task
    def failed(request: Any, error: BaseException, trace: Any) -> None:
        told.append(error)

    gone = worker_direct("gone")
    result = chain(one.s(), one.si().set(queue=gone), one.si()).on_error(failed.s()).apply_async()
    InMemoryWorker(app).run()
    OwnQueueJanitor(app.broker, lambda: 1.0, 60.0, SYSTEM_CLOCK).end(gone.name)
    with pytest.raises(WorkerLostError, match="'gone' is gone"):
        result.get(timeout=5)
    InMemoryWorker(app).run()
    assert [type(error) for error in told] == [WorkerLostError]


def test_results_that_are_elsewhere_are_told_there() -> None:
    name = uuid.uuid4().hex
    with ExitStack() as closing:
        results = MemoryResults(f"memory://results-{name}")
        closing.callback(results.close)
        inner = MemoryBroker(f"memory://{name}")
        app = closing.enter_context(Umbel("owned", broker=f"memory://{name}", set_as_current=False))
        sent = app.send_task("x", queue=worker_direct("gone"))
        OwnQueueJanitor(store_elsewhere(inner, lambda: results), lambda: 1.0, 60.0, SYSTEM_CLOCK).end("gone.dq2")
        record = results.get(sent.id)
        assert record is not None
        assert record.state == "FAILURE"
        assert [letter.reason["reason"] for letter in inner.dead("gone.dq2")] == ["WorkerGone"]
