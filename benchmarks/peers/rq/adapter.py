"""RQ, two simple workers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.adapter import Peer, Place, Producer, TaskName


class RqProducer(Producer):
    """`enqueue`, `enqueue_many`, and blocking on the latest result."""

    def __init__(self) -> None:
        from rq.job import Job  # type: ignore[import-not-found]

        from benchmarks.peers.rq import tasks

        self._job: Any = Job
        self._tasks: dict[str, Any] = tasks.TASKS
        self._queue: Any = tasks.queue
        self._options: dict[str, Any] = tasks.OPTIONS

    def send(self, task: TaskName, number: int) -> str:
        """Enqueue by `enqueue`."""
        return str(self._queue.enqueue(self._tasks[task], number, **self._options).id)

    def send_many(self, task: TaskName, numbers: Sequence[int]) -> Sequence[str]:
        """Enqueue by `enqueue_many`."""
        return [job.id for job in self._send_many(task, numbers)]

    def round_trip(self, number: int, timeout: float) -> object:
        """`enqueue`, and `latest_result` that blocks."""
        job = self._queue.enqueue(self._tasks["noop"], number, **self._options)
        return _value(job, timeout)

    def stored(self, task_id: str) -> object:
        """Read what is stored."""
        result: object = self._job.fetch(task_id, connection=self._queue.connection).return_value()
        return result

    def wait_for_many(self, numbers: Sequence[int], waiting: Callable[[], None], timeout: float) -> Sequence[object]:
        """Wait for one after the other: there is nothing for many."""
        jobs = self._send_many("noop", numbers)
        waiting()
        return [_value(job, timeout) for job in jobs]

    def _send_many(self, task: TaskName, numbers: Sequence[int]) -> list[Any]:
        prepare, function = self._queue.prepare_data, self._tasks[task]
        datas = [prepare(function, (number,), **self._options) for number in numbers]
        return list(self._queue.enqueue_many(datas))


def _value(job: Any, timeout: float) -> object:
    result = job.latest_result(timeout=int(timeout))
    if result is None:
        raise TimeoutError(f"no result of {job.id} in {timeout} s")
    value: object = result.return_value
    return value


class RqPeer(Peer):
    """RQ with workers that do not fork for each job: a fork costs it two thirds of its rate."""

    title = "RQ"
    distribution = "rq"
    bulk = True
    recovery = "the job is given up when its heartbeat is a minute old, and is retried since Retry is set"

    def worker(self, place: Place, bin_dir: Path) -> list[str]:
        """Return `rq worker-pool` of `SimpleWorker`."""
        return [
            *(str(bin_dir / "rq"), "worker-pool", "bench", "--url", place.redis_url, "--quiet"),
            *("--num-workers", str(place.processes), "--worker-class", "rq.worker.SimpleWorker"),
        ]

    def producer(self, place: Place) -> RqProducer:
        """Return the sending side."""
        return RqProducer()


PEER = RqPeer()
