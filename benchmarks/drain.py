"""Watch a worker empty a preloaded queue, and take the rate from the middle of it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.counter import CounterReader
from benchmarks.errors import BenchmarkError
from benchmarks.processes import Process
from benchmarks.proctree import cpu_seconds

#: The window of the rate as shares of all tasks; what is outside is start-up and the last stragglers.
_FROM, _TO = 0.01, 0.99
_POLL_SECONDS = 0.005
_CPU_EVERY_SECONDS = 0.1
_STALL_SECONDS = 30.0
_SETTLE_SECONDS = 0.3
_SHORTEST_SECONDS = 0.25
_SMALLEST_SHARE = 0.4


@dataclass(frozen=True)
class Sample:
    """One look: when, task runs of each process, and now and then the processor seconds of worker and Redis."""

    at: float
    counts: dict[int, int]
    worker_cpu: float | None = None
    redis_cpu: float | None = None

    @property
    def total(self) -> int:
        """All task runs so far."""
        return sum(self.counts.values())


@dataclass(frozen=True)
class Drain:
    """What a drain showed: tasks a second, and processor microseconds a task (None if it was too short to tell)."""

    rate: float
    window_seconds: float
    worker_cpu_us: float | None
    redis_cpu_us: float | None


def watch(counters: Path, tasks: int, worker: Process, redis: Process) -> list[Sample]:
    """Look at the counters until all tasks have run, and once more after a moment.

    Raises BenchmarkError if the worker ends or nothing moves for 30 s.
    """
    reader = CounterReader(counters)
    samples: list[Sample] = []
    moved = looked_at_cpu = time.perf_counter()
    seen = 0
    while seen < tasks:
        now = time.perf_counter()
        counts = reader.read()
        if now - looked_at_cpu >= _CPU_EVERY_SECONDS:
            looked_at_cpu = now
            worker.require_alive()
            samples.append(Sample(now, counts, cpu_seconds(worker.pid), cpu_seconds(redis.pid)))
        else:
            samples.append(Sample(now, counts))
        if samples[-1].total > seen:
            seen, moved = samples[-1].total, now
        elif now - moved > _STALL_SECONDS:
            raise BenchmarkError(
                f"{worker.title} ran {seen} of {tasks} tasks and then none for {_STALL_SECONDS:.0f} s; "
                f"its last words:\n{worker.last_words()}"
            )
        time.sleep(_POLL_SECONDS)
    time.sleep(_SETTLE_SECONDS)
    samples.append(Sample(time.perf_counter(), reader.read()))
    return samples


def evaluate(samples: Sequence[Sample], tasks: int, *, part: bool = False) -> Drain:
    """Return the rate between the first and the last hundredth of the tasks, from when every process was at work.

    part: the queue held more than these.

    Raises BenchmarkError if more tasks ran than were sent, or if the window is too short to trust.
    """
    if samples[-1].total != tasks and not part:
        raise BenchmarkError(f"{tasks} tasks were sent but {samples[-1].total} ran: it lost or repeated some")
    everyone = samples[-1].counts.keys()
    window = [s for s in samples if s.counts.keys() == everyone and _FROM * tasks <= s.total <= _TO * tasks]
    if len(window) < 2 or window[-1].at - window[0].at < _SHORTEST_SECONDS:
        raise BenchmarkError(f"{tasks} tasks were drained too fast to take a rate: raise --tasks")
    first, last = window[0], window[-1]
    if last.total - first.total < _SMALLEST_SHARE * tasks:
        raise BenchmarkError(f"some of the {len(everyone)} processes joined when most tasks had run: raise --tasks")
    seconds = last.at - first.at
    return Drain((last.total - first.total) / seconds, seconds, *_cpu_per_task(window))


def _cpu_per_task(window: Sequence[Sample]) -> tuple[float | None, float | None]:
    """Return processor microseconds a task of the worker and of Redis."""
    looks = [s for s in window if s.worker_cpu is not None and s.redis_cpu is not None]
    if len(looks) < 2:
        return None, None
    first, last = looks[0], looks[-1]
    ran = last.total - first.total
    assert first.worker_cpu is not None
    assert first.redis_cpu is not None
    assert last.worker_cpu is not None
    assert last.redis_cpu is not None
    return 1e6 * (last.worker_cpu - first.worker_cpu) / ran, 1e6 * (last.redis_cpu - first.redis_cpu) / ran
