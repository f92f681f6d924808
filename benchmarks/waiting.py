"""10,000 who wait at the same time in one process, in three ways: ``python -m benchmarks.waiting``.

Coroutines with ``await result``, threads with ``result.get()``, and results of a set whose function is called by ``then``. Once all
wait, their connections are counted by CLIENT LIST; then another process writes the results, in no order.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from benchmarks.errors import BenchmarkError
from benchmarks.server import fresh_server
from umbel import Umbel
from umbel.record import Record
from umbel.redis.endpoint import Endpoint
from umbel.results.base import End

_PATIENCE = 120.0
_BATCH = 100  # as a child reports them
_MIB = 1024.0 * 1024.0


@dataclass(frozen=True)
class Waits:
    """What one process took that waited."""

    coroutines: int
    threads: int
    callbacks: int
    begun_seconds: float  #: until all waited
    mib: float  #: of memory more than before
    connections: int | None  #: to Redis, in all; None for others
    blocked: int | None  #: of these, those on which somebody waits
    ended_seconds: float  #: from the start of the process that writes to the last that had come


def take(url: str, prefix: str, *, coroutines: int = 4700, threads: int = 300, callbacks: int = 5000) -> Waits:
    """Let so many wait for results at ``url``, and have these written.

    Raises:
        BenchmarkError: not all came.
    """
    app = _app(url, prefix)
    app.results.get("none")
    before, begun = _memory(), time.perf_counter()
    came: list[Any] = []
    asked = [f"{way}{number}" for way, count in (("t", threads), ("s", callbacks)) for number in range(count)]
    waiting = [
        threading.Thread(
            target=lambda name=name: came.append(app.AsyncResult(name).get(timeout=_PATIENCE)), daemon=True
        )
        for name in asked[:threads]
    ]
    for thread in waiting:
        thread.start()
    told = threading.Event()
    app.ResultSet([app.AsyncResult(name) for name in asked[threads:]]).then(lambda results: told.set())
    names = [*asked, *(f"a{number}" for number in range(coroutines))]

    async def wait() -> tuple[Waits, list[Any]]:
        tasks = [asyncio.create_task(_await(app, name)) for name in names[threads + callbacks :]]
        await _until(lambda: _waiting(app) == len(names))
        seconds, memory = time.perf_counter() - begun, _memory() - before
        connections, blocked = _connections(url)
        while blocked == 0 and time.perf_counter() - begun < _PATIENCE:  # who reads is between two questions
            await asyncio.sleep(0.02)
            connections, blocked = _connections(url)
        ended = time.perf_counter()
        await asyncio.to_thread(_write_elsewhere, url, prefix, names)
        values = await asyncio.gather(*tasks)
        await _until(lambda: told.is_set() and len(came) == threads)
        ended = time.perf_counter() - ended
        return Waits(coroutines, threads, callbacks, seconds, memory / _MIB, connections, blocked, ended), values

    try:
        waits, values = asyncio.run(wait())
    finally:
        app.close()
    if values + came != [1] * (coroutines + threads):
        raise BenchmarkError(f"{len(values)} and {len(came)} results came, and not all as they were written")
    return waits


async def _await(app: Umbel, name: str) -> Any:
    return await app.AsyncResult(name)


async def _until(condition: Any) -> None:
    end = time.monotonic() + _PATIENCE
    while not condition():
        if time.monotonic() > end:
            raise BenchmarkError(f"not all had begun, or ended, after {_PATIENCE:.0f} s")
        await asyncio.sleep(0.02)


def _app(url: str, prefix: str) -> Umbel:
    return Umbel("waiting", broker="memory://waiting", backend=url, key_prefix=prefix, set_as_current=False)


def _waiting(app: Umbel) -> int:
    """Return how many results are awaited."""
    results: Any = app.results
    owner = getattr(results, "_inbox", results)  # the inbox of Redis, or the backend itself
    waiting = getattr(owner, "waiting", None) or getattr(owner, "_waiting", None)
    return 0 if waiting is None else len(waiting._futures)


def _write_elsewhere(url: str, prefix: str, names: list[str]) -> None:
    process = multiprocessing.get_context("spawn").Process(target=_write, args=(url, prefix, names))
    process.start()
    process.join()


def _write(url: str, prefix: str, names: list[str]) -> None:
    app = _app(url, prefix)
    mixed = random.Random(0).sample(names, len(names))
    for start in range(0, len(mixed), _BATCH):
        record = Record("SUCCESS", b"1", 0, int(time.time() * 1000))
        app.results.store_ends([End(name, record, 600.0) for name in mixed[start : start + _BATCH]])
    app.close()


def _connections(url: str) -> tuple[int | None, int | None]:
    """Return the connections to Redis but for the one that asks, and those of them that block."""
    if not url.startswith("redis"):
        return None, None
    connection = Endpoint(url).connect(5.0)
    try:
        lines = connection.call(b"CLIENT", b"LIST").decode().splitlines()
    finally:
        connection.close()
    return len(lines) - 1, sum(" cmd=blpop " in line for line in lines)


def _memory() -> int:
    """Return the bytes of this process that are in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def page(backend: str, waits: Waits) -> str:
    """Return what was measured as a line."""
    many = waits.coroutines + waits.threads + waits.callbacks
    connections = "" if waits.connections is None else f", {waits.blocked} of {waits.connections} connections waits"
    return (
        f"{backend}: {many} wait ({waits.coroutines} coroutines, {waits.threads} threads, {waits.callbacks} in a set) after "
        f"{waits.begun_seconds:.1f} s, with {waits.mib:.0f} MiB more{connections}; all had come {waits.ended_seconds:.1f} s after "
        "another process began to write them"
    )


def main() -> int:
    """Take it on Redis and on SQLite, each in a process of its own, and print it; or at one URL, as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.waiting", description=__doc__)
    parser.add_argument("--url", help="of one result backend, such as db+postgresql://…; prints JSON")
    args = parser.parse_args()
    if args.url:
        print(json.dumps(asdict(take(args.url, f"bench{os.getpid()}"))))
        return 0
    print(f"load {os.getloadavg()[0]:.1f}", flush=True)
    with tempfile.TemporaryDirectory() as folder, fresh_server(Path(folder)) as server:
        for backend, url in (("Redis", server.url), ("SQLite", f"db+sqlite:///{folder}/results.db")):
            done = subprocess.run(
                [sys.executable, "-m", "benchmarks.waiting", "--url", url], check=True, stdout=subprocess.PIPE
            )
            print(page(backend, Waits(**json.loads(done.stdout))), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
