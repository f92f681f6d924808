"""Many results waited for at the same time, by one process."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

from benchmarks.counter import CounterReader
from benchmarks.errors import BenchmarkError
from benchmarks.proctree import memory
from benchmarks.turn import Job, Turn

_TIMEOUT = 60.0
_POLL_SECONDS = 0.02
_LOOK_SECONDS = 0.2


def wait_for_many(turn: Turn, count: int) -> dict[str, float]:
    """Let one producer wait for the results of `count` tasks, then start the worker.

    Returns: results a second from the last look at which none had run to the last result, the most connections that Redis
    had (ours left out), and the producer's memory in MiB (proportional) at the end.
    """
    ready = turn.directory / "ready"
    with turn.job("wait_for_many", count=count, ready=str(ready), timeout=_TIMEOUT) as job:
        _wait_until_ready(job, ready)
        with turn.worker() as worker:
            first, connections, pss = _watch(turn, job)
            ended = job.figures(worker)["ended"]
    return {"rate": count / (ended - first), "connections": connections, "pss": pss / 1024}


def _wait_until_ready(job: Job, ready: Path) -> None:
    end = time.monotonic() + _TIMEOUT
    while not ready.exists():
        job.process.require_alive()
        if time.monotonic() > end:
            raise BenchmarkError(f"{job.process.title} did not send its tasks within {_TIMEOUT:.0f} s")
        time.sleep(_POLL_SECONDS)


def _watch(turn: Turn, job: Job) -> tuple[float, int, float]:
    """Return when none had run yet, the most connections, and the producer's memory, as last seen before its end."""
    reader = CounterReader(turn.place.counters)
    first, begun, connections, pss, look = time.perf_counter(), False, 0, 0.0, 0.0
    end = time.monotonic() + _TIMEOUT
    while job.process.runs():
        if time.monotonic() > end:
            raise BenchmarkError(f"{job.process.title} had not all results after {_TIMEOUT:.0f} s")
        now = time.perf_counter()
        begun = begun or any(count > 0 for count in reader.read().values())
        if not begun:
            first = now  # taken before the look: so it is before the first run
        if now >= look:
            look = now + _LOOK_SECONDS
            connections = max(connections, int(turn.server.info("clients")["connected_clients"]) - 1)
            with contextlib.suppress(BenchmarkError):  # it may end in this moment
                pss = memory(job.process.pid).pss
        time.sleep(_POLL_SECONDS)
    return first, connections, pss
