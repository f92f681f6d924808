"""Workers as real processes, for tests that kill, freeze and drain them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

from umbel import Umbel
from umbel.worker.inspection import CHILDREN_PATIENCE

ROOT = Path(__file__).parent.parent


def until(condition: Callable[[], Any], what: str, seconds: float = 30.0) -> Any:
    """Wait until ``condition`` returns something true, and return that; fail after ``seconds``."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:g} s: {what}")
        time.sleep(0.02)


class Worker:
    """One ``umbel worker``.

    Args:
        url: of the broker.
        prefix: of the keys.
        folder: for log and ledger.
        app: module and attribute.
        arguments: more of the command line.
        environment: more variables.
    """

    count = 0

    def __init__(
        self,
        url: str,
        prefix: str,
        folder: Path,
        *arguments: str,
        app: str = "tests.sample_app:app",
        concurrency: int = 2,
        environment: dict[str, str] | None = None,
    ) -> None:
        Worker.count += 1
        self.log = folder / f"worker-{Worker.count}.log"
        self.ledger = folder / "ledger"
        self.hostname = f"w{Worker.count}@test"
        command = [sys.executable, "-m", "umbel", "-A", app, "worker", "--concurrency", str(concurrency)]
        command += ["--health-port", "0", "--hostname", self.hostname, *arguments]
        self.environment = {
            **os.environ,
            "UMBEL_BROKER_URL": url,
            "UMBEL_KEY_PREFIX": prefix,
            "UMBEL_LOG_FORMAT": "json",
            "SAMPLE_LEDGER": str(self.ledger),
            "PYTHONUNBUFFERED": "1",
            **(environment or {}),
        }
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command, cwd=ROOT, env=self.environment, stdout=log, stderr=log, start_new_session=True
            )

    @property
    def pid(self) -> int:
        """The supervisor's."""
        return self.process.pid

    def events(self, name: str | None = None) -> list[dict[str, Any]]:
        """Return what it has logged: all, or the events of one name."""
        found = []
        for line in self.log.read_text(errors="replace").splitlines():
            try:
                event = json.loads(line)
            except ValueError:
                continue
            if name is None or event.get("event") == name:
                found.append(event)
        return found

    def wait_ready(self, seconds: float = 40.0) -> Worker:
        """Wait until ``/readyz`` says so: one child at least is registered by then, the others may be on their way."""
        try:
            until(lambda: self.probe("readyz")[0] == 200, "the worker is ready", seconds)
        except AssertionError as late:
            raise AssertionError(f"{late}\n{self.log.read_text()[-2000:]}") from None
        return self

    def probe(self, path: str) -> tuple[int, str]:
        """Ask a probe; status 0 when nobody answers."""
        started = self.events("worker.health")
        if not started:
            return 0, ""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{started[-1]['port']}/{path}", timeout=15) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def children(self) -> list[int]:
        """Return the pids of all living descendants that run tasks or the zygote."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdecimal():
                try:
                    fields = (entry / "stat").read_text().rpartition(")")[2].split()
                except OSError:
                    continue
                if int(fields[1]) == self.pid and fields[0] != "Z":
                    found.append(int(entry.name))
        return sorted(found)

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the supervisor."""
        self.process.send_signal(number)

    def kill(self) -> None:
        """Kill the supervisor with SIGKILL: its zygote and its children die with it."""
        self.process.kill()
        self.process.wait(10)

    def stop(self, seconds: float = 30.0) -> int:
        """Ask it to end (SIGTERM) and return its exit code."""
        self.process.terminate()
        return self.process.wait(seconds)

    def remove(self) -> None:
        """End it whatever it does."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)


def runs(ledger: Path, word: str = "ran") -> list[str]:
    """Return what the ledger notes under a word, a line a run."""
    if not ledger.exists():
        return []
    whole = ledger.read_text().rpartition("\n")[0]  # another process may be in the middle of a line
    return [line.split(" ", 1)[1] for line in whole.splitlines() if line.startswith(f"{word} ")]


def heard(app: Umbel) -> None:
    """Wait until the children of all workers have heard what these had to tell them: an answer to a command comes before that.

    The list of revoked tasks is answered once all children have said something, or too late if one of them does not. What a
    child is told it reads in order.
    """

    def at_once() -> bool:
        began = time.monotonic()
        found = app.control.inspect(timeout=20.0).revoked()
        return bool(found) and time.monotonic() - began < CHILDREN_PATIENCE

    until(at_once, "all children answer")
