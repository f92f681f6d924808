"""docket, two workers of one process each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from benchmarks.adapter import AsyncProducer, Peer, Place, TaskName, several


class DocketProducer(AsyncProducer):
    """`add`, `add_many` and `get_result`."""

    async def open(self) -> None:
        """Connect."""
        from benchmarks.peers.docket import tasks

        self._tasks: dict[str, Any] = tasks.TASKS
        self._docket: Any = await tasks.make_docket().__aenter__()

    async def send_soon(self, task: TaskName, number: int) -> str:
        """Enqueue by `add`."""
        return str((await self._docket.add(self._tasks[task])(number)).key)

    async def send_many_soon(self, task: TaskName, numbers: Sequence[int]) -> Sequence[str]:
        """Enqueue by `add_many`."""
        return [execution.key for execution in await self._send_many(task, numbers)]

    async def round_trip_soon(self, number: int, seconds: float) -> object:
        """`add` and `get_result`."""
        execution = await self._docket.add(self._tasks["noop"])(number)
        result: object = await execution.get_result(timeout=timedelta(seconds=seconds))
        return result

    async def stored_soon(self, task_id: str) -> object:
        """Read what is stored."""
        execution = await self._docket.get_execution(task_id)
        result: object = await execution.get_result(timeout=timedelta(seconds=1))
        return result

    async def wait_for_many_soon(
        self, numbers: Sequence[int], waiting: Callable[[], None], seconds: float
    ) -> Sequence[object]:
        """Wait for one after the other: with all at the same time it ran out of connections."""
        executions = await self._send_many("noop", numbers)
        waiting()
        limit = timedelta(seconds=seconds)
        return [await execution.get_result(timeout=limit) for execution in executions]

    async def _send_many(self, task: TaskName, numbers: Sequence[int]) -> list[Any]:
        function = self._tasks[task]
        calls = [self._docket.call(function)(number) for number in numbers]
        return list(await self._docket.add_many(calls))


class DocketPeer(Peer):
    """docket."""

    title = "docket"
    distribution = "pydocket"
    bulk = True
    recovery = "what is idle for redelivery_timeout is taken over, here the default of five minutes"

    def worker(self, place: Place, bin_dir: Path) -> list[str]:
        """Return `docket worker`, as often as processes are wanted."""
        return several(
            place.processes,
            *(str(bin_dir / "docket"), "worker", "--docket", "bench", "--url", place.redis_url),
            *("--tasks", "benchmarks.peers.docket.tasks:collection", "--logging-level", "WARNING"),
        )

    def producer(self, place: Place) -> DocketProducer:
        """Return the sending side."""
        return DocketProducer()


PEER = DocketPeer()
