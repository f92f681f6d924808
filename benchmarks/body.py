"""The task bodies, the same for every peer. Standard library only."""

from __future__ import annotations

import os
import time
from pathlib import Path

from benchmarks.counter import tick

WORK_SECONDS = 0.001
HOLD_SECONDS = 1.0
#: The ledger of `hold`, beside the counters: a line `begin NUMBER PID` or `end NUMBER PID` for each event.
LEDGER = "ledger"


def noop(number: int) -> int:
    """Count this run and return the argument, so that a stored result can be checked."""
    tick()
    return number


def work(number: int) -> int:
    """Use one millisecond of processor time of this thread, count this run and return the argument."""
    end = time.thread_time() + WORK_SECONDS
    while time.thread_time() < end:
        pass
    tick()
    return number


def hold(number: int) -> int:
    """Do nothing for a second, and write beginning and end into the ledger."""
    note("begin", number)
    time.sleep(HOLD_SECONDS)
    note("end", number)
    return number


def note(event: str, number: int) -> None:
    """Append a line to the ledger, in one write, so that no two processes mix theirs and a kill cuts none."""
    path = Path(os.environ["BENCH_COUNTERS"], LEDGER)
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(file, f"{event} {number} {os.getpid()}\n".encode())
    finally:
        os.close(file)


async def hold_async(number: int) -> int:
    """Do as `hold`, without holding an event loop."""
    import asyncio

    note("begin", number)
    await asyncio.sleep(HOLD_SECONDS)
    note("end", number)
    return number
