"""Run one program in a session of its own, hand on its lines, and leave nothing behind when it ends."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

_LAUNCHER = str(Path(__file__).with_name("launch.py"))
#: Longest piece of output that is read at once, and longest line.
_CHUNK = 1 << 16
_LONGEST_LINE = 1 << 16
#: Seconds that the last lines get after the end.
_LAST_LINES = 1.0
#: Marks what belongs to one process, also what has left its group.
_MARK = "UMBEL_UP_PROCESS"


class Process:
    """A running program; made by `start`."""

    def __init__(self, process: asyncio.subprocess.Process, take: Callable[[str], None], mark: str) -> None:
        self._process = process
        self._take = take
        self._mark = mark
        self._reader = asyncio.create_task(self._read(), name=f"output of {process.pid}")
        self._waiter = asyncio.create_task(self._wait(), name=f"end of {process.pid}")

    @classmethod
    async def start(
        cls, argv: Sequence[str], *, cwd: Path, environment: Mapping[str, str] | None, take: Callable[[str], None]
    ) -> Process:
        """Start a program; the kernel kills it should this process die.

        take: gets each line of its output, without the line's end.
        """
        mark = f"{os.getpid()}-{os.urandom(6).hex()}"
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", _LAUNCHER, str(os.getpid()), *argv),
            cwd=cwd,
            env={**(os.environ if environment is None else environment), _MARK: mark},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
        return cls(process, take, mark)

    @property
    def pid(self) -> int:
        """Return its process id."""
        return self._process.pid

    @property
    def ended(self) -> bool:
        """Tell whether it has ended."""
        return self._waiter.done()

    async def wait(self) -> int:
        """Wait for its end; return the exit code, negative for a signal."""
        return await asyncio.shield(self._waiter)

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal; one that has ended is left alone."""
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)

    async def stop(self, patience: float) -> int:
        """Ask it to end, and kill it after so many seconds; return the exit code."""
        self.signal(signal.SIGTERM)
        try:
            return await asyncio.wait_for(asyncio.shield(self._waiter), patience)
        except TimeoutError:
            self.signal(signal.SIGKILL)
            return await self.wait()

    async def _wait(self) -> int:
        code = await self._process.wait()
        # As with a container, what the program started ends with it.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        await asyncio.to_thread(_kill_marked, self._mark)
        await asyncio.wait([self._reader], timeout=_LAST_LINES)
        if self._reader.done():
            self._reader.result()
        self._reader.cancel()
        return code

    async def _read(self) -> None:
        assert self._process.stdout is not None
        rest = b""
        while chunk := await self._process.stdout.read(_CHUNK):
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                self._take(line.decode(errors="replace").rstrip("\r"))
            if len(rest) > _LONGEST_LINE:
                self._take(rest.decode(errors="replace"))
                rest = b""
        if rest:
            self._take(rest.decode(errors="replace"))


def _kill_marked(mark: str) -> None:
    """Kill what inherited the mark and left the group: a daemon that a task started, say."""
    wanted = f"{_MARK}={mark}".encode()
    for entry in os.listdir("/proc"):
        if entry.isdecimal():
            try:
                environment = Path("/proc", entry, "environ").read_bytes()
                if wanted in environment.split(b"\0"):
                    os.kill(int(entry), signal.SIGKILL)
            except OSError:
                continue
