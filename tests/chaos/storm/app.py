"""The tasks that run in the storm. Each says in the ledger that it begins, and at its very end that it ran."""

from __future__ import annotations

import mmap
import os
import resource
import time
from pathlib import Path
from typing import Any

from tests.chaos.storm.ledger import note

from umbel import Umbel
from umbel.errors import OperationalError, PublishUncertain

QUEUES = ("default", "mail", "reports", "bulk")

app = Umbel("storm", result_expires=7200)
app.conf.beat_schedule = {
    "every second": {"task": "tests.chaos.storm.app.tick", "schedule": 1.0},
    "every other second": {"task": "tests.chaos.storm.app.tick", "schedule": 2.0, "options": {"queue": "reports"}},
}


def _began(task: Any) -> None:
    note("began", task.request.id, task.request.attempt)


def _ran(task: Any) -> None:
    note("ran", task.request.id)


@app.task(bind=True)
def work(self: Any, seconds: float = 0.0) -> float:
    _began(self)
    if seconds:
        time.sleep(seconds)
    _ran(self)
    return seconds


@app.task(bind=True, acks_late=False)
def once(self: Any, seconds: float = 0.0) -> None:
    """At most once: it may fail for good with its worker, and must not begin twice."""
    _began(self)
    time.sleep(seconds)
    _ran(self)


@app.task(bind=True, max_retries=None)
def comes_again(self: Any, times: int, pause: float) -> int:
    _began(self)
    if self.request.retries < times:
        raise self.retry(countdown=pause)
    _ran(self)
    return times


@app.task(bind=True, concurrency_limit=1, key="customer")
def one_by_one(self: Any, customer: int, seconds: float) -> None:
    """Wait, put aside, until no other of the customer runs."""
    _began(self)
    time.sleep(seconds)
    _ran(self)


@app.task(bind=True, rate_limit="30/s")
def rated(self: Any) -> None:
    _began(self)
    _ran(self)


@app.task(bind=True, unique=True)
def unique(self: Any, key: int) -> None:
    """Wait once, however often it is asked for."""
    _began(self)
    _ran(self)


@app.task(bind=True)
def sends(self: Any, count: int) -> None:
    """Send further tasks."""
    _began(self)
    for number in range(count):
        send(work, (0.0,), {}, f"{self.request.id}.{number}")
    _ran(self)


@app.task(bind=True)
def exits(self: Any) -> None:
    _began(self)
    os._exit(7)


@app.task(bind=True, time_limit=1.0)
def hangs(self: Any) -> None:
    _began(self)
    while True:
        time.sleep(60)


@app.task(bind=True)
def fills_memory(self: Any, megabytes: int) -> None:
    """Take memory until there is no more: the process may have this much beyond what it has."""
    _began(self)
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * mmap.PAGESIZE + megabytes * 2**20, before[1]))
    hoard: list[bytes] = []
    try:
        while True:
            hoard.append(b"x" * 2**20)
    finally:
        hoard.clear()
        resource.setrlimit(resource.RLIMIT_AS, before)


@app.task(bind=True)
def tick(self: Any) -> None:
    """What beat sends."""
    _began(self)
    _ran(self)


def send(task: Any, args: tuple[Any, ...], options: dict[str, Any], task_id: str) -> Any:
    """Send a task and write down what became of that; return its result, None if it was not sent for certain."""
    note("sending", task_id)
    began = time.monotonic()
    result, said = None, "sent"
    try:
        result = task.apply_async(args, task_id=task_id, **options)
        if result.id != task_id:  # a unique one: another is waiting already
            said = "merged"
    except PublishUncertain:
        said = "uncertain"
    except OperationalError:
        said = "refused"
    note(said, task_id, f"{time.monotonic() - began:.3f}")
    return result
