"""A steady load on real workers, and what it met: the frame of tests that do something to Redis meanwhile."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from tests.workers import Worker, runs, until

from umbel import Umbel
from umbel.errors import OperationalError, PublishUncertain

S = "tests.sample_app."


class Load:
    """Sends numbered tasks from a thread until it is told to end, and asks every worker all the while whether it lives.

    Args:
        app: sends.
        workers: run what is sent.
        pause: seconds between two sends.
    """

    def __init__(self, app: Umbel, workers: list[Worker], pause: float = 0.005) -> None:
        self.results: dict[int, Any] = {}  #: of what was sent for certain
        self.uncertain: set[int] = set()
        self.errors: list[OperationalError] = []
        self.sent_at: dict[int, float] = {}
        self.dead_probes: list[str] = []
        self._app = app
        self._workers = workers
        self._pause = pause
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=self._send), threading.Thread(target=self._probe)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join(30)

    @property
    def ledger(self) -> Counter[int]:
        """How often each task ran."""
        return Counter(int(number) for number in runs(self._workers[0].ledger))

    def runs_on(self, seconds: float = 30.0) -> None:
        """Wait until a task that is sent from now on was sent and run, and all workers are ready."""
        since = time.monotonic()

        def went_on() -> bool:
            ran = self.ledger
            return any(ran[number] for number, at in list(self.sent_at.items()) if at > since)

        until(went_on, "tasks are sent and run again", seconds)
        until(lambda: all(worker.probe("readyz")[0] == 200 for worker in self._workers), "all are ready", seconds)

    def is_complete(self) -> Counter[int]:
        """Check, after the end, that every task ran, every result came and every probe was answered; return the runs."""
        assert self.results
        assert {number: result.get(timeout=30) for number, result in self.results.items()} == {
            number: number for number in self.results
        }
        counts = self.ledger
        assert set(self.results) <= set(counts)
        assert set(counts) <= set(self.results) | self.uncertain

        def empty() -> bool:
            info = self._app.broker.info("default")  # what was held by one that is buried is ready again, and then runs
            return info.ready + info.delayed + info.in_flight == 0

        until(empty, "nothing is left")
        assert self._app.broker.info("default").dead == 0
        assert self.dead_probes == []
        return counts

    def _send(self) -> None:
        number = 0
        while not self._ended.wait(self._pause):
            began = time.monotonic()
            try:
                self.results[number] = self._app.send_task(S + "work", (number, 0.001))
                self.sent_at[number] = began
            except PublishUncertain as error:
                self.errors.append(error)
                self.uncertain.add(number)
            except OperationalError as error:
                self.errors.append(error)
            number += 1

    def _probe(self) -> None:
        while not self._ended.wait(0.2):
            for worker in self._workers:
                status, said = worker.probe("livez")
                if status != 200:
                    self.dead_probes.append(f"{worker.hostname}: {status} {said}")


def not_ready(workers: list[Worker]) -> Callable[[], bool]:
    """Return a condition: every worker says that it is not ready."""
    return lambda: all(worker.probe("readyz")[0] == 503 for worker in workers)
