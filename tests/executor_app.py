"""The app on which all executors are tried: each task once as a function that blocks and once as a coroutine."""

from __future__ import annotations

import asyncio
import contextvars
import os
import signal
import time
from pathlib import Path
from typing import Any

from tests.sample_app import _note

from umbel import Umbel
from umbel.errors import SoftTimeLimitExceeded
from umbel.signals import worker_process_init, worker_process_shutdown

app = Umbel("executors", result_expires=600)
_mine: contextvars.ContextVar[str] = contextvars.ContextVar("mine", default="nobody's")


def _waits(folder: str, seconds: float = 60.0) -> None:
    """Wait for the file ``go``, in steps of Python code, which can be interrupted anywhere."""
    until = time.monotonic() + seconds
    while not _goes(folder) and time.monotonic() < until:
        time.sleep(0.01)


async def _waits_async(folder: str, seconds: float = 60.0) -> None:
    until = time.monotonic() + seconds
    while not _goes(folder) and time.monotonic() < until:  # noqa: ASYNC110 - it comes from another process
        await asyncio.sleep(0.01)


def _says(folder: str, name: str) -> None:
    """Say by a file in which process a task runs."""
    Path(folder, f"running-{name}").write_text(str(os.getpid()))


def _goes(folder: str) -> bool:
    return Path(folder, "go").exists()


def _are(folder: str, count: int) -> bool:
    """Whether so many tasks have said that they run."""
    return len(list(Path(folder).glob("running-*"))) >= count


@app.task
def add(x: int, y: int) -> int:
    return x + y


@app.task
async def add_async(x: int, y: int) -> int:
    await asyncio.sleep(0)
    return x + y


@app.task
def hold(name: str, folder: str) -> None:
    """Say that it runs by a file, and wait until another allows it to end."""
    _note(f"began {name}")
    try:
        _says(folder, name)
        _waits(folder)
        _note(f"ran {name}")
    finally:
        _note(f"left {name}")


@app.task
async def hold_async(name: str, folder: str) -> None:
    _note(f"began {name}")
    try:
        _says(folder, name)
        await _waits_async(folder)
        _note(f"ran {name}")
    finally:
        _note(f"left {name}")


@app.task
def block(name: str, folder: str) -> None:
    """Block where no exception reaches: in one call of C code."""
    _note(f"began {name}")
    _says(folder, name)
    time.sleep(60)


@app.task
async def block_async(name: str, folder: str) -> None:
    """Block the event loop."""
    _note(f"began {name}")
    _says(folder, name)
    time.sleep(60)  # noqa: ASYNC251 - what it is about


@app.task(soft_time_limit=0.3)
def asked_to_end(folder: str) -> str:
    try:
        _waits(folder)
    except SoftTimeLimitExceeded as error:
        return f"asked: {error}"
    return "not asked"


@app.task(soft_time_limit=0.3)
async def asked_to_end_async(folder: str) -> str:
    try:
        await asyncio.sleep(60)
    except SoftTimeLimitExceeded as error:
        await asyncio.sleep(0)
        return f"asked: {error}"
    return "not asked"


@app.task(bind=True)
def who(self: Any, name: str, folder: str, together: int) -> dict[str, Any]:
    """Return what the request says before and after others ran beside this one."""
    before = self.request.id
    _mine.set(name)
    _says(folder, name)
    until = time.monotonic() + 10
    while not _are(folder, together) and time.monotonic() < until:
        time.sleep(0.01)
    return {"before": before, "after": self.request.id, "args": self.request.args[0], "var": _mine.get()}


@app.task(bind=True)
async def who_async(self: Any, name: str, folder: str, together: int) -> dict[str, Any]:
    before = self.request.id
    _mine.set(name)
    _says(folder, name)
    until = time.monotonic() + 10
    while not _are(folder, together) and time.monotonic() < until:  # noqa: ASYNC110 - others are in other processes
        await asyncio.sleep(0.01)
    child = asyncio.create_task(_request_id(self))
    return {"before": before, "after": await child, "args": self.request.args[0], "var": _mine.get()}


async def _request_id(task: Any) -> str:
    await asyncio.sleep(0)
    return str(task.request.id)


@app.task(bind=True, max_retries=3)
def fails_twice(self: Any) -> int:
    if self.request.retries < 2:
        raise self.retry(countdown=0.02, exc=ValueError("not yet"))
    return int(self.request.retries)


@app.task(bind=True, max_retries=3)
async def fails_twice_async(self: Any) -> int:
    await asyncio.sleep(0)
    if self.request.retries < 2:
        raise self.retry(countdown=0.02, exc=ValueError("not yet"))
    return int(self.request.retries)


@app.task
def fails() -> None:
    raise LookupError("on purpose")


@app.task
async def fails_async() -> None:
    await asyncio.sleep(0)
    raise LookupError("on purpose")


@app.task
def kills_child() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@app.task
async def kills_child_async() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


@app.task
def pauses(seconds: float) -> str:
    time.sleep(seconds)
    return "paused"


@app.task
async def pauses_async(seconds: float) -> str:
    await asyncio.sleep(seconds)
    return "paused"


@app.task(bind=True)
def charges(self: Any, name: str, folder: str) -> dict[str, int]:
    """Wait to be allowed to end; return what its message was charged with."""
    _says(folder, name)
    _waits(folder)
    message = self.request.message
    return {"attempt": message.attempt, "lost": message.lost, "suspect": message.suspect, "requeues": message.requeues}


@app.task(bind=True)
async def charges_async(self: Any, name: str, folder: str) -> dict[str, int]:
    _says(folder, name)
    await _waits_async(folder)
    message = self.request.message
    return {"attempt": message.attempt, "lost": message.lost, "suspect": message.suspect, "requeues": message.requeues}


@app.task(acks_late=False, track_started=True)
def once(folder: str) -> str:
    _says(folder, "early")
    _waits(folder)
    return "done"


@app.task(acks_late=False, track_started=True)
async def once_async(folder: str) -> str:
    _says(folder, "early")
    await _waits_async(folder)
    return "done"


@worker_process_init.connect
def _begins(**kwargs: Any) -> None:
    _note(f"begins {os.getpid()}")


@worker_process_shutdown.connect
def _ends(pid: int, exitcode: int, **kwargs: Any) -> None:
    _note(f"ends {pid} {exitcode}")


@app.task
def pid() -> int:
    return os.getpid()


@app.task
async def pid_async() -> int:
    return os.getpid()


@app.task
def sets_variable(name: str) -> str:
    """Return what an earlier task has set here."""
    before = _mine.get()
    _mine.set(name)
    return before


@app.task
async def sets_variable_async(name: str) -> str:
    before = _mine.get()
    _mine.set(name)
    return before
