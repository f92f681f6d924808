"""Run the coroutine of an ``async def`` task to its end, in whatever thread the task runs."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any

_local = threading.local()


def run_coroutine(coroutine: Coroutine[Any, Any, Any], *, keep_loop: bool) -> Any:
    """Return what the coroutine returns.

    What it leaves running is cancelled. So is the coroutine itself when a soft time limit strikes: its ``finally`` blocks
    run, and the task fails with `SoftTimeLimitExceeded`.

    Args:
        coroutine: of the task.
        keep_loop: let one event loop serve all tasks of this thread, one after the other; for workers.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return _run_here(coroutine) if keep_loop else asyncio.run(coroutine)
    with ThreadPoolExecutor(1, thread_name_prefix="umbel-eager") as pool:
        return pool.submit(copy_context().run, asyncio.run, coroutine).result()


def _run_here(coroutine: Coroutine[Any, Any, Any]) -> Any:
    runner = _runner()
    try:
        return runner.run(coroutine, context=copy_context())
    finally:
        if asyncio.all_tasks(runner.get_loop()):
            # Somebody was left behind: the loop ends with them, the next task gets a fresh one.
            _local.runner = None
            runner.close()


def _runner() -> asyncio.Runner:
    """Return this thread's runner; a forked process gets a fresh one."""
    runner: asyncio.Runner | None = getattr(_local, "runner", None)
    if runner is None or _local.pid != os.getpid():
        runner = _local.runner = asyncio.Runner()
        _local.pid = os.getpid()
    return runner
