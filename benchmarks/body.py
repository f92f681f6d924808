"""The task bodies, the same for every peer. Standard library only."""

from __future__ import annotations

import time

from benchmarks.counter import tick

WORK_SECONDS = 0.001


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
