"""Who waits for which result in this process, and when an awaited record is to be looked at again. No I/O."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future

from umbel import states
from umbel.record import Record

#: Seconds between two looks at all that is awaited, since a reply can be lost with a connection.
LOOK_AGAIN = 5.0
#: Seconds between looks at an id that could not be watched, growing up to LOOK_AGAIN.
FIRST_LOOK = 0.05
#: Tasks that are looked for in a second.
MOST_LOOKS = 5000


#: Is called with each record; with None when nothing more will come, since the backend was closed.
Tell = Callable[["Record | None"], object]


class Listener:
    """Somebody who wants to hear of every state of a task, in order, each once.

    Args:
        tell: see `Tell`.
    """

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._lock = threading.Lock()
        self._last: Record | None = None

    def hear(self, record: Record) -> None:
        """Tell of a record, unless a newer one was told: it may come by two ways, and be read before it is heard of."""
        with self._lock:
            last = self._last
            if last is not None:
                if record == last or (record.attempt, record.done_ms) < (last.attempt, last.done_ms):
                    return
                if last.state in states.READY_STATES and record.attempt == last.attempt:
                    return
            self._last = record
            self._tell(record)

    def end(self) -> None:
        """Tell that nothing more will come."""
        self._tell(None)


class Waiting:
    """The futures of one process by task id. Thread-safe.

    Args:
        first: seconds until the first look for a task.
        longest: seconds between two looks; the pauses double up to that. More, where so many wait that looking would take all.
    """

    def __init__(self, first: float = LOOK_AGAIN, longest: float = LOOK_AGAIN) -> None:
        self._first = first
        self._longest = longest
        self._lock = threading.Lock()
        self._futures: dict[str, list[Future[Record]]] = {}
        self._listeners: dict[str, list[Listener]] = {}
        self._looks: dict[str, tuple[float, float]] = {}  # id -> (when to look, pause after that)
        self._next_look = 0.0  # no look is due before

    def __bool__(self) -> bool:
        return bool(self._futures or self._listeners)

    def add(self, task_id: str) -> Future[Record]:
        """Return a new future for a task."""
        future: Future[Record] = Future()
        with self._lock:
            self._futures.setdefault(task_id, []).append(future)
            self._plan(task_id, self._first)
        return future

    def discard(self, task_id: str, future: Future[Record]) -> None:
        """Forget a future that nobody waits for any more."""
        with self._lock:
            futures = self._futures.get(task_id)
            if futures is None or future not in futures:
                return
            futures.remove(future)
            if not futures:
                del self._futures[task_id]
                self._stop_looking(task_id)

    def resolve(self, task_id: str, record: Record) -> None:
        """Give a final record to those who wait for it, and to those who listen."""
        self.hear(task_id, record)
        for future in self._take(task_id):
            future.set_result(record)

    def fail(self, task_id: str, error: Exception) -> None:
        """Raise ``error`` where somebody waits for the task, and nowhere else."""
        for future in self._take(task_id):
            future.set_exception(error)

    def listen(self, task_id: str, tell: Tell) -> Listener:
        """Have every record of a task told that is newer than the last one, from any thread, until `unlisten`."""
        listener = Listener(tell)
        with self._lock:
            self._listeners.setdefault(task_id, []).append(listener)
            self._plan(task_id, self._first)
        return listener

    def unlisten(self, task_id: str, listener: Listener) -> None:
        """Tell no more."""
        with self._lock:
            listeners = self._listeners.get(task_id)
            if listeners is None or listener not in listeners:
                return
            listeners.remove(listener)
            if not listeners:
                del self._listeners[task_id]
                self._stop_looking(task_id)

    def listens(self, task_id: str) -> bool:
        """Tell whether somebody wants to hear of all states of a task."""
        return task_id in self._listeners

    def hear(self, task_id: str, record: Record) -> None:
        """Tell those who listen."""
        if self._listeners:
            with self._lock:
                listeners = list(self._listeners.get(task_id, ()))
            for listener in listeners:
                listener.hear(record)

    def look_soon(self, task_id: str) -> None:
        """Plan a look within a moment: nobody will tell of this task's end."""
        with self._lock:
            if task_id in self._futures or task_id in self._listeners:
                self._plan(task_id, FIRST_LOOK)

    def due(self, everything: bool = False) -> list[str]:
        """Return the tasks whose records are to be looked at now, and plan their next looks."""
        now = time.monotonic()
        if now < self._next_look and not everything:
            return []
        with self._lock:
            longest = max(self._longest, len(self._looks) / MOST_LOOKS)
            due = [task_id for task_id, (when, _) in self._looks.items() if everything or when <= now]
            for task_id in due:
                pause = min(longest, self._looks[task_id][1] * 2)
                self._looks[task_id] = (now + pause, pause)
            self._next_look = min((when for when, _ in self._looks.values()), default=now + longest)
        return due

    def until_look(self) -> float:
        """Return the seconds until the next look may be due."""
        return self._next_look - time.monotonic()

    def cancel(self) -> None:
        """Cancel all futures."""
        with self._lock:
            waiting, self._futures = self._futures, {}
            listening, self._listeners = self._listeners, {}
            self._looks.clear()
        for listeners in listening.values():
            for listener in listeners:
                listener.end()
        for futures in waiting.values():
            for future in futures:
                future.cancel()

    def _stop_looking(self, task_id: str) -> None:
        if task_id not in self._futures and task_id not in self._listeners:
            self._looks.pop(task_id, None)

    def _plan(self, task_id: str, pause: float) -> None:
        due = time.monotonic() + pause
        if not self._looks or due < self._next_look:
            self._next_look = due
        self._looks[task_id] = (due, pause)

    def _take(self, task_id: str) -> list[Future[Record]]:
        with self._lock:
            futures = self._futures.pop(task_id, ())
            self._stop_looking(task_id)
        return [future for future in futures if future.set_running_or_notify_cancel()]
