"""`python -m tests.chaos.soak`: millions of tasks, and what they leave in memory; exits with 1 if anything has grown."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from tests.chaos.soak import app as soak
from tests.chaos.soak.sizes import compare, look
from tests.redis_server import RedisServer
from tests.workers import Worker, until

from umbel.redis import keys
from umbel.result import AsyncResult

#: Tasks of one send, tasks that may wait, and seconds between two looks.
BATCH, BACKLOG, LOOK = 1000, 20_000, 5.0
console = Console(highlight=False, soft_wrap=True)


class Soak:
    """One Redis, one worker of two children, and this process, which sends."""

    def __init__(self) -> None:
        self.server = RedisServer()
        self.server.start()
        folder = Path(tempfile.mkdtemp(prefix="umbel-soak-"))
        self.worker = Worker(self.server.url, "soak", folder, "--loglevel", "CRITICAL", app="tests.chaos.soak.app:app")
        soak.app.conf.update(broker_url=self.server.url, key_prefix="soak")
        self.client = self.server.client()
        self.wrong: list[str] = []
        self._began = time.monotonic()
        self._shown = 0.0
        self._sent = 0
        # Sends with the lowest log level have no /readyz to wait for: the log does not tell its port.
        until(lambda: len(self._children()) == 2, "both children are there", 60)

    def run(self, name: str, count: int, kinds: Callable[[int], Iterator[AsyncResult[Any] | None]]) -> None:
        """Send tasks until ``count`` are done, first a tenth of them to warm up; compare the quiet moments after each."""
        self._drive(count // 10, kinds)
        before = self._quiet()
        self._show(f"{name}: warm", before)
        began = time.monotonic()
        self._drive(count, kinds)
        rate = count / (time.monotonic() - began)
        after = self._quiet()
        self._show(f"{name}: {count} done, {rate:.0f}/s", after)
        self.wrong += [f"{name}: {said}" for said in compare(before, after)]

    def remove(self) -> None:
        """End all of it."""
        soak.app.close()
        code = self.worker.stop()
        if code:
            self.wrong.append(f"the worker ended with {code}")
        self.client.close()
        self.server.remove()

    def _drive(self, count: int, kinds: Callable[[int], Iterator[AsyncResult[Any] | None]]) -> None:
        for _ in range(0, count, BATCH):
            with soak.app.batch():
                awaited = [result for result in kinds(BATCH) if result is not None]
            for result in awaited:
                result.get(timeout=60)
            self._sent += BATCH
            while soak.app.broker.info("default").ready > BACKLOG:
                time.sleep(0.01)
            if time.monotonic() - self._shown > LOOK:
                self._show(f"{self._sent} sent", look(self.worker, self.client, self._children()))

    def _quiet(self) -> dict[str, float]:
        """Wait until nothing is left, results neither, and look."""

        def empty() -> bool:
            info = soak.app.broker.info("default")
            return not (info.ready or info.delayed or info.in_flight)

        until(empty, "all is done", 120)
        until(lambda: not self._results(), "all results have expired", 120)
        return look(self.worker, self.client, self._children())

    def _results(self) -> int:
        passing = [*self._inboxes(), *(key.encode() for key in (keys.own_turn("soak"), keys.own_watch("soak")))]
        return int(self.client.info("keyspace").get("db0", {}).get("expires", 0)) - self.client.exists(*passing)

    def _inboxes(self) -> list[bytes]:
        return list(self.client.scan_iter("soak:{inbox:*", count=1000)) or [b"none"]

    def _children(self) -> list[int]:
        liveness = soak.app.broker.liveness()
        try:
            return [owner.pid for owner in liveness.owners() if owner.pid in self.worker.children()]
        finally:
            liveness.close()

    def _show(self, title: str, sizes: dict[str, float]) -> None:
        self._shown = time.monotonic()
        figures = "  ".join(f"{who} {size:.1f}" for who, size in sorted(sizes.items()))
        console.print(f"{self._shown - self._began:6.1f} s  {title:<28} MiB: {figures}", markup=False)


def _noops(count: int) -> Iterator[AsyncResult[Any] | None]:
    for _ in range(count):
        soak.noop.delay()
        yield None


def _all_kinds(count: int) -> Iterator[AsyncResult[Any] | None]:
    """Send a bit of everything; yield what is to be waited for."""
    for number in range(count):
        match number % 20:
            case 0:
                soak.fails.delay(number)
            case 1:
                soak.comes_again.delay()
            case 2:
                soak.silent.delay()
            case 3:
                soak.awaits.delay()
            case 4:
                soak.noop.apply_async(countdown=0.1, priority=number % 10)
            case 5:
                yield soak.returns.delay(100)
                continue
            case _:
                soak.noop.delay()
        yield None


def main() -> int:
    """Read the command line, soak, print."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.soak", description=__doc__)
    parser.add_argument(
        "--tasks", type=int, default=3_000_000, help="that do nothing; a tenth as many of all kinds follow"
    )
    tasks = parser.parse_args().tasks
    run = Soak()
    try:
        run.run("no-op", tasks, _noops)
        run.run("all kinds", tasks // 10, _all_kinds)
    finally:
        run.remove()
    for said in run.wrong:
        console.print(f"WRONG: {said}", markup=False)
    console.print("memory is back at its baseline" if not run.wrong else f"{len(run.wrong)} have grown")
    return 1 if run.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
