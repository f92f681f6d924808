"""taskiq with taskiq-redis, two processes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.adapter import AsyncProducer, Peer, Place, TaskName

#: Seconds between two looks at a result; taskiq itself looks five times a second.
_LOOK = 0.001


class TaskiqProducer(AsyncProducer):
    """`kiq` and `wait_result`. There is no bulk call."""

    async def open(self) -> None:
        """Connect."""
        from benchmarks.peers.taskiq import tasks

        self._tasks: dict[str, Any] = tasks.TASKS
        self._broker: Any = tasks.broker
        await self._broker.startup()

    async def send_soon(self, task: TaskName, number: int) -> str:
        """Enqueue by `kiq`."""
        return str((await self._tasks[task].kiq(number)).task_id)

    async def round_trip_soon(self, number: int, seconds: float) -> object:
        """`kiq`, and `wait_result`, which polls."""
        handle = await self._tasks["noop"].kiq(number)
        result: object = (await handle.wait_result(check_interval=_LOOK, timeout=seconds)).return_value
        return result

    async def stored_soon(self, task_id: str) -> object:
        """Read what is stored."""
        result: object = (await self._broker.result_backend.get_result(task_id)).return_value
        return result

    async def wait_for_many_soon(
        self, numbers: Sequence[int], waiting: Callable[[], None], seconds: float
    ) -> Sequence[object]:
        """`taskiq.gather`, which asks for all that is missing in turn."""
        from taskiq import gather  # type: ignore[import-not-found]

        handles = [await self._tasks["noop"].kiq(number) for number in numbers]
        waiting()
        results = await gather(*handles, timeout=seconds, periodicity=_LOOK)
        return [result.return_value for result in results]


class TaskiqPeer(Peer):
    """taskiq."""

    title = "taskiq"
    distribution = "taskiq"
    speed = 3
    recovery = "with the stream broker: what is idle for idle_timeout is taken over, here the default of ten minutes"

    def worker(self, place: Place, bin_dir: Path) -> list[str]:
        """Return `taskiq worker` without parsing by pydantic, which is its fastest."""
        return [
            *(str(bin_dir / "taskiq"), "worker", "benchmarks.peers.taskiq.tasks:broker"),
            *("--workers", str(place.processes), "--log-level", "WARNING", "--no-parse", "--max-prefetch", "50"),
        ]

    def producer(self, place: Place) -> TaskiqProducer:
        """Return the sending side."""
        return TaskiqProducer()


PEER = TaskiqPeer()
