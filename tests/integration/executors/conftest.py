"""One worker, for each executor and for each kind of task: what is tested here holds for all of them."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.executor_claims import claims
from tests.redis_server import RedisServer
from tests.workers import Worker, until

from umbel import Umbel
from umbel.result import AsyncResult

#: Tasks at once, in each executor that can.
SLOTS = 3
E = "tests.executor_app."


class Bench:
    """A worker of one executor, and an app that sends it tasks of one kind.

    Args:
        executor: of the worker.
        kind: "sync" for functions that block, "async" for coroutines.
    """

    def __init__(
        self, executor: str, kind: str, server: RedisServer, prefix: str, folder: Path, start: Callable[..., Worker]
    ) -> None:
        self.executor = executor
        self.kind = kind
        self.folder = folder
        self._server = server
        self._prefix = prefix
        self._start = start
        self.app = Umbel("bench", broker=server.url, key_prefix=prefix)
        self.worker = self.another()

    def another(self, *arguments: str, **environment: str) -> Worker:
        """Start one more worker."""
        return self._start(
            self._server,
            self._prefix,
            "--pool",
            self.executor,
            *arguments,
            app="tests.executor_app:app",
            concurrency=SLOTS,
            environment={"UMBEL_WORKER_CANCEL_TIMEOUT": "1.5", **environment},
        ).wait_ready()

    @property
    def shares_child(self) -> bool:
        """Whether several tasks run in one process."""
        return self.claim("Tasks in one process") == "several"

    def claim(self, row: str) -> str:
        """Return what the documents say of this executor."""
        return claims()[self.executor][row]

    def send(self, name: str, *args: Any, **options: Any) -> AsyncResult[Any]:
        """Send a task, in the kind that is tested."""
        return self.app.send_task(E + name + ("_async" if self.kind == "async" else ""), args, **options)

    def hold(self, name: str, task: str = "charges", **options: Any) -> AsyncResult[Any]:
        """Send a task that waits for `go`, and wait until it runs."""
        result = self.send(task, name, str(self.folder), **options)
        until((self.folder / f"running-{name}").exists, f"{name} runs")
        return result

    def go(self) -> None:
        """Let all tasks that wait end."""
        (self.folder / "go").touch()

    def notes(self, word: str) -> list[str]:
        """Return what tasks noted under a word."""
        ledger = self.worker.ledger
        lines = ledger.read_text().splitlines() if ledger.exists() else []
        return [line.split(" ", 1)[1] for line in lines if line.startswith(f"{word} ")]

    def pid_of(self, name: str) -> int:
        """Return the process in which a task runs."""
        path = self.folder / f"running-{name}"
        return int(until(path.read_text, f"{name} says where it runs"))

    def kill_child_of(self, name: str) -> None:
        """Kill -9 the process in which a task runs."""
        os.kill(self.pid_of(name), signal.SIGKILL)


EXECUTORS = ("process", "thread", "asyncio")


@pytest.fixture(params=EXECUTORS)
def executor(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=["sync", "async"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def bench(
    executor: str,
    kind: str,
    redis_server: RedisServer,
    prefix: str,
    tmp_path: Path,
    start_worker: Callable[..., Worker],
) -> Iterator[Bench]:
    bench = Bench(executor, kind, redis_server, prefix, tmp_path, start_worker)
    yield bench
    bench.app.close()
