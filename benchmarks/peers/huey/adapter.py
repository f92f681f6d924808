"""Huey, with process workers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.adapter import Peer, Place, Producer, TaskName


class HueyProducer(Producer):
    """Calling the task enqueues it. There is no bulk call."""

    def __init__(self) -> None:
        from benchmarks.peers.huey import tasks

        self._tasks: dict[str, Any] = tasks.TASKS
        self._huey: Any = tasks.huey

    def send(self, task: TaskName, number: int) -> str:
        """Enqueue by calling the task."""
        return str(self._tasks[task](number).id)

    def round_trip(self, number: int, timeout: float) -> object:
        """Call and wait, blocking on the notification."""
        result: object = self._tasks["noop"](number).get(blocking=True, timeout=timeout)
        return result

    def stored(self, task_id: str) -> object:
        """Read the result and leave it where it is."""
        result: object = self._huey.result(task_id, preserve=True)
        return result

    def wait_for_many(self, numbers: Sequence[int], waiting: Callable[[], None], timeout: float) -> Sequence[object]:
        """`ResultGroup.get`, which blocks on one after the other."""
        from huey.api import ResultGroup  # type: ignore[import-not-found]

        results = ResultGroup([self._tasks["noop"](number) for number in numbers])
        waiting()
        return list(results.get(blocking=True, timeout=timeout))


class HueyPeer(Peer):
    """Huey with process workers."""

    title = "Huey"
    distribution = "huey"
    speed = 6
    recovery = "none: what a killed worker had taken is gone"

    def worker(self, place: Place, bin_dir: Path) -> list[str]:
        """Return `huey_consumer` without its scheduler of periodic tasks."""
        return [
            *(str(bin_dir / "huey_consumer"), "benchmarks.peers.huey.tasks.huey"),
            *("--worker-type", "process", "--workers", str(place.processes), "--no-periodic", "--quiet"),
            *("--graceful-signal", "TERM"),
        ]

    def producer(self, place: Place) -> HueyProducer:
        """Return the sending side."""
        return HueyProducer()


PEER = HueyPeer()
