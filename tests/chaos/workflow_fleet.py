"""Workers that run workflows, an app that sends these, and what both leave behind."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Callable
from typing import Any

from tests.chaos.nested import nested
from tests.signatures import Shape
from tests.workers import Worker, runs, until

from umbel import AsyncResult, Umbel
from umbel.canvas.sending import send
from umbel.errors import OperationalError

#: Seconds for what has to happen in the end.
SECONDS = 60.0


class Fleet:
    """See the module.

    Args:
        server: where all of it happens: anything with ``url`` and ``client()``.
        prefix: of the keys.
        start: starts a worker.
        app: sends.
    """

    def __init__(self, server: Any, prefix: str, start: Callable[..., Worker], app: Umbel) -> None:
        self.server = server
        self.app = app
        self.workers: list[Worker] = []
        self._prefix = prefix
        self._start = start

    def start(self, app: str = "tests.workflow_app:app", *, at: Any = None, **options: Any) -> Worker:
        """Start one more worker, and wait until it is ready; ``at``: what it takes for the server."""
        worker = self._start(at or self.server, self._prefix, app=app, **options).wait_ready(40)
        self.workers.append(worker)
        return worker

    def noted(self, word: str) -> list[str]:
        """Return what tasks have noted under a word."""
        return runs(self.workers[0].ledger, word)

    def left(self) -> list[str]:
        """Return the keys that workflows have left, but for guards, which have a TTL."""
        with self.server.client() as client:
            names = [key.decode() for key in client.scan_iter(f"{self._prefix}:*", count=1000)]
            guards = [name for name in names if ":w:" in name]
            assert all(client.ttl(name) != -1 for name in guards)
        return [name for name in names if name.endswith((":graph", ":state", ":value"))]

    def wait_for_the_end(self) -> None:
        """Wait until no workflow is left."""
        until(lambda: not self.left(), f"no workflow is left: {self.left()}", SECONDS)

    def published_twice(self) -> dict[str, set[str]]:
        """Return the times at which tasks were published, by id, of those that have several; its deliveries share one."""
        found: dict[str, set[str]] = defaultdict(set)
        for line in self.noted("message"):
            task_id, enqueued = line.split()
            found[task_id].add(enqueued)
        return {task_id: times for task_id, times in found.items() if len(times) > 1}


def _sent(app: Umbel, shape: Shape) -> AsyncResult[Any] | None:
    """Send a workflow, and return None where the broker did not answer in time, as a frozen master does."""
    try:
        return send(app, shape)
    except OperationalError:
        return None


def go_on_after(fleet: Fleet, fail: Callable[[], None], promoted: Callable[[], bool]) -> None:
    """Fail a master under workflows: those that are sent later are right, and none of the earlier ones has a wrong end.

    Asynchronous replication may lose the last steps of what runs: such a workflow has no end.

    Args:
        fleet: without workers.
        fail: kills or freezes the master.
        promoted: whether a replica has taken its place.
    """
    for _ in range(2):
        fleet.start()
    draw = random.Random(3)
    sent = [nested(draw, 2) for _ in range(60)]
    results = [send(fleet.app, signature) for signature, _ in sent]
    until(lambda: len(fleet.noted("message")) >= 60, "they are at it")
    fail()
    until(promoted, "a replica is promoted", 40)
    later = [nested(draw, 2) for _ in range(20)]
    found = [until(lambda shape=shape: _sent(fleet.app, shape), "it is sent", SECONDS) for shape, _ in later]  # type: ignore[misc]
    assert [result.get(timeout=SECONDS, follow_parents=False) for result in found] == [value for _, value in later]

    def waiting() -> int:
        info = fleet.app.broker.info("default")
        return info.ready + info.delayed + info.in_flight

    until(lambda: waiting() == 0, "all is worked off", SECONDS)
    ended = [(result, value) for result, (_, value) in zip(results, sent, strict=True) if result.ready()]
    assert ended, "some ended before"
    assert all(result.get(follow_parents=False) == value for result, value in ended)
