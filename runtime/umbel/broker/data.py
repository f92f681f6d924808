"""What goes through a broker's ports: messages and their deliveries, owners, dead letters. No behaviour."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from typing import Any

from umbel.broker.tickets import Lock


@dataclass(slots=True)
class Outgoing:
    """One encoded message to publish.

    ``payload`` as `Message.encode` returns it; ``delay`` in seconds from now, 0 for at once; ``task_id`` for errors;
    ``replicated``: return once a replica has it; ``lock`` of a unique task, whose message bears the flag LOCKED.
    """

    payload: bytes
    task_id: str
    delay: float = 0.0
    replicated: bool = False
    lock: Lock | None = None
    existing: str | None = None  #: set by `publish`: it was not sent, since this equal task has not ended


class Kind(StrEnum):
    """How one delivery ended."""

    ACK = "a"  #: done; store and reply as given
    RETRY = "r"  #: replace by ``payload`` after ``delay``
    GIVE_BACK = "b"  #: not started; back to the front (or after ``delay``), without charge
    REQUEUE = "q"  #: cut short by draining; back to the front, ``requeues`` counted
    DEAD = "d"  #: to the dead letters, with ``reason``


@dataclass(slots=True)
class Outcome:
    """The end of one delivery, written in one atomic step with what belongs to it.

    Args:
        tag: of the delivery.
        kind: how it ended.
        task_id: key of the record and of the reply.
        record: encoded `Record` to store, or None.
        ttl: seconds to keep the record.
        reply_to: inbox to push the record to as well, or None.
        payload: the new message, for RETRY.
        delay: seconds, for RETRY and GIVE_BACK.
        reason: JSON-able description, for DEAD.
        run: (schedule uid, run id, final state) of a scheduled run: noted with the schedule before the acknowledgement.
        place: whether it was admitted to a place, see `Consumer.admit`; its end frees that.
        lock: (name, seconds that it lives on; 0 = the task has ended) of a unique task, whose id is ``task_id``.
    """

    tag: int
    kind: Kind
    task_id: str = ""
    record: bytes | None = None
    ttl: float = 86400.0
    reply_to: str | None = None
    payload: bytes = b""
    delay: float = 0.0
    reason: dict[str, Any] | None = None
    run: tuple[str, str, str] | None = None
    place: bool = False
    lock: tuple[str, float] | None = None


@dataclass(slots=True)
class Delivery:
    """One message owned by this owner under ``tag``, which is never used twice by one owner."""

    queue: str
    tag: int
    payload: bytes


@dataclass(slots=True)
class Batch:
    """The answer to one cycle.

    Args:
        deliveries: fetched now.
        now: the broker's clock, in seconds since the Unix epoch.
        next_due: seconds until the next delayed message of the queue is due, None without one.
        lost_tags: outcomes that were refused because the delivery was no longer this owner's.
        more: the queue held more than was fetched.
        max_deliveries: bound of the queue on ``lost``, see `Message`.
        limited: seconds until the queue's rate limit lets the next message go, where one waits for that; None otherwise.
        task_defaults: the queue's `TaskDefaults`, encoded; None without any.
    """

    deliveries: list[Delivery]
    now: float
    next_due: float | None = None
    lost_tags: list[int] = field(default_factory=list)
    more: bool = False
    max_deliveries: int = 3
    limited: float | None = None
    task_defaults: bytes | None = None


@dataclass(slots=True)
class OwnerInfo:
    """What the registry tells of one owner. Workers are told apart by ``worker``, the id of their supervisor."""

    id: str
    queues: list[str]  #: that it consumes
    worker: str = ""
    hostname: str = ""
    pid: int = 0
    machine: str = ""
    pool: str = ""
    pod_uid: str = ""
    state: str = "running"  #: running | draining
    busy_since: float = 0.0  #: broker's clock, 0 when idle, as of the last heartbeat
    last_beat: float = 0.0  #: broker's clock, seconds
    slots: int = 1  #: tasks that it can run at once
    busy: int = 0  #: tasks that it runs, as of the last heartbeat; see `running`

    @property
    def running(self) -> int:
        """How many tasks it runs; workers of earlier releases tell only whether there is one."""
        return max(self.busy, 1 if self.busy_since else 0)


@dataclass(slots=True)
class QueueInfo:
    """A snapshot of one queue. ``oldest_age`` in seconds, of the ready message that is served next."""

    name: str
    ready: int
    delayed: int
    in_flight: int
    dead: int
    oldest_age: float
    held: bool
    intake_open: bool
    parked: int = 0  #: wait for a place of their concurrency limit


@dataclass(slots=True)
class DeadLetter:
    """A message that no worker will run, with the reason.

    ``died`` is the broker's clock in seconds; ``token`` names this very letter to the broker that returned it.
    """

    died: float
    reason: dict[str, Any]
    payload: bytes
    token: bytes = b""


@dataclass(slots=True)
class DelayedMessage:
    """A message that is not due yet. ``due_in`` in seconds from now, below 0 where it is due and not promoted yet."""

    due_in: float
    payload: bytes


@dataclass(slots=True)
class Death:
    """The death of what ran a message, as the story of a dead letter tells it.

    ``at`` is the broker's clock in seconds, ``charge`` what the message was charged with, ``cause`` a sentence.
    """

    owner: str
    worker: str = ""
    hostname: str = ""
    pid: int = 0
    pod_uid: str = ""
    pool: str = ""
    charge: str = ""
    cause: str = ""
    at: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """Return what is known as JSON can carry it."""
        return {name: value for name, value in asdict(self).items() if value}

    @classmethod
    def from_dict(cls, given: dict[str, Any]) -> Death:
        """Rebuild a death; what a later release adds is left out."""
        known = {field.name for field in fields(cls)}
        return cls(**{"owner": "", **{name: value for name, value in given.items() if name in known}})


@dataclass(slots=True)
class PostMortem:
    """What is to be known before a message becomes a dead letter.

    ``deaths`` that it was charged for, the oldest first; ``forward``: the queue that receives it instead, or None.
    """

    deaths: list[Death]
    forward: str | None = None


class Charge(StrEnum):
    """What a burial writes into the messages that the dead owner held."""

    NONE = "none"
    LOST = "lost"  #: only for ``guilty``; the others go uncharged
    SUSPECT = "suspect"  #: for ``suspects``, or for all
    REQUEUE = "requeue"
