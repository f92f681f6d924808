"""What a peer's adapter provides. Standard library only: it is imported in every peer's environment too."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Literal, Protocol

#: The task bodies of `benchmarks.body`, by the name under which each peer registers them.
TaskName = Literal["noop", "work"]


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

    def environment(self) -> dict[str, str]:
        """Return the variables from which `from_environment` makes the same place."""
        return {
            "BENCH_REDIS_URL": self.redis_url,
            "BENCH_COUNTERS": str(self.counters),
            "BENCH_PROCESSES": str(self.processes),
            "BENCH_WAITS_FOR_RESULTS": "1" if self.waits_for_results else "0",
        }

    @classmethod
    def from_environment(cls) -> Place:
        """Return the place that the harness handed to this process."""
        return cls(
            redis_url=os.environ["BENCH_REDIS_URL"],
            counters=Path(os.environ["BENCH_COUNTERS"]),
            processes=int(os.environ["BENCH_PROCESSES"]),
            waits_for_results=os.environ["BENCH_WAITS_FOR_RESULTS"] == "1",
        )


class Producer(Protocol):
    """The sending side of a peer. It lives in the peer's own environment and is used from one thread."""

    def send(self, task: TaskName, number: int) -> str:
        """Enqueue one task with the argument `number` and return its id."""

    def send_many(self, task: TaskName, numbers: Sequence[int]) -> Sequence[str]:
        """Enqueue a task for each number by the peer's own bulk call and return the ids in order."""

    def round_trip(self, number: int, timeout: float) -> object:
        """Enqueue a no-op, wait for its result as the peer's documentation says, and return the result."""

    def stored(self, task_id: str) -> object:
        """Return the stored result of a finished task, or raise."""


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

    @abstractmethod
    def worker(self, place: Place, bin_dir: Path) -> list[str]:
        """Return the command that starts the worker with `place.processes` children, stopped by SIGTERM.

        bin_dir: the folder of executables of the peer's environment.
        """

    @abstractmethod
    def producer(self, place: Place) -> Producer:
        """Import the peer's tasks and return its sending side. Called in the peer's environment only."""
