"""One turn of one peer: its folder, its Redis, its worker and its producer."""

from __future__ import annotations

import contextlib
import json
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.adapter import Peer, Place
from benchmarks.counter import CounterReader
from benchmarks.environment import ROOT
from benchmarks.errors import BenchmarkError
from benchmarks.processes import Process
from benchmarks.server import Server, fresh_server

_PROCESSES = 2
_JOB_SECONDS = 600.0
_LOOK_SECONDS = 0.5


@dataclass(frozen=True)
class Job:
    """A job of a producer under way."""

    name: str
    process: Process
    path: Path

    def figures(self, worker: Process | None = None) -> dict[str, Any]:
        """Wait for the end and return the figures; raises if the job fails, or takes too long, or `worker` ends meanwhile."""
        code = _wait(self.process, worker)
        if code:
            raise BenchmarkError(
                f"{self.process.title} failed at `{self.name}` with exit code {code}; its last words:\n"
                f"{self.process.last_words()}"
            )
        found: dict[str, Any] = json.loads(self.path.read_text())
        return found


@dataclass(frozen=True)
class Turn:
    """What a measure works with."""

    name: str
    peer: Peer
    bin_dir: Path
    place: Place
    server: Server
    directory: Path

    @contextlib.contextmanager
    def worker(self, what: str = "the worker") -> Iterator[Process]:
        """Start the peer's worker and stop it on the way out."""
        command = self.peer.worker(self.place, self.bin_dir)
        process = Process(f"{what} of {self.peer.title}", command, self._environment(), self.directory)
        try:
            yield process
        finally:
            process.stop()

    def ran(self) -> int:
        """Return how many tasks have run so far."""
        return sum(CounterReader(self.place.counters).read().values())

    def produce(self, job: str, *, worker: Process | None = None, **arguments: Any) -> dict[str, Any]:
        """Run one job of `benchmarks.producer` in the peer's environment and return its figures.

        worker: without it the job cannot succeed, so its end ends the job.
        """
        with self.job(job, **arguments) as running:
            return running.figures(worker)

    @contextlib.contextmanager
    def job(self, name: str, **arguments: Any) -> Iterator[Job]:
        """Start one job of `benchmarks.producer`, and stop it on the way out."""
        path = self.directory / f"{name}.json"
        path.unlink(missing_ok=True)
        request = json.dumps({"job": name, "with": arguments, "figures": str(path)})
        title = f"the producer of {self.peer.title}"
        command = [str(self.bin_dir / "python"), "-m", "benchmarks.producer", self.name]
        process = Process(title, command, self._environment(), self.directory, standard_input=request)
        try:
            yield Job(name, process, path)
        finally:
            process.stop()

    def _environment(self) -> dict[str, str]:
        return {**self.place.environment(), "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}


def _wait(process: Process, worker: Process | None) -> int:
    """Return the exit code of a producer; raises if it takes too long or the worker ends meanwhile."""
    deadline = time.monotonic() + _JOB_SECONDS
    while time.monotonic() < deadline:
        if worker is not None:
            worker.require_alive()
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.wait(_LOOK_SECONDS)
    raise BenchmarkError(f"{process.title} did not finish within {_JOB_SECONDS:.0f} s")


@contextlib.contextmanager
def new_turn(
    name: str,
    peer: Peer,
    bin_dir: Path,
    *,
    waits_for_results: bool = False,
    must_recover: bool = False,
    processes: int = _PROCESSES,
    payload: int = 0,
) -> Iterator[Turn]:
    """Make a temporary folder and a fresh Redis for one measurement of one peer."""
    with tempfile.TemporaryDirectory(prefix="umbel-bench-") as path, fresh_server(Path(path)) as server:
        counters = Path(path) / "counters"
        counters.mkdir()
        place = Place(server.url, counters, processes, waits_for_results, must_recover, payload)
        yield Turn(name, peer, bin_dir, place, server, Path(path))
