"""The measures: what each one does in a turn, and how its figures are read."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from benchmarks import drain
from benchmarks.adapter import Peer
from benchmarks.proctree import memory
from benchmarks.recovery import recover
from benchmarks.turn import Turn
from benchmarks.waiters import wait_for_many

_WARM_UP_SENDS = 50
_WARM_UP_TRIPS = 50
_IDLE_SECONDS = 3.0
#: Seconds of round trips at most, for peers that take long.
_MOST_SECONDS_OF_TRIPS = 5.0

Figures = dict[str, float]


@dataclass(frozen=True)
class Sizes:
    """How much one measurement does: tasks of a drain at Celery's speed, seconds of sending, round trips, waiters, and
    seconds in which a killed worker's tasks are expected back."""

    tasks: int = 2000
    seconds: float = 1.0
    trips: int = 200
    waiters: int = 10_000
    recovery: float = 90.0


@dataclass(frozen=True)
class Measure:
    """One measure. `figures` are the rows of the table: key -> (label, unit, whether more is better).

    `once`: it is taken in the first round only. `together`: by all peers at the same time, since it is mostly waiting.
    """

    name: str
    take: Callable[[Turn, Sizes], Figures]
    figures: dict[str, tuple[str, str, bool]]
    waits_for_results: bool = False
    needs_bulk: bool = False
    must_recover: bool = False
    once: bool = False
    together: bool = False

    def why_not(self, peer: Peer) -> str | None:
        """Return why a peer cannot take part, None if it can."""
        if self.needs_bulk and not peer.bulk:
            return "it has no call that sends many"
        return peer.cannot.get(self.name)


def _send(turn: Turn, sizes: Sizes) -> Figures:
    figures = turn.produce("enqueue", task="noop", tasks=None, seconds=sizes.seconds, warm_up=_WARM_UP_SENDS)
    return {"rate": figures["rate"]}


def _send_in_bulk(turn: Turn, sizes: Sizes) -> Figures:
    figures = turn.produce("bulk", task="noop", tasks=None, seconds=sizes.seconds, size=turn.peer.bulk_size)
    return {"rate": figures["rate"]}


def preload(turn: Turn, task: str, tasks: int) -> dict[str, Any]:
    """Send so many tasks, in bulk where the peer can."""
    if turn.peer.bulk:
        return turn.produce("bulk", task=task, tasks=tasks, seconds=0.0, size=turn.peer.bulk_size)
    return turn.produce("enqueue", task=task, tasks=tasks, seconds=0.0, warm_up=0)


def _drain(turn: Turn, task: str, tasks: int) -> Figures:
    preloaded = preload(turn, task, tasks)
    with turn.worker() as worker:
        samples = drain.watch(turn.place.counters, tasks, worker, turn.server.process)
        result = drain.evaluate(samples, tasks)
        turn.produce("check_stored", worker=worker, samples=preloaded["samples"])
    found = {"rate": result.rate, "window_seconds": result.window_seconds}
    if result.worker_cpu_us is not None and result.redis_cpu_us is not None:
        found |= {"worker_cpu_us": result.worker_cpu_us, "redis_cpu_us": result.redis_cpu_us}
    return found


def _drain_noop(turn: Turn, sizes: Sizes) -> Figures:
    return _drain(turn, "noop", sizes.tasks * turn.peer.speed)


def _drain_work(turn: Turn, sizes: Sizes) -> Figures:
    return _drain(turn, "work", sizes.tasks // 2)


def _round_trip(turn: Turn, sizes: Sizes) -> Figures:
    with turn.worker() as worker:
        trips = turn.produce(
            "round_trips", worker=worker, count=sizes.trips, warm_up=_WARM_UP_TRIPS, seconds=_MOST_SECONDS_OF_TRIPS
        )["trips"]
    return {"p50": 1e3 * statistics.median(trips), "p99": 1e3 * statistics.quantiles(trips, n=100)[98]}


def _idle_memory(turn: Turn, sizes: Sizes) -> Figures:
    with turn.worker() as worker:
        turn.produce("round_trips", worker=worker, count=0, warm_up=_WARM_UP_TRIPS, seconds=_MOST_SECONDS_OF_TRIPS)
        time.sleep(_IDLE_SECONDS)
        worker.require_alive()
        found = memory(worker.pid)
    mib = 1024
    return {
        "pss": found.pss / mib,
        "private": found.private / mib,
        "rss": found.rss / mib,
        "processes": found.processes,
    }


def _wait_for_many(turn: Turn, sizes: Sizes) -> Figures:
    return wait_for_many(turn, sizes.waiters)


def _recover(turn: Turn, sizes: Sizes) -> Figures:
    return recover(turn, sizes.recovery)


MEASURES = {
    measure.name: measure
    for measure in (
        Measure("drain", _drain_noop, {"rate": ("drain, no-op", "tasks/s", True)}),
        Measure("work", _drain_work, {"rate": ("drain, 1 ms of work", "tasks/s", True)}),
        Measure("enqueue", _send, {"rate": ("enqueue one by one", "tasks/s", True)}),
        Measure("bulk", _send_in_bulk, {"rate": ("enqueue in bulk", "tasks/s", True)}, needs_bulk=True),
        Measure(
            "latency",
            _round_trip,
            {"p50": ("idle round trip, median", "ms", False), "p99": ("idle round trip, p99", "ms", False)},
            waits_for_results=True,
        ),
        Measure(
            "memory",
            _idle_memory,
            {"pss": ("idle worker, proportional", "MiB", False)},
            waits_for_results=True,
            once=True,
        ),
        Measure(
            "waiters",
            _wait_for_many,
            {
                "rate": ("many waiters", "results/s", True),
                "connections": ("many waiters, connections", "most", False),
                "pss": ("many waiters, memory of theirs", "MiB", False),
            },
            waits_for_results=True,
            once=True,
        ),
        Measure(
            "recovery",
            _recover,
            {
                "seconds": ("worker killed: its tasks run again", "s", False),
                "missing": ("worker killed: never ended", "tasks", False),
                "repeated": ("worker killed: ended twice", "tasks", False),
            },
            must_recover=True,
            once=True,
            together=True,
        ),
    )
}
