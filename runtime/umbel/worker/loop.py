"""The asyncio executor: ``async def`` tasks run in one event loop, the others in threads beside it."""

from __future__ import annotations

import asyncio
import os
import threading
import traceback
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar, copy_context
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from umbel.awaiting import Steered
from umbel.broker.base import Delivery, Outcome
from umbel.worker.alarms import Alarms
from umbel.worker.lane import Lane
from umbel.worker.runner import Runner

if TYPE_CHECKING:
    from umbel.worker.crew import Crew

P = ParamSpec("P")
R = TypeVar("R")

#: What the running task has begun in the loop and not awaited yet.
_begun: ContextVar[set[asyncio.Task[Any]] | None] = ContextVar("umbel_begun", default=None)
#: Seconds that what a task leaves running may take to end once it is cancelled.
_PATIENCE = 1.0


class Loop:
    """See the module, and `umbel.worker.hands.Hands`.

    Args:
        runner: runs what the loop takes.
        alarms: of the limits.
    """

    def __init__(self, runner: Runner, alarms: Alarms) -> None:
        self._runner = runner
        self._alarms = alarms
        self._crew: Crew | None = None
        self._free: list[Lane] = []
        self._tasks: set[asyncio.Task[Any]] = set()
        self._threads: ThreadPoolExecutor | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._runs = threading.Event()
        self._ended: asyncio.Event | None = None
        self._context = copy_context()

    def join(self, crew: Crew) -> None:
        """Work for a crew; before `serve`."""
        self._crew = crew
        self._free = list(reversed(crew.lanes))

    def serve(self) -> None:
        threading.Thread(target=self._alarms.run, name="umbel-alarms", daemon=True).start()
        asyncio.run(self._serve())

    def wake(self, count: int) -> None:
        self._runs.wait()
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._take)

    def stop(self) -> None:
        self._alarms.stop()
        self._runs.wait()
        assert self._loop is not None
        assert self._ended is not None
        self._loop.call_soon_threadsafe(self._ended.set)

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._loop.set_task_factory(_remember)  # type: ignore[arg-type]
        self._ended = asyncio.Event()
        # Threads are made when they are needed: for tasks that block, and for what must not block the loop.
        self._threads = ThreadPoolExecutor(len(self._free) + 1, thread_name_prefix="umbel")
        self._runs.set()
        await self._ended.wait()

    def _take(self) -> None:
        crew = self._crew
        assert crew is not None
        assert self._loop is not None
        while self._free:
            lane = self._free[-1]
            delivery = crew.take(lane)
            if delivery is None:
                return
            self._free.pop()
            # In a context of its own: a task that has just ended may have set variables in the one that this is called in.
            task = self._loop.create_task(self._work(lane, delivery), context=self._context.copy())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _work(self, lane: Lane, delivery: Delivery) -> None:
        try:
            outcome = await self._run(lane, delivery)
            assert self._crew is not None
            self._crew.end(lane, delivery, outcome)
            self._free.append(lane)
            self._take()
        except BaseException:
            # No task's exception: it ends the child, and its slots still say of which tasks.
            traceback.print_exc()
            os._exit(1)

    async def _run(self, lane: Lane, delivery: Delivery) -> Outcome | None:
        lane.limit.steered = None
        begun: set[asyncio.Task[Any]] = set()

        def begin() -> Steered:
            _begun.set(begun)
            lane.limit.steered = Steered()
            return lane.limit.steered

        try:
            return await self._runner.run_async(delivery, lane, begin, self._aside)
        finally:
            if begun:
                await _end(begun)

    async def _aside(self, call: Callable[P, R], /, *arguments: P.args, **named: P.kwargs) -> R:
        assert self._loop is not None
        context = copy_context()
        return await self._loop.run_in_executor(self._threads, lambda: context.run(call, *arguments, **named))


def _remember(
    loop: asyncio.AbstractEventLoop, coroutine: Coroutine[Any, Any, Any], **options: Any
) -> asyncio.Task[Any]:
    """Make an asyncio task, and note with the Umbel task that runs here that it began it."""
    task = asyncio.Task(coroutine, loop=loop, **options)
    context = options.get("context")
    begun = _begun.get() if context is None else context.get(_begun)
    if begun is not None:
        begun.add(task)
        task.add_done_callback(begun.discard)
    return task


async def _end(begun: set[asyncio.Task[Any]]) -> None:
    """Cancel what a task has left running, and give that a moment to end."""
    left = set(begun)
    for task in left:
        task.cancel()
    await asyncio.wait(left, timeout=_PATIENCE)
