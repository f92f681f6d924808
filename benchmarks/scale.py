"""``python -m benchmarks.scale``: does the cost of a task grow with what waits? And does one tenant delay another?

Each row starts with a fresh Redis, puts a backlog into one queue, starts a worker with two children, and looks at the rate of
no-op tasks with stored results, and at Redis's processor time for one of them, while the backlog is there. Memory is what the
backlog adds to Redis's ``used_memory``, for one task.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.adapter import Place
from benchmarks.counter import CounterReader
from benchmarks.errors import BenchmarkError
from benchmarks.machine import describe
from benchmarks.processes import Process
from benchmarks.proctree import cpu_seconds
from benchmarks.server import Server, fresh_server

QUEUE = "default"
#: Messages of one publish call, and seconds after which nothing more is expected of a worker.
CHUNK = 1000
PATIENCE = 120.0
DAY = 86400.0


@dataclass(frozen=True)
class Row:
    """What one backlog showed. Bytes and processor microseconds are for one task."""

    backlog: str
    tasks: int
    bytes_a_task: float
    rate: float
    redis_us: float


@dataclass(frozen=True)
class Backlog:
    """What waits while the rate is taken.

    Args:
        title: for the table.
        count: how many wait.
        delay: seconds that they are delayed.
        group: the group of the n-th one, None for none.
        beside: more no-ops that are ready, where the backlog itself is not to run.
    """

    title: str
    count: int
    delay: float = 0.0
    group: Callable[[int], str | None] = lambda number: None
    beside: int = 0


def backlogs(many: int, measured: int) -> list[Backlog]:
    """Return the rows of the table."""
    few = max(measured, many // 50)
    return [
        Backlog("few ready", few),
        Backlog("many ready", many),
        Backlog("many due tomorrow, few ready", many, DAY, beside=few),
        Backlog("many due now", many, 0.001),
        Backlog("few ready, of one group", few, group=lambda number: "only"),
        Backlog("many ready, of one group", many, group=lambda number: "only"),
        Backlog("many ready, of 10,000 groups", many, group=lambda number: f"group-{number % 10_000}"),
    ]


class Bench:
    """One fresh Redis with a producer, and a worker when it is wanted."""

    def __init__(self, server: Server, folder: Path) -> None:
        from umbel import Umbel

        self.server = server
        self._folder = folder
        self.place = Place(server.url, folder / "counters", 2, False)
        self.place.counters.mkdir()
        self.app = Umbel("scale", broker=server.url, set_as_current=False)

    def send(self, count: int, delay: float = 0.0, group: Callable[[int], str | None] = lambda number: None) -> None:
        """Put no-ops into the queue."""
        from umbel.broker.base import Outgoing
        from umbel.ids import new_task_id
        from umbel.message import Message

        for start in range(0, count, CHUNK):
            chunk = []
            for number in range(start, min(count, start + CHUNK)):
                headers = {"id": new_task_id(), "task": "noop"}
                name = group(number)
                if name is not None:
                    headers["group"] = name
                payload = Message(headers, b"[[%d],{}]" % number).encode()
                chunk.append(Outgoing(payload, headers["id"], delay))
            self.app.broker.publish(QUEUE, chunk)

    def memory(self) -> int:
        """Return the bytes that Redis's data take."""
        return int(self.server.info("memory")["used_memory"])

    @contextlib.contextmanager
    def worker(self) -> Iterator[Process]:
        """Run a worker with two children."""
        command = [sys.executable, "-m", "umbel", "-A", "benchmarks.peers.umbel.tasks", "worker"]
        command += ["--concurrency", "2", "--loglevel", "WARNING"]
        environment = {**self.place.environment(), "PYTHONPATH": os.getcwd()}
        process = Process("the worker", command, environment, self._folder)
        try:
            yield process
        finally:
            process.kill()
            process.wait(PATIENCE)


def measure(backlog: Backlog, measured: int) -> Row:
    """Take one row: the rate between the first tenth and the last of the tasks that are looked at."""
    with _bench() as bench:
        bench.send(1)
        bench.app.broker.purge(QUEUE)
        before = bench.memory()
        bench.send(backlog.count, backlog.delay, backlog.group)
        each = (bench.memory() - before) / backlog.count
        bench.send(backlog.beside)
        reader = CounterReader(bench.place.counters)
        with bench.worker() as worker:
            first = _reach(reader, measured // 10, worker, bench.server)
            last = _reach(reader, measured * 9 // 10, worker, bench.server)
        if last[0] == first[0]:
            raise BenchmarkError(f"{measured} tasks were over before a rate could be taken: look at more")
        done, seconds, cpu = last[0] - first[0], last[1] - first[1], last[2] - first[2]
        return Row(backlog.title, backlog.count, each, done / seconds, cpu / done * 1e6)


def tenants(big: int, small: int) -> float:
    """Return the seconds until the tasks of a small tenant are done that were sent after those of a big one."""
    with _bench() as bench:
        bench.send(big, group=lambda number: "big")
        app = bench.app
        results = [app.send_task("noop", (number,), group="small") for number in range(small)]
        began = time.perf_counter()
        with bench.worker():
            for result in results:
                result.get(timeout=PATIENCE)
            took = time.perf_counter() - began
            left = app.broker.info(QUEUE).ready
        print(f"  {left:,} of the big tenant's {big:,} tasks waited still", file=sys.stderr)
        return took


@contextlib.contextmanager
def _bench() -> Iterator[Bench]:
    with tempfile.TemporaryDirectory() as name, fresh_server(Path(name)) as server:
        bench = Bench(server, Path(name))
        try:
            yield bench
        finally:
            bench.app.close()


def _reach(reader: CounterReader, tasks: int, worker: Process, server: Server) -> tuple[int, float, float]:
    """Wait until so many tasks have run; return how many, when, and Redis's processor seconds."""
    deadline = time.perf_counter() + PATIENCE
    while (done := sum(reader.read().values())) < tasks:
        worker.require_alive()
        if time.perf_counter() > deadline:
            raise BenchmarkError(f"the worker ran {done} of {tasks} tasks in {PATIENCE:.0f} s: {worker.last_words()}")
        time.sleep(0.002)
    return done, time.perf_counter(), cpu_seconds(server.process.pid)


def main() -> int:
    """Run all rows and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    parser.add_argument("--many", type=int, default=1_000_000, help="tasks of a long backlog (default: a million)")
    parser.add_argument("--measured", type=int, default=20_000, help="tasks over which a rate is taken")
    parser.add_argument("--tenant", type=int, default=100_000, help="tasks of the big tenant")
    parser.add_argument("--json", type=Path, help="write the figures here too")
    given = parser.parse_args()
    rows = []
    print(f"{'backlog':32} {'tasks':>10} {'bytes/task':>11} {'tasks/s':>9} {'Redis us/task':>14}")
    for backlog in backlogs(given.many, given.measured):
        row = measure(backlog, given.measured)
        rows.append(row)
        print(
            f"{row.backlog:32} {row.tasks:>10,} {row.bytes_a_task:>11.0f} {row.rate:>9,.0f} {row.redis_us:>14.1f}",
            flush=True,
        )
    took = tenants(given.tenant, 10)
    print(
        f"ten tasks of a small tenant behind {given.tenant:,} of a big one: {took:.2f} s, the start of the worker included"
    )
    if given.json is not None:
        figures = {"machine": describe(), "rows": [asdict(row) for row in rows], "tenant_seconds": took}
        given.json.write_text(json.dumps(figures, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
