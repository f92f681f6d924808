"""The thread executor: each slot of the child is a thread that runs one task at a time."""

from __future__ import annotations

import os
import queue
import threading
import traceback
from contextvars import copy_context
from typing import TYPE_CHECKING

from umbel.worker.alarms import Alarms
from umbel.worker.lane import Lane
from umbel.worker.runner import Runner

if TYPE_CHECKING:
    from umbel.worker.crew import Crew


class Threads:
    """See the module, and `umbel.worker.hands.Hands`.

    Args:
        runner: runs what a thread takes.
        alarms: watched by the main thread, which has nothing else to do.
    """

    def __init__(self, runner: Runner, alarms: Alarms) -> None:
        self._runner = runner
        self._alarms = alarms
        self._crew: Crew | None = None
        self._calls: queue.SimpleQueue[bool] = queue.SimpleQueue()  # one for each delivery, False to end

    def join(self, crew: Crew) -> None:
        """Work for a crew; before `serve`."""
        self._crew = crew

    def serve(self) -> None:
        assert self._crew is not None
        for lane in self._crew.lanes:
            threading.Thread(target=self._work, args=(lane,), name=f"umbel-{lane.number}", daemon=True).start()
        self._alarms.run()

    def wake(self, count: int) -> None:
        for _ in range(count):
            self._calls.put(True)

    def stop(self) -> None:
        self._alarms.stop()

    def _work(self, lane: Lane) -> None:
        crew = self._crew
        assert crew is not None
        try:
            while True:
                self._calls.get()
                # A call may come late: what it was for has been run by another thread, or given back.
                while (delivery := crew.take(lane)) is not None:
                    crew.end(lane, delivery, copy_context().run(self._runner.run, delivery, lane))
        except BaseException:
            # No task's exception: it ends the child, and its slots still say of which tasks.
            traceback.print_exc()
            os._exit(1)
