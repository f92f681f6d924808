"""arq, two workers of one process each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.adapter import AsyncProducer, Peer, Place, TaskName, several

#: Seconds between two looks at a result; arq itself looks every half second.
_LOOK = 0.001


class ArqProducer(AsyncProducer):
    """`enqueue_job` and `Job.result`. There is no bulk call."""

    async def open(self) -> None:
        """Connect."""
        from arq import create_pool  # type: ignore[import-not-found]
        from arq.jobs import Job  # type: ignore[import-not-found]

        from benchmarks.peers.arq import tasks

        self._job: Any = Job
        self._pool: Any = await create_pool(tasks.SETTINGS)

    async def send_soon(self, task: TaskName, number: int) -> str:
        """Enqueue by `enqueue_job`."""
        return str((await self._pool.enqueue_job(task, number)).job_id)

    async def round_trip_soon(self, number: int, seconds: float) -> object:
        """`enqueue_job`, and `result`, which polls."""
        job = await self._pool.enqueue_job("noop", number)
        result: object = await job.result(seconds, poll_delay=_LOOK)
        return result

    async def stored_soon(self, task_id: str) -> object:
        """Read what is stored."""
        result: object = (await self._job(task_id, self._pool).result_info()).result
        return result

    async def wait_for_many_soon(
        self, numbers: Sequence[int], waiting: Callable[[], None], seconds: float
    ) -> Sequence[object]:
        """Wait for one after the other: each wait that polls takes a connection of its own."""
        jobs = [await self._pool.enqueue_job("noop", number) for number in numbers]
        waiting()
        return [await job.result(seconds, poll_delay=_LOOK) for job in jobs]


class ArqPeer(Peer):
    """arq."""

    title = "arq"
    distribution = "arq"
    recovery = "the mark of a running job ends ten seconds after job_timeout, here the default of 300 s"

    def worker(self, place: Place, bin_dir: Path) -> list[str]:
        """Return `arq`, as often as processes are wanted."""
        return several(place.processes, str(bin_dir / "arq"), "benchmarks.peers.arq.tasks.WorkerSettings")

    def producer(self, place: Place) -> ArqProducer:
        """Return the sending side."""
        return ArqProducer()


PEER = ArqPeer()
