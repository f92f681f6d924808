"""A user's project in a folder, and its command line as processes of their own."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

TASKS = """
import os
import time

from umbel import Reject, Umbel

app = Umbel("shop")


@app.task
def add(x, y=1):
    return x + y


@app.task
def fail(text):
    raise ValueError(text)


@app.task
def wait_for(path):
    open(path + ".started", "w").close()
    while not os.path.exists(path):
        time.sleep(0.01)
    return "seen"


@app.task
def refuse():
    raise Reject("not today")


@app.task
def refuse_unless(path):
    if not os.path.exists(path):
        raise Reject("not yet")
    return "went"
"""


class Project:
    """A folder with ``tasks.py``, whose commands speak to one Redis under one key prefix."""

    def __init__(self, folder: Path, url: str, prefix: str) -> None:
        self.folder = folder
        self.environ = {k: v for k, v in os.environ.items() if not k.startswith("UMBEL_")}
        self.environ |= {"UMBEL_BROKER_URL": url, "UMBEL_KEY_PREFIX": prefix}
        self._started: list[subprocess.Popen[bytes]] = []
        (folder / "tasks.py").write_text(TASKS)

    def _python(self, *args: str, **environ: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, *args],
            cwd=self.folder,
            env=self.environ | environ,
            capture_output=True,
            text=True,
            timeout=120,
            stdin=subprocess.DEVNULL,
            check=False,
        )

    def python(self, *args: str) -> str:
        """Run a program of Python; return what it prints."""
        done = self._python(*args)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def try_run(self, *args: str, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run ``umbel ARGS``, whatever comes of it."""
        return self._python("-m", "umbel.cli.main", *_patient(args), **environ)

    def run(self, *args: str, code: int = 0, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run ``umbel ARGS``; check its exit code, and that no traceback shows."""
        done = self.try_run(*args, **environ)
        assert done.returncode == code, (args, done.returncode, done.stdout, done.stderr)
        assert "Traceback" not in done.stderr, done.stderr
        return done

    def json(self, *args: str, code: int = 0) -> Any:
        """Run a command of the app with ``--json``; return what it prints."""
        return json.loads(self.run("-A", "tasks", *args, "--json", code=code).stdout)

    def error(self, *args: str, code: int, **environ: str) -> str:
        """Run a command that must fail; return its one sentence."""
        done = self.run(*args, code=code, **environ)
        lines = [line for line in done.stderr.splitlines() if line.startswith("Error: ")]
        assert len(lines) == 1, done.stderr
        return lines[0]

    def start_worker(
        self, *args: str, options: tuple[str, ...] = ("-A", "tasks"), **environ: str
    ) -> subprocess.Popen[bytes]:
        """Start a worker in the background, its log in ``worker.log``."""
        return self.start(*options, "worker", *args, **environ)

    def start(self, *args: str, **environ: str) -> subprocess.Popen[bytes]:
        """Start ``umbel ARGS`` in the background, its log in ``worker.log``; ended by `stop`."""
        with (self.folder / "worker.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "umbel.cli.main", *args],
                cwd=self.folder,
                env=self.environ | environ,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
            )
        self._started.append(process)
        return process

    def stop(self) -> None:
        """End all that was started, at once if they do not follow."""
        for process in self._started:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(5)


def _patient(args: tuple[str, ...]) -> list[str]:
    """Have who asks workers wait for their answers for longer than people do: a busy machine may take more than a second."""
    patient = list(args)
    for group in {"inspect", "control"}.intersection(args):
        if not {"-t", "-d", "-p", "--list"}.intersection(args):
            patient[patient.index(group) + 1 : patient.index(group) + 1] = ["-t", "20"]
    return patient


def wait_until(look: Callable[[], T], seconds: float = 60.0) -> T:
    """Return the first true answer.

    Raises:
        AssertionError: none came in time.
    """
    deadline = time.monotonic() + seconds
    while True:
        answer = look()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.05)
