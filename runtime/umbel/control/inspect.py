"""Look at the workers: who is there, and what they hold. Read from Redis, so it works while every child is busy."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeVar

from umbel import message as messages
from umbel import serialization
from umbel.broker.base import ConnectionLost, Liveness, OwnerInfo
from umbel.clock import SYSTEM_CLOCK, Clock
from umbel.errors import DecodeError, OperationalError

if TYPE_CHECKING:
    from umbel.app import Umbel

T = TypeVar("T")

#: Seconds without a heartbeat after which a worker is shown as silent; it beats every 2.
SILENT_AFTER: Final = 8.0
#: Seconds that `ping` waits for the next heartbeat of each worker.
PING_TIMEOUT: Final = 5.0

TaskInfo = dict[str, Any]


@dataclass(slots=True)
class WorkerInfo:
    """One worker: a supervisor with its children.

    Args:
        name: as ``--hostname`` gave it.
        id: of the supervisor.
        owners: its children, as the registry knows them.
        age: seconds since the latest heartbeat.
    """

    name: str
    id: str
    owners: list[OwnerInfo] = field(default_factory=list)
    age: float = 0.0

    @property
    def state(self) -> str:
        """``running``, ``draining``, or ``silent`` when it has not beaten for long."""
        if self.age > SILENT_AFTER:
            return "silent"
        return "draining" if any(owner.state == "draining" for owner in self.owners) else "running"

    @property
    def queues(self) -> list[str]:
        """The queues that it consumes."""
        return sorted({queue for owner in self.owners for queue in owner.queues})

    @property
    def busy(self) -> int:
        """How many children run a task."""
        return sum(1 for owner in self.owners if owner.busy_since)


class Inspect:
    """Questions about the workers of an app's broker.

    Args:
        app: whose broker is asked.
        destination: names of the workers to ask about; all unless given.
        clock: tells how old a heartbeat is.
    """

    def __init__(self, app: Umbel, destination: Iterable[str] | None = None, *, clock: Clock = SYSTEM_CLOCK) -> None:
        self._app = app
        self._destination = None if destination is None else frozenset(destination)
        self._clock = clock

    def workers(self) -> list[WorkerInfo]:
        """Return the workers that are registered, by name.

        Raises:
            OperationalError: the broker cannot be reached.
        """
        return self._ask(self._workers)

    def ping(self, timeout: float = PING_TIMEOUT) -> dict[str, dict[str, str]]:
        """Wait for a fresh heartbeat of each worker; return ``{worker: {"ok": "pong"}}`` of those that gave one.

        Args:
            timeout: seconds to wait; workers beat every 2.
        """
        return self._ask(lambda liveness: self._ping(liveness, timeout))

    def active(self) -> dict[str, list[TaskInfo]]:
        """Return the tasks that run now, by worker."""
        return self._ask(lambda liveness: self._held(liveness, running=True))

    def reserved(self) -> dict[str, list[TaskInfo]]:
        """Return the tasks that workers have fetched and not begun, by worker."""
        return self._ask(lambda liveness: self._held(liveness, running=False))

    def stats(self) -> dict[str, dict[str, Any]]:
        """Return figures by worker: state, slots, how many are busy, queues, processes, the age of the heartbeat."""
        return {
            worker.name: {
                "state": worker.state,
                "slots": len(worker.owners),
                "busy": worker.busy,
                "queues": worker.queues,
                "pids": sorted(owner.pid for owner in worker.owners),
                "pool": next((owner.pool for owner in worker.owners if owner.pool), None),
                "pod_uid": next((owner.pod_uid for owner in worker.owners if owner.pod_uid), None),
                "worker": worker.id,
                "last_beat_seconds": round(worker.age, 1),
            }
            for worker in self.workers()
        }

    def active_queues(self) -> dict[str, list[dict[str, str]]]:
        """Return the queues that each worker consumes, in Celery's form."""
        return {worker.name: [{"name": queue} for queue in worker.queues] for worker in self.workers()}

    def revoked(self) -> list[str]:
        """Return the ids that are revoked and not forgotten yet; all workers know them."""
        return sorted(self._app.broker.revoked())

    # -- reading

    def _ask(self, question: Callable[[Liveness], T]) -> T:
        liveness = self._app.broker.liveness()
        try:
            return question(liveness)
        except ConnectionLost as error:
            raise OperationalError(str(error)) from error
        finally:
            liveness.close()

    def _workers(self, liveness: Liveness) -> list[WorkerInfo]:
        now = self._clock.time()
        found: dict[str, WorkerInfo] = {}
        for owner in liveness.owners():
            name = owner.hostname or owner.worker or owner.id
            if self._destination is not None and name not in self._destination:
                continue
            worker = found.setdefault(owner.worker or owner.id, WorkerInfo(name, owner.worker or owner.id, age=1e9))
            worker.owners.append(owner)
            worker.age = min(worker.age, max(0.0, now - owner.last_beat))
        return _told_apart(sorted(found.values(), key=lambda worker: (worker.name, worker.id)))

    def _ping(self, liveness: Liveness, timeout: float) -> dict[str, dict[str, str]]:
        workers = self._workers(liveness)
        before = liveness.scores()
        waiting = {worker.name: {owner.id for owner in worker.owners} for worker in workers}
        answered: dict[str, dict[str, str]] = {}
        deadline = time.monotonic() + timeout
        while waiting and time.monotonic() < deadline:
            scores = liveness.scores()
            for name, owners in list(waiting.items()):
                if any(owner in scores and scores[owner] != before.get(owner) for owner in owners):
                    answered[name] = {"ok": "pong"}
                    del waiting[name]
            if waiting:
                time.sleep(0.1)
        return dict(sorted(answered.items()))

    def _held(self, liveness: Liveness, *, running: bool) -> dict[str, list[TaskInfo]]:
        return {
            worker.name: [info for owner in worker.owners for info in self._tasks_of(liveness, owner, running)]
            for worker in self._workers(liveness)
        }

    def _tasks_of(self, liveness: Liveness, owner: OwnerInfo, running: bool) -> list[TaskInfo]:
        """Return what a child runs, or what it holds besides. It takes its messages in the order of their tags."""
        held = sorted(
            (tag, queue, raw) for queue, by_tag in liveness.held(owner.id).items() for tag, raw in by_tag.items()
        )
        first = 1 if owner.busy_since else 0
        chosen = held[:first] if running else held[first:]
        return [describe(raw, queue, owner, running=running) for _, queue, raw in chosen]


def _told_apart(workers: list[WorkerInfo]) -> list[WorkerInfo]:
    """Give workers of the same name different ones."""
    names = [worker.name for worker in workers]
    for worker in workers:
        if names.count(worker.name) > 1:
            worker.name = f"{worker.name} ({worker.id})"
    return workers


def describe(raw: bytes, queue: str, owner: OwnerInfo | None = None, *, running: bool = False) -> TaskInfo:
    """Return what a message says: id, name, arguments, queue, priority, counts; who holds it, and since when it runs."""
    info: TaskInfo = {"id": None, "name": None, "args": None, "kwargs": None, "queue": queue}
    if owner is not None:
        info |= {"hostname": owner.hostname, "worker_pid": owner.pid}
        info["time_start"] = (owner.busy_since or None) if running else None
    try:
        message = messages.decode(raw)
    except DecodeError as error:
        return info | {"error": str(error)}
    headers = message.headers
    info |= {
        "id": headers["id"],
        "name": headers["task"],
        "priority": message.priority,
        "retries": headers.get("retries", 0),
        "attempt": message.attempt,
        "lost": message.lost,
    }
    try:
        info["args"], info["kwargs"] = serialization.by_content_type(headers.get("content_type")).decode(message.body)
    except (DecodeError, TypeError, ValueError) as error:
        info["error"] = str(error)
    return info
