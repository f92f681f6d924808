"""The producer process: `python -m benchmarks.producer PEER`, run in the peer's environment by the harness.

It reads one job as JSON from standard input and writes its figures as JSON into the file that the job names, so that
what a peer prints disturbs nothing.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.adapter import Peer, Place, Producer, TaskName

_ROUND_TRIP_TIMEOUT = 30.0
#: Pause before each round trip, seconds: the worker is back in its wait and the processor idle.
_PAUSE = 0.002
_SAMPLES = 50
_LEAST_TRIPS = 20
_FEED_PAUSE = 0.1

Figures = dict[str, Any]


def load_peer(name: str) -> Peer:
    """Return the peer that lives in the folder `peers/<name>`."""
    peer = importlib.import_module(f"benchmarks.peers.{name}.adapter").PEER
    assert isinstance(peer, Peer)
    return peer


def enqueue(producer: Producer, task: TaskName, tasks: int | None, seconds: float, warm_up: int) -> Figures:
    """Send one by one: `warm_up` untimed ones, then `tasks` or as many as fit into `seconds`."""
    ids: list[str] = []
    producer.send_while(task, ids, lambda: len(ids) < warm_up)
    clock = time.perf_counter
    start = clock()
    end = start + seconds
    producer.send_while(task, ids, (lambda: len(ids) < tasks) if tasks is not None else lambda: clock() < end)
    elapsed = time.perf_counter() - start
    return {"sent": len(ids), "rate": (len(ids) - warm_up) / elapsed, "samples": _sampled(ids)}


def enqueue_in_bulk(producer: Producer, task: TaskName, tasks: int | None, seconds: float, size: int) -> Figures:
    """Send in bulk: one untimed call of `size`, then `tasks` in all or as many calls as fit into `seconds`."""
    ids: list[str] = []
    start = end = 0.0
    warm = 0
    while len(ids) < tasks if tasks is not None else not end or time.perf_counter() < end:
        until = len(ids) + size if tasks is None else min(len(ids) + size, tasks)
        ids.extend(producer.send_many(task, range(len(ids), until)))
        if not end:
            warm = len(ids)
            start = time.perf_counter()
            end = start + seconds
    elapsed = time.perf_counter() - start
    return {"sent": len(ids), "rate": (len(ids) - warm) / elapsed, "samples": _sampled(ids)}


def round_trips(producer: Producer, count: int, warm_up: int, seconds: float) -> Figures:
    """Send a no-op and wait for its result, `count` times or for `seconds`; return each trip's seconds."""
    trips: list[float] = []
    end = time.perf_counter() + seconds
    for number in range(warm_up + count):
        if len(trips) > warm_up + _LEAST_TRIPS and time.perf_counter() > end:
            break
        time.sleep(_PAUSE)
        start = time.perf_counter()
        result = producer.round_trip(number, _ROUND_TRIP_TIMEOUT)
        trips.append(time.perf_counter() - start)
        if result != number:
            raise RuntimeError(f"the result of a no-op with argument {number} came back as {result!r}")
    return {"trips": trips[warm_up:]}


def check_stored(producer: Producer, samples: dict[str, str]) -> Figures:
    """Compare the stored results of some finished tasks with what they returned."""
    for number, task_id in samples.items():
        result = producer.stored(task_id)
        if result != int(number):
            raise RuntimeError(f"the stored result of task {task_id} is {result!r} and not {number}")
    return {"checked": len(samples)}


def wait_for_many(producer: Producer, count: int, ready: str, timeout: float) -> Figures:
    """Wait for the results of `count` no-ops; write the file `ready` once the waiting begins. Returns when it ended."""
    results = producer.wait_for_many(range(count), Path(ready).touch, timeout)
    ended = time.perf_counter()
    if list(results) != list(range(count)):
        raise RuntimeError(f"{count} results were waited for, and others came back")
    return {"ended": ended}


def feed(producer: Producer, stop: str, seconds: float) -> Figures:
    """Send a task that holds its slot ten times a second, until the file `stop` is there or for `seconds`."""
    end = time.monotonic() + seconds
    sent = 0
    while not Path(stop).exists() and time.monotonic() < end:
        producer.send("hold", sent)
        sent += 1
        time.sleep(_FEED_PAUSE)
    return {"sent": sent}


def _sampled(ids: list[str]) -> dict[int, str]:
    """Return some of the tasks, spread evenly and with the last one: argument -> id."""
    step = max(1, len(ids) // _SAMPLES)
    return {number: ids[number] for number in sorted({*range(0, len(ids), step), len(ids) - 1})}


_JOBS: dict[str, Callable[..., Figures]] = {
    "enqueue": enqueue,
    "bulk": enqueue_in_bulk,
    "round_trips": round_trips,
    "check_stored": check_stored,
    "wait_for_many": wait_for_many,
    "feed": feed,
}


def main(arguments: list[str]) -> None:
    """Do the job on standard input."""
    (name,) = arguments
    job = json.load(sys.stdin)
    producer = load_peer(name).producer(Place.from_environment())
    figures = _JOBS[job["job"]](producer, **job["with"])
    Path(job["figures"]).write_text(json.dumps(figures))


if __name__ == "__main__":
    main(sys.argv[1:])
