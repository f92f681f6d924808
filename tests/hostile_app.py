"""Tasks that treat their process badly, for the tests of what a worker survives."""

from __future__ import annotations

import ctypes
import multiprocessing
import os
import sys
import time
from typing import Any

from umbel import Umbel
from umbel.errors import Reject

app = Umbel("hostile", result_expires=600)


@app.task
def add(x: int, y: int) -> int:
    return x + y


@app.task
def rejects_unspeakably() -> None:
    """Refuse with a text that no JSON can carry, as a file name in another encoding makes it."""
    raise Reject(os.fsdecode(b"caf\xe9.txt"))


@app.task(bind=True, acks_late=False, max_retries=5)
def once_and_again(self: Any) -> int:
    if self.request.retries:
        return int(self.request.retries)
    time.sleep(0.5)
    raise self.retry(countdown=0)


@app.task
def forks_and_returns() -> int:
    """Forget to end the forked process."""
    pid = os.fork()
    return pid or os.getpid()


@app.task
def ends_a_process() -> int | None:
    """Have a process of one's own, and end it by SIGTERM."""
    process = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,), daemon=False)
    process.start()
    process.terminate()
    process.join(5)
    code = process.exitcode
    process.kill()
    return code


@app.task
def closes_descriptors() -> str:
    """Close all that is open, as some do who become a daemon."""
    os.closerange(3, 4096)
    return "closed"


@app.task
def leaves() -> None:
    sys.exit(3)


@app.task
def daemonises() -> None:
    if os.fork():
        os._exit(0)
    os.setsid()
    os._exit(0)


@app.task
def moves_away() -> str:
    os.chdir("/")
    return os.getcwd()


@app.task
def pid() -> int:
    return os.getpid()


@app.task
def rests(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


@app.task
def takes_all_memory() -> None:
    """Take memory until somebody ends it."""
    hoard = []
    while True:
        hoard.append(b"x" * (4 * 2**20))
        time.sleep(0.005)


@app.task
def holds_the_interpreter(seconds: int) -> int:
    """Sleep with the interpreter's lock held, as a C extension may: no other thread of the process runs meanwhile."""
    ctypes.PyDLL(None).sleep(seconds)
    return seconds
