"""What a peer's adapter provides. Standard library only: it is imported in every peer's environment too."""

from __future__ import annotations

import asyncio
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal, TypeVar

T = TypeVar("T")

#: The task bodies of `benchmarks.body`, by the name under which each peer registers them.
TaskName = Literal["noop", "work", "hold"]


class Role(StrEnum):
    """Why a peer takes part, which is also the order of the table's columns."""

    PEER = "peer"
    OURS = "ours"
    YARDSTICK = "yardstick"


@dataclass(frozen=True)
class Place:
    """Where one turn of a peer happens: what its worker and its producer are told by the environment."""

    redis_url: str
    counters: Path
    processes: int
    waits_for_results: bool
    #: Whether the peer's options against the loss of tasks are on: where a worker is killed.
    must_recover: bool = False
    #: Bytes of text that each message carries besides; ours only.
    payload: int = 0

    def environment(self) -> dict[str, str]:
        """Return the variables from which `from_environment` makes the same place."""
        return {
            "BENCH_REDIS_URL": self.redis_url,
            "BENCH_COUNTERS": str(self.counters),
            "BENCH_PROCESSES": str(self.processes),
            "BENCH_WAITS_FOR_RESULTS": "1" if self.waits_for_results else "0",
            "BENCH_MUST_RECOVER": "1" if self.must_recover else "0",
            "BENCH_PAYLOAD": str(self.payload),
        }

    @classmethod
    def from_environment(cls) -> Place:
        """Return the place that the harness handed to this process."""
        return cls(
            redis_url=os.environ["BENCH_REDIS_URL"],
            counters=Path(os.environ["BENCH_COUNTERS"]),
            processes=int(os.environ["BENCH_PROCESSES"]),
            waits_for_results=os.environ["BENCH_WAITS_FOR_RESULTS"] == "1",
            must_recover=os.environ["BENCH_MUST_RECOVER"] == "1",
            payload=int(os.environ["BENCH_PAYLOAD"]),
        )


class Producer(ABC):
    """The sending side of a peer. It lives in the peer's own environment and is used from one thread."""

    @abstractmethod
    def send(self, task: TaskName, number: int) -> str:
        """Enqueue one task with the argument `number` and return its id."""

    def send_many(self, task: TaskName, numbers: Sequence[int]) -> Sequence[str]:
        """Enqueue a task for each number by the peer's own bulk call and return the ids in order."""
        raise NotImplementedError(f"{type(self).__name__} has no bulk call")

    @abstractmethod
    def round_trip(self, number: int, timeout: float) -> object:
        """Enqueue a no-op, wait for its result as the peer's documentation says, and return the result."""

    @abstractmethod
    def stored(self, task_id: str) -> object:
        """Return the stored result of a finished task, or raise."""

    @abstractmethod
    def wait_for_many(self, numbers: Sequence[int], waiting: Callable[[], None], timeout: float) -> Sequence[object]:
        """Enqueue a no-op for each number, wait for all results at the same time, and return them in order.

        waiting: to be called when everything has been sent and the waiting begins. No worker runs before.
        """

    def send_while(self, task: TaskName, ids: list[str], more: Callable[[], bool]) -> None:
        """Send one by one, with the numbers 0, 1, …, and append the ids, as long as `more` says so."""
        while more():
            ids.append(self.send(task, len(ids)))


class AsyncProducer(Producer):
    """The sending side of a peer for asyncio. One event loop, in which a series is sent without leaving it."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._run(self.open())

    async def open(self) -> None:
        """Connect."""

    @abstractmethod
    async def send_soon(self, task: TaskName, number: int) -> str:
        """Do what `send` says."""

    async def send_many_soon(self, task: TaskName, numbers: Sequence[int]) -> Sequence[str]:
        """Do what `send_many` says."""
        raise NotImplementedError(f"{type(self).__name__} has no bulk call")

    @abstractmethod
    async def round_trip_soon(self, number: int, seconds: float) -> object:
        """Do what `round_trip` says."""

    @abstractmethod
    async def stored_soon(self, task_id: str) -> object:
        """Do what `stored` says."""

    @abstractmethod
    async def wait_for_many_soon(
        self, numbers: Sequence[int], waiting: Callable[[], None], seconds: float
    ) -> Sequence[object]:
        """Do what `wait_for_many` says."""

    def send(self, task: TaskName, number: int) -> str:
        """See `Producer`."""
        return self._run(self.send_soon(task, number))

    def send_many(self, task: TaskName, numbers: Sequence[int]) -> Sequence[str]:
        """See `Producer`."""
        return self._run(self.send_many_soon(task, numbers))

    def round_trip(self, number: int, timeout: float) -> object:
        """See `Producer`."""
        return self._run(self.round_trip_soon(number, timeout))

    def stored(self, task_id: str) -> object:
        """See `Producer`."""
        return self._run(self.stored_soon(task_id))

    def wait_for_many(self, numbers: Sequence[int], waiting: Callable[[], None], timeout: float) -> Sequence[object]:
        """See `Producer`."""
        return self._run(self.wait_for_many_soon(numbers, waiting, timeout))

    def send_while(self, task: TaskName, ids: list[str], more: Callable[[], bool]) -> None:
        """See `Producer`."""

        async def series() -> None:
            while more():
                ids.append(await self.send_soon(task, len(ids)))

        self._run(series())

    def close(self) -> None:
        """Close the event loop; the connections end with the process."""
        self._loop.close()

    def _run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        return self._loop.run_until_complete(coroutine)


class Peer(ABC):
    """One task queue under measure. Methods run in the harness, except `producer`."""

    #: How the table calls it.
    title: str
    #: The distribution whose installed version the table shows.
    distribution: str | None
    role: Role = Role.PEER
    #: About how many times Celery's rate it drains. Only sizes the drain, so that each peer's takes about as long.
    speed: int = 1
    #: Whether `send_many` is a bulk call of the peer's own.
    bulk: bool = False
    #: How many tasks one bulk call carries.
    bulk_size: int = 1000
    #: Measures that it cannot take part in: name -> why.
    cannot: Mapping[str, str] = MappingProxyType({})
    #: How tasks get back from a killed worker, in the words of the table's notes.
    recovery: str = ""

    @abstractmethod
    def worker(self, place: Place, bin_dir: Path) -> list[str]:
        """Return the command that starts the worker with `place.processes` children, stopped by SIGTERM.

        bin_dir: the folder of executables of the peer's environment.
        """

    @abstractmethod
    def producer(self, place: Place) -> Producer:
        """Import the peer's tasks and return its sending side. Called in the peer's environment only."""


def several(count: int, *command: str) -> list[str]:
    """Return a command that runs `command` as often as wanted, for peers whose worker is one process, and ends with SIGTERM."""
    script = 'trap "kill 0" TERM; for i in $(seq "$1"); do "${@:2}" & done; wait'
    return ["bash", "-c", script, "several", str(count), *command]
