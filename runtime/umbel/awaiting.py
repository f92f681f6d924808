"""Run the coroutine of an ``async def`` task: to its end in whatever thread the task runs, or within a loop that runs many."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Coroutine, Generator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any

from umbel.steering import here

_local = threading.local()


class Steered(Coroutine[Any, Any, Any]):
    """Drives a task's coroutine, so that others can raise an exception of their choice where it waits.

    asyncio can only cancel. So what is to be raised is kept here, the asyncio task is cancelled, and the `CancelledError` is
    exchanged on its way in: the task sees the exception that was meant, at its own ``await``.
    """

    def __init__(self) -> None:
        self._coroutine: Coroutine[Any, Any, Any] | None = None
        self._task: asyncio.Task[Any] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._error: BaseException | None = None
        self._steps = False  # it is not waiting: its own code runs

    async def drive(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        """Return what the coroutine returns."""
        self._coroutine = coroutine
        self._loop = asyncio.get_running_loop()
        self._task = asyncio.current_task()
        try:
            return await self
        finally:
            self._task = None

    def interrupt(self, error: BaseException | None) -> bool:
        """Raise an error where the coroutine waits, or cancel it (None); from any thread, or a signal's handler.

        Returns: False if it does not run yet, or not any more.
        """
        loop = self._loop
        if loop is None or self._task is None:
            return False
        try:
            loop.call_soon_threadsafe(self._interrupt, error)
        except RuntimeError:
            return False  # the loop is closed
        return True

    @property
    def waits(self) -> bool:
        """Whether the coroutine waits for something, so that no code of its own runs."""
        return self._task is not None and not self._steps

    def _interrupt(self, error: BaseException | None) -> None:
        if self._task is not None:
            self._error = error
            self._task.cancel()

    # What asyncio asks for

    def send(self, value: Any) -> Any:
        assert self._coroutine is not None
        self._steps = True
        try:
            return self._coroutine.send(value)
        finally:
            self._steps = False

    def throw(self, *error: Any) -> Any:
        assert self._coroutine is not None
        meant, self._error = self._error, None
        if meant is not None and _is_cancellation(error[0]) and self._task is not None:
            self._task.uncancel()
            error = (meant,)
        self._steps = True
        try:
            return self._coroutine.throw(*error)
        finally:
            self._steps = False

    def close(self) -> None:
        if self._coroutine is not None:
            self._coroutine.close()

    def __await__(self) -> Generator[Any, Any, Any]:
        return self

    def __iter__(self) -> Steered:
        return self

    def __next__(self) -> Any:
        return self.send(None)


def _is_cancellation(error: Any) -> bool:
    return isinstance(error, asyncio.CancelledError) or error is asyncio.CancelledError


def run_coroutine(coroutine: Coroutine[Any, Any, Any], *, keep_loop: bool) -> Any:
    """Return what the coroutine returns.

    What it leaves running is cancelled.

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
    steered = Steered()
    thread = threading.get_ident()
    here[thread] = steered
    try:
        return runner.run(steered.drive(coroutine), context=copy_context())
    finally:
        here.pop(thread, None)
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
