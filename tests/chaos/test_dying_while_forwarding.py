"""A worker that dies between forwarding a dead letter and reporting it forwards it neither never nor twice."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from tests.redis_server import RedisServer
from tests.workers import Worker, runs, until

from umbel import Reject, Umbel


def test_killed_between_forwarding_and_reporting(
    redis_server: RedisServer, prefix: str, start_worker: Callable[..., Worker], producer: Callable[..., Umbel]
) -> None:
    app = producer(redis_server)
    app.broker.configure("default", {"dead_policy": "Forward", "dead_forward": "graveyard"}, 1)
    worker = start_worker(redis_server, prefix, "--queues", "default", app="tests.forwarding_app:app", concurrency=1)
    result = app.send_task("tests.forwarding_app.refuse")
    with pytest.raises(Reject):
        result.get(timeout=30)
    until(lambda: app.broker.info("default").in_flight == 0, "it was reported")
    assert len(worker.events("child.died")) == 2
    assert len(worker.events("dead.forwarded")) == 1
    info = app.broker.info("graveyard")
    assert (info.ready, info.delayed, info.dead) == (1, 0, 0)
    assert app.broker.info("default").dead == 0
    assert runs(worker.ledger, "began") == []
