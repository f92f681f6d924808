"""Start processes so that none outlives the harness.

Each one gets a session of its own and a mark in its environment, which its children inherit. The harness is the
subreaper of everything below it, so what a peer forks and forgets becomes a child of the harness and is ended with
the rest.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from benchmarks.errors import BenchmarkError
from benchmarks.proctree import carriers, descendants

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_STOP_SECONDS = 8.0
_POLL_SECONDS = 0.01
#: The variable by which a process and all it forks are known, wherever they end up in the process tree.
_MARK = "BENCH_PROCESS"
_LOG_LINES = 12

_libc = ctypes.CDLL(None, use_errno=True)


class Process:
    """One started program, its session and its log."""

    def __init__(
        self,
        title: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        directory: Path,
        *,
        standard_input: str = "",
    ) -> None:
        """Start the command.

        title: how messages call it; directory: where it runs and where its log is written.
        """
        self.title = title
        self._mark = f"{_MARK}={uuid.uuid4().hex}"
        self._log = directory / f"{title.replace(' ', '-')}.log"
        with open(self._log, "wb") as log, tempfile.TemporaryFile(dir=directory) as words:
            words.write(standard_input.encode())
            words.seek(0)
            self._popen = subprocess.Popen(
                command,
                env={**os.environ, **environment, **dict([self._mark.split("=")])},
                cwd=directory,
                stdin=words,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_die_with_parent,
            )

    @property
    def pid(self) -> int:
        """The process id of the program."""
        return self._popen.pid

    def wait(self, seconds: float) -> int:
        """Return the exit code once the program has ended; raises subprocess.TimeoutExpired."""
        return self._popen.wait(seconds)

    def require_alive(self) -> None:
        """Raise if the program has ended."""
        code = self._popen.poll()
        if code is not None:
            raise BenchmarkError(f"{self.title} ended with exit code {code}; its last words:\n{self.last_words()}")

    def last_words(self) -> str:
        """Return the end of the log."""
        lines = self._log.read_text(errors="replace").splitlines()[-_LOG_LINES:]
        return "\n".join(f"    {line}" for line in lines) or "    (nothing)"

    def runs(self) -> bool:
        """Return whether the program has not ended."""
        return self._popen.poll() is None

    def members(self) -> set[int]:
        """Return the ids of the program's processes."""
        return carriers(self._mark)

    def kill(self) -> None:
        """Kill the program and all its processes outright, as a lost machine would."""
        while members := self.members():
            for pid in members:
                _kill(pid)

    def stop(self) -> None:
        """Ask the program to stop by SIGTERM, wait some seconds, then kill what is left of it and of its children."""
        if self._popen.poll() is None:
            self._popen.terminate()
            try:
                self._popen.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._popen.kill()
                self._popen.wait()
        for pid in carriers(self._mark):
            _kill(pid)


@contextlib.contextmanager
def no_orphans() -> Iterator[None]:
    """End every process below this one on the way out, and turn SIGTERM and SIGHUP into an orderly exit."""
    _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    try:
        yield
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        deadline = time.monotonic() + _STOP_SECONDS
        while (left := descendants(os.getpid())) and time.monotonic() < deadline:
            for pid in left:
                _kill(pid)
            time.sleep(_POLL_SECONDS)
        for number, handler in before.items():
            signal.signal(number, handler)


def _kill(pid: int) -> None:
    """Kill a descendant and reap it if it is a child of this process."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, 0)


def _interrupt(number: int, frame: object) -> None:
    """Leave by way of all finally clauses."""
    raise KeyboardInterrupt


def _die_with_parent() -> None:
    """Let the kernel kill this program if the harness is killed outright."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
