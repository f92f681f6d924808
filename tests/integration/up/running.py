"""`umbel up` as a process of its own, with the files of one test, watched from outside."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")

QUEUE = """\
apiVersion: umbel.dev/v1alpha1
kind: TaskQueue
metadata:
  name: texts
spec: {}
"""

POOL = """\
apiVersion: umbel.dev/v1alpha1
kind: WorkerPool
metadata:
  name: readers
spec:
  queues:
    - name: texts
  app: tasks:app
  image: nobody/needs:this
  replicas: 1
  concurrency:
    slots: 1
"""

TASKS = '''\
"""Tasks of the tests."""

import os
import time
from pathlib import Path

from umbel import Umbel

app = Umbel("tests", task_default_queue="texts")


@app.task
def where():
    return os.environ["UMBEL_POD_NAME"]


@app.task
def hold(begun, gate):
    """Say that it runs, and wait for the gate."""
    with Path(begun).open("a", encoding="utf-8") as file:
        file.write("x")
    while not Path(gate).exists():
        time.sleep(0.02)
    return "held"


@app.task
def environment():
    return dict(os.environ)
'''


def wait(what: str, look: Callable[[], T | None], seconds: float = 60.0) -> T:
    """Look until there is something, and return it; fail after so many seconds."""
    deadline = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {seconds:g} s in vain for {what}")
        time.sleep(0.05)


class RunningUp:
    """One `umbel up`.

    folder: holds its files (`files`) and its temporary files (`tmp`).
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files = folder / "files"
        self.tmp = folder / "tmp"
        self.lines: list[str] = []
        self.files.mkdir()
        self.tmp.mkdir()
        self._process: subprocess.Popen[str] | None = None
        self._reader: threading.Thread | None = None

    def write(self, **texts: str) -> None:
        """Write files: `queue="…"` becomes queue.yaml, `tasks="…"` tasks.py."""
        for name, text in texts.items():
            half = self.folder / "half"  # a file that is written in two steps is two changes
            half.write_text(text, encoding="utf-8")
            half.replace(self.files / f"{name}.{'py' if name == 'tasks' else 'yaml'}")

    def start(self, *arguments: str, paths: tuple[Path, ...] = (), variables: Mapping[str, str] | None = None) -> None:
        """Start it on the test's files, or on other paths, with more variables in its environment."""
        files = [part for path in (paths or (self.files,)) for part in ("-f", str(path))]
        environment = {**os.environ, "TMPDIR": str(self.tmp), "UMBEL_BROKER_URL": "redis://nowhere.invalid:1/0"}
        environment |= variables or {}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "umbel", "up", *files, "--no-table", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, args=(self._process,), daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """Return the id of its process."""
        assert self._process is not None
        return self._process.pid

    def find(self, pattern: str) -> list[str]:
        """Return the lines, or their first groups, in which the pattern is found."""
        matches = (re.search(pattern, line) for line in list(self.lines))
        return [match[1] if match.re.groups else match.string for match in matches if match is not None]

    def wait_line(self, pattern: str, count: int = 1, seconds: float = 60.0) -> str:
        """Wait until the pattern was found so many times; return the last of them."""
        try:
            return wait(f"{count} lines with {pattern!r}", lambda: self.find(pattern)[count - 1 : count], seconds)[0]
        except AssertionError as late:
            raise AssertionError(f"{late}\n" + "\n".join(self.lines)) from None

    def broker(self) -> dict[str, Any]:
        """Wait for the lines that producers need; return the settings in them."""
        text = self.wait_line(r"for producers:  export (.*)")
        found = dict(part.split("=", 1) for part in text.split())
        return {"broker": found["UMBEL_BROKER_URL"], "key_prefix": found["UMBEL_KEY_PREFIX"]}

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        os.kill(self.pid, number)

    def wait_end(self, seconds: float = 60.0) -> int:
        """Wait for its end and its last line; return the exit code."""
        assert self._process is not None
        assert self._reader is not None
        try:
            code = self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it did not end within {seconds:g} s\n" + "\n".join(self.lines)) from None
        self._reader.join(10)
        return code

    def end(self) -> None:
        """Kill it if it is there; its processes die with it."""
        if self._process is not None:
            self._process.kill()
            self.wait_end()

    def processes(self) -> list[int]:
        """Return the ids of the processes that it started and that still are there."""
        mark = f"UMBEL_UP_PROCESS={self.pid}-".encode()
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdecimal():
                try:
                    variables = (entry / "environ").read_bytes().split(b"\0")
                    # A Redis writes its title over its variables; it works in its folder.
                    inside = (entry / "cwd").readlink().is_relative_to(self.tmp)
                except OSError:
                    continue
                if inside or any(variable.startswith(mark) for variable in variables):
                    found.append(int(entry.name))
        return found

    def redis(self) -> int:
        """Return the id of the process of its Redis."""
        (found,) = (pid for pid in self.processes() if b"-server" in Path(f"/proc/{pid}/cmdline").read_bytes())
        return found

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        with process.stdout as output:
            for line in output:
                self.lines.append(line.rstrip("\n"))
