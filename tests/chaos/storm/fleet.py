"""What the storm hits: one Redis, three workers, one beat and one producer, all of them real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from tests.chaos.storm.app import QUEUES
from tests.chaos.storm.ledger import VARIABLE
from tests.chaos.storm.memory import Size, size_of
from tests.integration.beat.process import BeatProcess
from tests.redis_server import RedisServer
from tests.workers import ROOT, Worker, until

APP = "tests.chaos.storm.app:app"
#: How each worker runs its tasks. Those of threads do not take the queue of tasks that use up their process's memory.
EXECUTORS = ("process", "process", "thread")
FILLED = "bulk"
CHILDREN = 2
#: Seconds that a worker which has to end waits for what it runs.
DRAIN = 3.0


@dataclass
class Place:
    """A place for a worker: who is there now, and what is being done to it."""

    worker: Worker
    executor: str
    frozen: list[int] = field(default_factory=list)  #: processes that were stopped
    leaving: bool = False
    absent: bool = False
    start: Size | None = None  #: of its supervisor, once it was ready


class Fleet:
    """See the module.

    Args:
        folder: for logs and the ledger.
        seed: of what the producer sends.
        rate: tasks sent a second.
        fsync: of Redis's append-only file.
    """

    def __init__(self, folder: Path, seed: int, rate: float, fsync: str) -> None:
        self.prefix = "storm"
        self.folder = folder
        self.ledger = folder / "ledger"
        self.redis = RedisServer(persistent=True, arguments=("--appendfsync", fsync))
        self.places: list[Place] = []
        self.ended: list[Worker] = []
        self._beat: BeatProcess | None = None
        self._producer: subprocess.Popen[bytes] | None = None
        self._seed, self._rate = seed, rate
        self._environment = {VARIABLE: str(self.ledger)}

    @property
    def beat(self) -> BeatProcess:
        assert self._beat is not None
        return self._beat

    def start(self) -> None:
        """Start all of it and wait until it works."""
        self.redis.start()
        self.places = [Place(self.new_worker(executor), executor) for executor in EXECUTORS]
        self.start_beat()
        for place in self.places:
            place.worker.wait_ready(60)
            place.start = size_of(place.worker.pid)
        self._start_producer()

    def new_worker(self, executor: str) -> Worker:
        """Start one more worker."""
        served = [queue for queue in QUEUES if executor == "process" or queue != FILLED]
        queues = ",".join(f"{queue}={weight}" for weight, queue in enumerate(served, 1))
        return Worker(
            self.redis.url,
            self.prefix,
            self.folder,
            "--queues",
            queues,
            "--pool",
            executor,
            "--drain-timeout",
            str(DRAIN),
            app=APP,
            concurrency=CHILDREN,
            environment=self._environment,
        )

    def start_beat(self) -> None:
        """Start a beat."""
        self._beat = BeatProcess(
            self.redis,
            self.prefix,
            self.folder / "beat.log",
            app=APP,
            cwd=ROOT,
            env={**self._environment, "PYTHONPATH": str(ROOT)},
        )

    def _start_producer(self) -> None:
        command = [sys.executable, "-m", "tests.chaos.storm.producer", str(self._seed), str(self._rate)]
        environment = {
            **os.environ,
            **self._environment,
            "UMBEL_BROKER_URL": self.redis.url,
            "UMBEL_KEY_PREFIX": self.prefix,
        }
        log: IO[bytes]
        with (self.folder / "producer.log").open("wb") as log:
            self._producer = subprocess.Popen(
                command, cwd=ROOT, env=environment, stdout=log, stderr=log, start_new_session=True
            )

    def end_producer(self) -> str:
        """Let the producer end; return what is wrong with it, empty when nothing is."""
        assert self._producer is not None
        self._producer.terminate()
        code = self._producer.wait(60)
        words = (self.folder / "producer.log").read_text()[-1500:]
        return "" if code == 0 and not words else f"the producer ended with {code}: {words}"

    def wait_ready(self, seconds: float) -> None:
        """Wait until every place has a worker that is ready."""
        until(lambda: all(place.worker.probe("readyz")[0] == 200 for place in self.places), "all are ready", seconds)

    def remove(self) -> None:
        """End all that still runs."""
        for place in self.places:
            for pid in place.frozen:
                _send(pid, signal.SIGCONT)
        for worker in [*(place.worker for place in self.places), *self.ended]:
            worker.remove()
        if self._beat is not None and self._beat.process.poll() is None:
            self._beat.kill()
        if self._producer is not None and self._producer.poll() is None:
            self._producer.kill()
            self._producer.wait(10)
        self.redis.go_on()
        self.redis.remove()


def _send(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
