"""The barest loop: how fast the work itself can be done in Python, without a framework and without its promises."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import MappingProxyType

from benchmarks.adapter import Peer, Place, Producer, Role, TaskName


class BarestProducer(Producer):
    """RPUSH, one by one or many in one call, and polling for a result."""

    def __init__(self, place: Place) -> None:
        import orjson

        from benchmarks.peers.barest import wire

        self._wire = wire
        self._dumps = orjson.dumps
        self._loads = orjson.loads
        self._connection = wire.Connection(place.redis_url)

    def send(self, task: TaskName, number: int) -> str:
        """Push one message."""
        (task_id,) = self.send_many(task, (number,))
        return task_id

    def send_many(self, task: TaskName, numbers: Sequence[int]) -> Sequence[str]:
        """Push all messages by one command."""
        random = os.urandom(16 * len(numbers)).hex()
        ids = [random[i : i + 32] for i in range(0, len(random), 32)]
        messages = [self._dumps((i, task, (number,))) for i, number in zip(ids, numbers, strict=True)]
        self._connection.call("RPUSH", self._wire.QUEUE, *messages)
        return ids

    def round_trip(self, number: int, timeout: float) -> object:
        """Push one message and read its result until it is there."""
        return self._wait(self.send("noop", number), timeout)

    def stored(self, task_id: str) -> object:
        """Read the result."""
        result: object = self._loads(self._connection.call("GET", self._wire.result_key(task_id)))  # type: ignore[arg-type]
        return result

    def wait_for_many(self, numbers: Sequence[int], waiting: Callable[[], None], timeout: float) -> Sequence[object]:
        """Read the results of one after the other until they are there."""
        ids = self.send_many("noop", numbers)
        waiting()
        return [self._wait(task_id, timeout) for task_id in ids]

    def _wait(self, task_id: str, timeout: float) -> object:
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            value = self._connection.call("GET", self._wire.result_key(task_id))
            if value is not None:
                result: object = self._loads(value)  # type: ignore[arg-type]
                return result
        raise TimeoutError(f"no result of {task_id} in {timeout} s")


class BarestPeer(Peer):
    """The yardstick."""

    title = "barest loop"
    distribution = None
    role = Role.YARDSTICK
    speed = 100
    bulk = True
    cannot = MappingProxyType({"recovery": "it recovers nothing"})

    def worker(self, place: Place, bin_dir: Path) -> list[str]:
        """Return the command of the loop's processes."""
        return [str(bin_dir / "python"), "-m", "benchmarks.peers.barest.worker"]

    def producer(self, place: Place) -> BarestProducer:
        """Return the sending side."""
        return BarestProducer(place)


PEER = BarestPeer()
