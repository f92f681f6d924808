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


def run_coroutine(coroutine: Coroutine[Any, Any, Any]) -> Any:
    """Return what the coroutine returns. One event loop serves all tasks of a thread, one after the other."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return _runner().run(coroutine, context=copy_context())
    with ThreadPoolExecutor(1, thread_name_prefix="umbel-eager") as pool:
        return pool.submit(copy_context().run, asyncio.run, coroutine).result()


def _runner() -> asyncio.Runner:
    """Return this thread's runner; a forked process gets a fresh one."""
    runner: asyncio.Runner | None = getattr(_local, "runner", None)
    if runner is None or _local.pid != os.getpid():
        runner = _local.runner = asyncio.Runner()
        _local.pid = os.getpid()
    return runner
