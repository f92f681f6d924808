"""What events add up to: workers, and the last tasks that were heard of."""

from __future__ import annotations

import threading
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterator, Mapping
from operator import itemgetter
from typing import Any, Final, TypeVar

from umbel import states
from umbel.events.records import Task as TaskRecord
from umbel.events.records import Worker as WorkerRecord

R = TypeVar("R")

#: What a state remembers at the most, unless told otherwise.
MOST_WORKERS: Final = 5_000
MOST_TASKS: Final = 10_000


class _Index(defaultdict[str, dict[str, TaskRecord]]):
    """Tasks by a name; called with one it returns the newest of them first, as Celery's does."""

    def __init__(self) -> None:
        super().__init__(dict)

    def __call__(self, name: str, limit: int | None = None) -> list[tuple[str, TaskRecord]]:
        found = list(reversed(self.get(name, {}).items()))
        return found if limit is None else found[:limit]

    def drop(self, name: str | None, uuid: str) -> None:
        """A task is forgotten, or stands elsewhere."""
        if name is not None and name in self:
            self[name].pop(uuid, None)
            if not self[name]:
                del self[name]


class State:
    """See the module. Thread-safe.

    Args:
        callback: called with this state and each event that was added.
        workers, tasks: what is known already, by name and by id.
        max_workers_in_memory, max_tasks_in_memory: those that were not heard of for longest are forgotten first.
        on_node_join, on_node_leave: called with a worker that was not known, or has said that it ends.
    """

    Worker = WorkerRecord
    Task = TaskRecord

    def __init__(
        self,
        callback: Callable[[State, dict[str, Any]], object] | None = None,
        workers: Mapping[str, WorkerRecord] | None = None,
        tasks: Mapping[str, TaskRecord] | None = None,
        max_workers_in_memory: int = MOST_WORKERS,
        max_tasks_in_memory: int = MOST_TASKS,
        on_node_join: Callable[[WorkerRecord], object] | None = None,
        on_node_leave: Callable[[WorkerRecord], object] | None = None,
    ) -> None:
        self.event_callback = callback
        self.max_workers_in_memory = max_workers_in_memory
        self.max_tasks_in_memory = max_tasks_in_memory
        self.on_node_join = on_node_join
        self.on_node_leave = on_node_leave
        self.workers: OrderedDict[str, WorkerRecord] = OrderedDict(workers or {})
        #: The one that was heard of last is at the end.
        self.tasks: OrderedDict[str, TaskRecord] = OrderedDict()
        self.tasks_by_type = _Index()
        self.tasks_by_worker = _Index()
        self.event_count = 0
        self.task_count = 0
        self._lock = threading.RLock()
        for task in (tasks or {}).values():
            self._add(task)

    # Events

    def event(self, event: dict[str, Any]) -> tuple[Any, ...]:
        """Add an event; return the record that it belongs to, whether that is new, and for tasks its type.

        For a type that is neither a worker's nor a task's: the event itself.
        """
        with self._lock:
            return self._event(event)

    def _event(self, event: dict[str, Any]) -> tuple[Any, ...]:
        self.event_count += 1
        if self.event_callback is not None:
            self.event_callback(self, event)
        group, _, kind = event["type"].partition("-")
        if group == "worker":
            return self._worker_event(kind, event)
        if group == "task" and "uuid" in event:
            return self._task_event(kind, event)
        return (event,)

    def task_event(self, type: str, fields: dict[str, Any]) -> tuple[Any, ...]:
        """Add an event of a task, by the part of its type after ``task-``."""
        return self.event({**fields, "type": f"task-{type}"})

    def worker_event(self, type: str, fields: dict[str, Any]) -> tuple[Any, ...]:
        """Add an event of a worker, by the part of its type after ``worker-``."""
        return self.event({**fields, "type": f"worker-{type}"})

    def _worker_event(self, kind: str, event: dict[str, Any]) -> tuple[WorkerRecord, bool]:
        worker, is_new = self._worker(event["hostname"])
        worker.event(kind, event)
        if is_new and kind != "offline" and self.on_node_join is not None:
            self.on_node_join(worker)
        if kind == "offline" and self.on_node_leave is not None:
            self.on_node_leave(worker)
        return worker, is_new

    def _task_event(self, kind: str, event: dict[str, Any]) -> tuple[tuple[TaskRecord, bool], str]:
        uuid = event["uuid"]
        task, is_new = self.get_or_create_task(uuid)
        if kind == "received":
            self.task_count += 1
        worker = None
        if kind != "sent":
            worker, _ = self._worker(event["hostname"])
            worker.heard_of(event)
        before = (task.name, task.hostname)
        task.event(kind, event, worker)
        if task.name != before[0]:
            self.tasks_by_type.drop(before[0], uuid)
        if task.hostname != before[1]:
            self.tasks_by_worker.drop(before[1], uuid)
        self._place(task)
        return (task, is_new), kind

    def _place(self, task: TaskRecord) -> None:
        """Put a task at the end of all in which it stands."""
        self.tasks.move_to_end(task.uuid)
        for index, name in ((self.tasks_by_type, task.name), (self.tasks_by_worker, task.hostname)):
            if name is not None:
                index[name].pop(task.uuid, None)
                index[name][task.uuid] = task

    def _add(self, task: TaskRecord) -> None:
        self.tasks[task.uuid] = task
        self._place(task)
        while len(self.tasks) > self.max_tasks_in_memory:
            _, oldest = self.tasks.popitem(last=False)
            self.tasks_by_type.drop(oldest.name, oldest.uuid)
            self.tasks_by_worker.drop(oldest.hostname, oldest.uuid)

    # Records

    def get_or_create_worker(self, hostname: str, **fields: Any) -> tuple[WorkerRecord, bool]:
        """Return a worker by its name, and whether it was not known."""
        with self._lock:
            worker, is_new = self._worker(hostname)
            worker.update(fields)
            return worker, is_new

    def _worker(self, hostname: str) -> tuple[WorkerRecord, bool]:
        worker = self.workers.get(hostname)
        if worker is not None:
            self.workers.move_to_end(hostname)
            return worker, False
        worker = self.workers[hostname] = WorkerRecord(hostname)
        while len(self.workers) > self.max_workers_in_memory:
            self.workers.popitem(last=False)
        return worker, True

    def get_or_create_task(self, uuid: str) -> tuple[TaskRecord, bool]:
        """Return a task by its id, and whether it was not known."""
        with self._lock:
            task = self.tasks.get(uuid)
            if task is not None:
                return task, False
            task = TaskRecord(uuid, self)
            self._add(task)
            return task, True

    def itertasks(self, limit: int | None = None) -> Iterator[tuple[str, TaskRecord]]:
        """Iterate over the tasks, from the one that was not heard of for longest."""
        with self._lock:
            found = list(self.tasks.items())
        yield from found if limit is None else found[:limit]

    def tasks_by_time(self, limit: int | None = None, reverse: bool = True) -> list[tuple[str, TaskRecord]]:
        """Return the tasks, the one that was heard of last first; the other way round without ``reverse``."""
        with self._lock:
            found = list(reversed(self.tasks.items())) if reverse else list(self.tasks.items())
        return found if limit is None else found[:limit]

    tasks_by_timestamp = tasks_by_time

    def task_types(self) -> list[str]:
        """Return the names of all tasks that are known, sorted."""
        with self._lock:
            return sorted(self.tasks_by_type)

    def alive_workers(self) -> list[WorkerRecord]:
        """Return the workers whose last heartbeat is not too old."""
        with self._lock:
            return [worker for worker in self.workers.values() if worker.alive]

    def counts(self) -> dict[str, int]:
        """Return how many tasks are known in each state."""
        found: dict[str, int] = {}
        with self._lock:
            for task in self.tasks.values():
                found[task.state] = found.get(task.state, 0) + 1
        return dict(sorted(found.items(), key=itemgetter(0)))

    # The whole

    def freeze_while(self, fun: Callable[..., R], *args: Any, clear_after: bool = False, **kwargs: Any) -> R:
        """Call a function, hold back events meanwhile, and return what it returns.

        Args:
            fun, args, kwargs: the call.
            clear_after: forget all tasks after it.
        """
        with self._lock:
            try:
                return fun(*args, **kwargs)
            finally:
                if clear_after:
                    self.clear_tasks(ready=False)

    def clear_tasks(self, ready: bool = True) -> None:
        """Forget the tasks that have ended; with ``ready=False`` all of them."""
        with self._lock:
            kept = [task for task in self.tasks.values() if ready and task.state not in states.READY_STATES]
            self.tasks.clear()
            self.tasks_by_type.clear()
            self.tasks_by_worker.clear()
            for task in kept:
                self._add(task)

    def clear(self, ready: bool = True) -> None:
        """Forget workers and tasks, and begin to count anew."""
        with self._lock:
            self.clear_tasks(ready)
            self.workers.clear()
            self.event_count = self.task_count = 0

    def rebuild_taskheap(self) -> None:
        """Do nothing: tasks stand in the order of their events at all times."""

    def __repr__(self) -> str:
        return f"<State: events={self.event_count} tasks={self.task_count}>"
