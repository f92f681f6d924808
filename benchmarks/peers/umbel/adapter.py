"""Umbel, with its defaults."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.adapter import Peer, Place, Role, TaskName


class UmbelProducer:
    """`delay`, `get`, and `app.batch()` for many."""

    def __init__(self) -> None:
        from benchmarks.peers.umbel import tasks

        self._tasks: dict[str, Any] = tasks.TASKS
        self._app: Any = tasks.app

    def send(self, task: TaskName, number: int) -> str:
        """Enqueue by `delay`."""
        return str(self._tasks[task].delay(number).id)

    def send_many(self, task: TaskName, numbers: Sequence[int]) -> Sequence[str]:
        """Enqueue inside `app.batch()`."""
        delay = self._tasks[task].delay
        with self._app.batch():
            results = [delay(number) for number in numbers]
        return [result.id for result in results]

    def round_trip(self, number: int, timeout: float) -> object:
        """`delay` and `get`."""
        result: object = self._tasks["noop"].delay(number).get(timeout=timeout)
        return result

    def stored(self, task_id: str) -> object:
        """Read what the backend holds."""
        result: object = self._app.AsyncResult(task_id).get(timeout=1)
        return result


class UmbelPeer(Peer):
    """Umbel with its defaults."""

    title = "Umbel"
    distribution = "umbel"
    role = Role.OURS
    speed = 20
    bulk = True

    def worker(self, place: Place, bin_dir: Path) -> list[str]:
        """Return `umbel worker`."""
        return [
            *(str(bin_dir / "umbel"), "-A", "benchmarks.peers.umbel.tasks", "worker"),
            *("--concurrency", str(place.processes), "--loglevel", "WARNING"),
        ]

    def producer(self, place: Place) -> UmbelProducer:
        """Return the sending side."""
        return UmbelProducer()


PEER = UmbelPeer()
