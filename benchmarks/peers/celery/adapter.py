"""Celery, prefork."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.adapter import Peer, Place, Producer, TaskName


class CeleryProducer(Producer):
    """`delay`, `get`, and a `group` as the nearest to a bulk call."""

    def __init__(self) -> None:
        from benchmarks.peers.celery import tasks

        self._tasks: dict[str, Any] = tasks.TASKS
        self._app: Any = tasks.app

    def send(self, task: TaskName, number: int) -> str:
        """Enqueue by `delay`."""
        return str(self._tasks[task].delay(number).id)

    def send_many(self, task: TaskName, numbers: Sequence[int]) -> Sequence[str]:
        """Enqueue as one group."""
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
        """A group, and `get` of all its results."""
        results = self._send_many("noop", numbers)
        waiting()
        return list(results.get(timeout=timeout))

    def _send_many(self, task: TaskName, numbers: Sequence[int]) -> Any:
        from celery import group  # type: ignore[import-not-found]

        signature = self._tasks[task].s
        return group([signature(number) for number in numbers]).apply_async()


class CeleryPeer(Peer):
    """Celery with its prefork pool."""

    title = "Celery"
    distribution = "celery"
    bulk = True
    recovery = (
        "with acks_late: what is not acknowledged goes back after visibility_timeout, here the default of an hour"
    )

    def worker(self, place: Place, bin_dir: Path) -> list[str]:
        """Return `celery worker` without the chatter between workers, which is its fastest."""
        return [
            *(str(bin_dir / "celery"), "-A", "benchmarks.peers.celery.tasks", "worker"),
            *("--pool", "prefork", "--concurrency", str(place.processes), "--loglevel", "WARNING"),
            *("--without-gossip", "--without-mingle", "--without-heartbeat"),
        ]

    def producer(self, place: Place) -> CeleryProducer:
        """Return the sending side."""
        return CeleryProducer()


PEER = CeleryPeer()
