"""A worker and a task, as their events tell of them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from umbel import states

if TYPE_CHECKING:
    from umbel.events.state import State

#: The state that an event means, by the part of its type after ``task-``.
TASK_STATES: Final = {
    "sent": states.PENDING,
    "received": states.RECEIVED,
    "started": states.STARTED,
    "succeeded": states.SUCCESS,
    "failed": states.FAILURE,
    "retried": states.RETRY,
    "rejected": states.REJECTED,
    "revoked": states.REVOKED,
}
#: How far a task is in each state: an event that comes late does not take it back.
_PROGRESS: Final = {
    states.PENDING: 0,
    states.RECEIVED: 1,
    states.STARTED: 2,
    states.RETRY: 3,
    states.REJECTED: 4,
    states.SUCCESS: 5,
    states.FAILURE: 5,
    states.REVOKED: 5,
}
#: What an event tells that came late.
_LATE: Final = ("name", "args", "kwargs", "parent_id", "root_id", "eta", "expires", "queue", "exchange", "routing_key")

#: A worker is thought to be alive for so many times the pause between its heartbeats.
WINDOW: Final = 2.0
#: Heartbeats that are kept.
HEARTBEATS: Final = 4


class Worker:
    """A worker, by its name. ``freq``, ``active``, ``processed``, ``loadavg`` and ``sw_*`` are of its last heartbeat."""

    expire_window = WINDOW * 100
    _fields = (
        "hostname", "pid", "freq", "heartbeats", "clock", "active", "processed", "loadavg", "sw_ident", "sw_ver", "sw_sys"
    )  # fmt: skip

    def __init__(self, hostname: str, pid: int | None = None, freq: float = 10.0) -> None:
        self.hostname = hostname
        self.pid = pid
        self.freq = freq
        self.heartbeats: list[float] = []
        self.clock = 0
        self.active: int | None = None
        self.processed: int | None = None
        self.loadavg: list[float] | None = None
        self.sw_ident: str | None = None
        self.sw_ver: str | None = None
        self.sw_sys: str | None = None

    def event(self, kind: str, event: dict[str, Any]) -> None:
        """Take in an event, by the part of its type after ``worker-``."""
        self.update(event)
        if kind == "offline":
            self.heartbeats.clear()
        else:
            self.heartbeats = sorted([*self.heartbeats, float(event.get("timestamp") or time.time())])[-HEARTBEATS:]

    def heard_of(self, event: dict[str, Any]) -> None:
        """One of its tasks was heard of."""
        self.clock = max(self.clock, event.get("clock") or 0)

    def update(self, fields: dict[str, Any]) -> None:
        """Take in fields."""
        for name in self._fields:
            if name in fields and name not in ("hostname", "heartbeats"):
                setattr(self, name, fields[name])

    @property
    def heartbeat_expires(self) -> float:
        """When it is not thought to be alive any more."""
        return (self.heartbeats[-1] if self.heartbeats else 0.0) + self.freq * WINDOW

    @property
    def alive(self) -> bool:
        """Whether its last heartbeat is not too old."""
        return bool(self.heartbeats) and time.time() < self.heartbeat_expires

    @property
    def status_string(self) -> str:
        """ONLINE or OFFLINE."""
        return "ONLINE" if self.alive else "OFFLINE"

    @property
    def id(self) -> str:
        """Name and process."""
        return f"{self.hostname}.{self.pid}"

    def __repr__(self) -> str:
        return f"<Worker: {self.hostname} ({self.status_string})>"


class Task:
    """A task, by its id. What no event has told is None."""

    _fields = (
        "uuid", "name", "state", "received", "sent", "started", "rejected", "succeeded", "failed", "retried", "revoked", "args",
        "kwargs", "eta", "expires", "retries", "worker", "result", "exception", "timestamp", "runtime", "traceback", "exchange",
        "routing_key", "root_id", "parent_id", "client", "queue", "clock", "hostname",
    )  # fmt: skip
    _info_fields = (
        "args", "kwargs", "retries", "result", "eta", "runtime", "expires", "exception", "exchange", "routing_key", "root_id",
        "parent_id",
    )  # fmt: skip

    uuid: str
    name: str | None
    worker: Worker | None
    hostname: str | None
    parent_id: str | None
    root_id: str | None
    timestamp: float | None
    clock: int | None
    received: float | None
    sent: float | None
    started: float | None
    rejected: float | None
    succeeded: float | None
    failed: float | None
    retried: float | None
    revoked: float | None
    args: str | None
    kwargs: str | None
    eta: str | None
    expires: str | None
    retries: int | None
    result: str | None
    exception: str | None
    runtime: float | None
    traceback: str | None
    exchange: str | None
    routing_key: str | None
    queue: str | None
    client: str | None

    def __init__(self, uuid: str, cluster_state: State | None = None) -> None:
        for name in self._fields:
            setattr(self, name, None)
        self.uuid = uuid
        self.state: str = states.PENDING
        self.cluster_state = cluster_state

    def event(self, kind: str, event: dict[str, Any], worker: Worker | None) -> None:
        """Take in an event, by the part of its type after ``task-``."""
        state = TASK_STATES.get(kind, kind.upper() if kind not in TASK_STATES else None) or self.state
        fields = {name: value for name, value in event.items() if name not in ("type", "uuid", "worker", "hostname")}
        timestamp = float(event.get("timestamp") or time.time())
        if kind == "sent":
            self.client = event.get("hostname")
        elif worker is not None:
            self.worker, self.hostname = worker, worker.hostname
        if kind in TASK_STATES:
            setattr(self, kind, timestamp)
        if self._is_late(state, timestamp):
            fields = {name: fields[name] for name in _LATE if name in fields}
        else:
            self.state = state
            fields["timestamp"] = timestamp
        vars(self).update(fields)

    def _is_late(self, state: str, timestamp: float) -> bool:
        """Whether what an event means lies behind this task: it came late, over another connection."""
        if state not in _PROGRESS or self.state not in _PROGRESS or self.state == states.RETRY or state == states.RETRY:
            return self.timestamp is not None and timestamp < self.timestamp
        if _PROGRESS[state] < _PROGRESS[self.state]:
            # A task that runs anew, after its worker died, is received later than whatever is known of it.
            return self.timestamp is None or timestamp <= self.timestamp or state == states.PENDING
        return False

    def info(self, fields: tuple[str, ...] | None = None, extra: tuple[str, ...] = ()) -> dict[str, Any]:
        """Return what is known, as a dict."""
        names = (*(fields or self._info_fields), *extra)
        return {name: value for name in names if (value := getattr(self, name, None)) is not None}

    def as_dict(self) -> dict[str, Any]:
        """Return all fields; the worker by its name."""
        return {**{name: getattr(self, name) for name in self._fields}, "worker": self.hostname}

    @property
    def id(self) -> str:
        """The same as ``uuid``."""
        return self.uuid

    @property
    def ready(self) -> bool:
        """Whether it has ended."""
        return self.state in states.READY_STATES

    @property
    def origin(self) -> str | None:
        """Who sent it, where that is known; else its worker."""
        return self.client if self.worker is None else self.worker.id

    @property
    def parent(self) -> Task | None:
        """The task that sent it, where that is known here."""
        return self._other(self.parent_id)

    @property
    def root(self) -> Task | None:
        """The task that began it all, where that is known here."""
        return self._other(self.root_id)

    @property
    def children(self) -> list[Task]:
        """The tasks that it has sent, as far as they are known here."""
        known = self.cluster_state.tasks.values() if self.cluster_state is not None else ()
        return [task for task in known if task.parent_id == self.uuid]

    def _other(self, uuid: str | None) -> Task | None:
        if uuid is None or self.cluster_state is None:
            return None
        return self.cluster_state.tasks.get(uuid)

    def __repr__(self) -> str:
        return f"<Task: {self.name}({self.uuid}) {self.state} clock:{self.clock}>"
