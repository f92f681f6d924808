"""Umbel, with its defaults."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.adapter import Peer, Place, Producer, Role, TaskName


class UmbelProducer(Producer):
    """`delay`, `get`, and `app.batch()` for many."""

    def __init__(self, payload: int = 0) -> None:
        from benchmarks.peers.umbel import tasks

        self._tasks: dict[str, Any] = tasks.TASKS
        self._app: Any = tasks.app
        self._payload = "x" * payload

    def send(self, task: TaskName, number: int) -> str:
        """Enqueue by `delay`."""
        return str(self._tasks[task].delay(number).id)

    def send_many(self, task: TaskName, numbers: Sequence[int]) -> Sequence[str]:
        """Enqueue inside `app.batch()`."""
        return [result.id for result in self._send_many(task, numbers)]

    def round_trip(self, number: int, timeout: float) -> object:
        """`delay` and `get`."""
        result: object = self._tasks["noop"].delay(number).get(timeout=timeout)
        return result

    def stored(self, task_id: str) -> object:
        """Read what the backend holds."""
        result: object = self._app.AsyncResult(task_id).get(timeout=1)
        return result

    def wait_for_many(self, numbers: Sequence[int], waiting: Callable[[], None], timeout: float) -> Sequence[object]:
        """Await all at the same time."""
        results = self._send_many("noop", numbers)

        async def gather() -> list[object]:
            waiting()
            return await asyncio.wait_for(asyncio.gather(*results), timeout)

        return asyncio.run(gather())

    def _send_many(self, task: TaskName, numbers: Sequence[int]) -> list[Any]:
        with self._app.batch():
            if self._payload:
                return [self._tasks["carry"].delay(number, self._payload) for number in numbers]
            delay = self._tasks[task].delay
            return [delay(number) for number in numbers]


class UmbelPeer(Peer):
    """Umbel with its defaults."""

    title = "Umbel"
    distribution = "umbel"
    role = Role.OURS
    speed = 60
    bulk = True
    recovery = "other workers see the heartbeat stop for ten seconds"

    def worker(self, place: Place, bin_dir: Path) -> list[str]:
        """Return `umbel worker`."""
        return [
            *(str(bin_dir / "umbel"), "-A", "benchmarks.peers.umbel.tasks", "worker"),
            *("--concurrency", str(place.processes), "--loglevel", "WARNING"),
        ]

    def producer(self, place: Place) -> UmbelProducer:
        """Return the sending side."""
        return UmbelProducer(place.payload)


PEER = UmbelPeer()
