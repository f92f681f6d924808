"""SAQ, two processes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.adapter import AsyncProducer, Peer, Place, TaskName

#: Seconds between two looks at a result, and at many; SAQ itself looks twice a second.
_LOOK = 0.001
_LOOK_AT_MANY = 0.05


class SaqProducer(AsyncProducer):
    """`enqueue`, `apply` and `map`. There is no bulk call: `map` waits, and sends one by one."""

    async def open(self) -> None:
        """Connect."""
        from benchmarks.peers.saq import tasks

        self._queue: Any = tasks.queue
        self._options: dict[str, Any] = tasks.OPTIONS
        await self._queue.connect()

    async def send_soon(self, task: TaskName, number: int) -> str:
        """Enqueue by `enqueue`."""
        return str((await self._queue.enqueue(task, number=number, **self._options)).key)

    async def round_trip_soon(self, number: int, seconds: float) -> object:
        """`apply`, which polls."""
        options = {"timeout": seconds, "poll_interval": _LOOK, "ttl": self._options["ttl"]}
        result: object = await self._queue.apply("noop", number=number, **options)
        return result

    async def stored_soon(self, task_id: str) -> object:
        """Read what is stored."""
        result: object = (await self._queue.job(task_id)).result
        return result

    async def wait_for_many_soon(
        self, numbers: Sequence[int], waiting: Callable[[], None], seconds: float
    ) -> Sequence[object]:
        """`map`. It sends and waits in one call, so that the worker may start when it is called."""
        waiting()
        calls = [{"number": number} for number in numbers]
        results: list[object] = await self._queue.map("noop", calls, timeout=seconds, poll_interval=_LOOK_AT_MANY)
        return results


class SaqPeer(Peer):
    """SAQ."""

    title = "SAQ"
    distribution = "saq"
    speed = 3
    recovery = "the sweep, once a minute, of jobs whose heartbeat is late; the heartbeat must be asked for by job"

    def worker(self, place: Place, bin_dir: Path) -> list[str]:
        """Return `saq`."""
        return [str(bin_dir / "saq"), "benchmarks.peers.saq.tasks.settings", "--workers", str(place.processes)]

    def producer(self, place: Place) -> SaqProducer:
        """Return the sending side."""
        return SaqProducer()


PEER = SaqPeer()
