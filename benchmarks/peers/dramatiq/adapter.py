"""dramatiq, two processes of one thread each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.adapter import Peer, Place, Producer, TaskName


class DramatiqProducer(Producer):
    """`send`, and blocking on the result. There is no bulk call."""

    def __init__(self) -> None:
        from benchmarks.peers.dramatiq import tasks

        self._tasks: dict[str, Any] = tasks.TASKS
        self._backend: Any = tasks.backend
        self._sent: dict[str, Any] = {}

    def send(self, task: TaskName, number: int) -> str:
        """Enqueue by `send`. The id names the task too: a result's key is made of queue, actor and id."""
        return f"{task}:{self._tasks[task].send(number).message_id}"

    def round_trip(self, number: int, timeout: float) -> object:
        """`send`, and `get_result` that blocks."""
        message = self._tasks["noop"].send(number)
        result: object = message.get_result(block=True, timeout=int(timeout * 1000))
        return result

    def stored(self, task_id: str) -> object:
        """Read what the backend holds, by a message of the same task and id."""
        task, _, message_id = task_id.partition(":")
        message = self._tasks[task].message(0).copy(message_id=message_id)
        result: object = self._backend.get_result(message)
        return result

    def wait_for_many(self, numbers: Sequence[int], waiting: Callable[[], None], timeout: float) -> Sequence[object]:
        """A group, whose results are waited for one after the other: the nearest that there is."""
        import dramatiq  # type: ignore[import-not-found]

        group = dramatiq.group([self._tasks["noop"].message(number) for number in numbers]).run()
        waiting()
        return list(group.get_results(block=True, timeout=int(timeout * 1000)))


class DramatiqPeer(Peer):
    """dramatiq with a thread a process: with more threads they take the interpreter lock from each other."""

    title = "dramatiq"
    distribution = "dramatiq"
    speed = 3
    recovery = "the heartbeat of a worker ends after 60 s; then others look for what it held, now and then"

    def worker(self, place: Place, bin_dir: Path) -> list[str]:
        """Return `dramatiq` with a prefetch that hides the way to Redis."""
        return [
            *("env", "dramatiq_queue_prefetch=1000"),
            *(str(bin_dir / "dramatiq"), "benchmarks.peers.dramatiq.tasks:broker"),
            *("--processes", str(place.processes), "--threads", "1", "--skip-logging"),
        ]

    def producer(self, place: Place) -> DramatiqProducer:
        """Return the sending side."""
        return DramatiqProducer()


PEER = DramatiqPeer()
