"""streaQ, two workers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from benchmarks.adapter import AsyncProducer, Peer, Place, TaskName


class StreaqProducer(AsyncProducer):
    """`enqueue`, `enqueue_many` and `Task.result`."""

    async def open(self) -> None:
        """Connect."""
        from benchmarks.peers.streaq import tasks

        self._tasks: dict[str, Any] = tasks.TASKS
        self._worker: Any = tasks.worker
        await self._worker.__aenter__()

    async def send_soon(self, task: TaskName, number: int) -> str:
        """Enqueue by `enqueue`."""
        return str((await self._tasks[task].enqueue(number)).id)

    async def send_many_soon(self, task: TaskName, numbers: Sequence[int]) -> Sequence[str]:
        """Enqueue by `enqueue_many`."""
        return [handle.id for handle in await self._send_many(task, numbers)]

    async def round_trip_soon(self, number: int, seconds: float) -> object:
        """`enqueue` and `result`."""
        handle = await self._tasks["noop"].enqueue(number)
        result: object = (await handle.result(int(seconds))).result
        return result

    async def stored_soon(self, task_id: str) -> object:
        """Read what is stored."""
        result: object = (await self._worker.result_by_id(task_id, timeout=1)).result
        return result

    async def wait_for_many_soon(
        self, numbers: Sequence[int], waiting: Callable[[], None], seconds: float
    ) -> Sequence[object]:
        """Wait for one after the other: with all at the same time it ran into its timeout."""
        handles = await self._send_many("noop", numbers)
        waiting()
        return [(await handle.result(int(seconds))).result for handle in handles]

    async def _send_many(self, task: TaskName, numbers: Sequence[int]) -> list[Any]:
        handles = [self._tasks[task].enqueue(number) for number in numbers]
        await self._worker.enqueue_many(handles)
        return handles


class StreaqPeer(Peer):
    """streaQ."""

    title = "streaQ"
    distribution = "streaq"
    speed = 2
    bulk = True
    cannot = MappingProxyType(
        {"waiters": "each wait takes a tenth of a second, and many at the same time run into their timeout"}
    )
    recovery = "what is idle for idle_timeout is taken over, here the default of 60 s"

    def worker(self, place: Place, bin_dir: Path) -> list[str]:
        """Return `streaq run`."""
        return [str(bin_dir / "streaq"), "run", "benchmarks.peers.streaq.tasks:worker", "-w", str(place.processes)]

    def producer(self, place: Place) -> StreaqProducer:
        """Return the sending side."""
        return StreaqProducer()


PEER = StreaqPeer()
