"""Queues are purged in which workflows wait: these end, and whoever waits is told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tests.redis_server import RedisServer
from tests.signatures import chain, chord, task
from tests.workers import Worker, runs, until

from umbel import Umbel
from umbel.canvas.sending import send
from umbel.errors import ChordError, TaskRevokedError

SECONDS = 60.0


@pytest.fixture
def app(producer: Callable[..., Umbel], redis_server: RedisServer) -> Umbel:
    """An app whose workflows leave nothing; no worker is there."""
    return producer(redis_server, workflow_kept=0)


@pytest.fixture
def left(redis_server: RedisServer, prefix: str) -> Callable[[], list[str]]:
    """Return the keys of workflows that are there."""

    def look() -> list[str]:
        with redis_server.client() as client:
            names = [key.decode() for key in client.scan_iter(f"{prefix}:*", count=1000)]
        return [name for name in names if name.endswith((":graph", ":state", ":value"))]

    return look


def test_a_task_that_is_purged_is_told_of(app: Umbel) -> None:
    result, later = send(app, task("add", 1, 1)), send(app, task("add", 1, 1, options={"countdown": 3600}))
    assert app.control.purge(["default"]) == 2
    for purged in (result, later):
        with pytest.raises(TaskRevokedError, match="'default' was purged"):
            purged.get(timeout=SECONDS)


def test_a_workflow_that_is_purged_ends(app: Umbel, left: Callable[[], list[str]]) -> None:
    sent = [
        send(app, chain(task("add", 1, 1), task("add", 1), task("add", 1))),
        send(app, chord([task("add", n, 1) for n in range(3)], task("total"))),
        send(
            app, chain(task("add", 1, 1), chord([task("add", 1), chain(task("add", 2), task("add", 3))], task("total")))
        ),
    ]
    assert left()
    app.control.purge(["default"])
    for result in sent:
        with pytest.raises((TaskRevokedError, ChordError), match="'default' was purged"):
            result.get(timeout=SECONDS, follow_parents=False)
    assert left() == []


def test_purging_the_queue_of_one_member_ends_the_workflow(
    app: Umbel,
    left: Callable[[], list[str]],
    redis_server: RedisServer,
    prefix: str,
    start_worker: Callable[..., Worker],
) -> None:
    elsewhere: dict[str, Any] = {"queue": "elsewhere"}
    result = send(app, chord([task("add", 1, 1), task("add", 2, 2, options=elsewhere)], task("total")))
    worker = start_worker(redis_server, prefix, app="tests.workflow_app:app").wait_ready()
    until(lambda: runs(worker.ledger, "add") and app.broker.info("default").in_flight == 0, "the other member has run")
    assert app.control.purge(["elsewhere"]) == 1
    with pytest.raises(ChordError, match="'elsewhere' was purged"):
        result.get(timeout=SECONDS, follow_parents=False)
    until(lambda: not left(), f"nothing is left: {left()}")
    assert not runs(worker.ledger, "total")


def test_who_is_not_to_be_told_is_not(app: Umbel) -> None:
    result = send(app, task("add", 1, 1))
    assert app.control.purge(["default"], tell=False) == 1
    assert result.state == "PENDING"
