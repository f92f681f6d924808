"""What the rest of Umbel asks of a broker. One conformance suite (tests/conformance) holds every adapter to it.

A broker has three sides. The *producer* side publishes. The *consumer* side belongs to one owner (one incarnation of one
child process): it fetches, reports outcomes, and is fenced off once the owner was buried. The *liveness* side belongs to
supervisors and beat: heartbeats, and the burial of owners that died.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol

from umbel.broker.consuming import Bell, ConnectionLost, Consumer, OwnerLost
from umbel.broker.data import (
    Batch,
    Charge,
    DeadLetter,
    Death,
    DelayedMessage,
    Delivery,
    Kind,
    Outcome,
    Outgoing,
    OwnerInfo,
    PostMortem,
    QueueInfo,
)
from umbel.broker.living import Liveness

if TYPE_CHECKING:
    from umbel.broker.ownqueues import OwnQueues
    from umbel.workflow.base import Workflows

__all__ = [
    "REVOKED_FOR",
    "REVOKED_MOST",
    "Answers",
    "Batch",
    "Bell",
    "Broker",
    "Charge",
    "ConnectionLost",
    "Consumer",
    "DeadLetter",
    "Death",
    "DelayedMessage",
    "Delivery",
    "Kind",
    "Listener",
    "Liveness",
    "Outcome",
    "Outgoing",
    "OwnerInfo",
    "OwnerLost",
    "PostMortem",
    "QueueInfo",
    "check_count",
    "full",
]

#: Seconds that a revoked id is remembered, and how many ids at the most: the oldest are forgotten first.
REVOKED_FOR: Final = 30 * 86400.0
REVOKED_MOST: Final = 100_000


def check_count(task_ids: Sequence[str]) -> None:
    """Refuse to revoke more ids than are remembered.

    Raises:
        ValueError: with what to do.
    """
    if len(task_ids) > REVOKED_MOST:
        raise ValueError(
            f"{len(task_ids)} tasks cannot be revoked at once, since {REVOKED_MOST} ids are remembered: "
            "purge the queue, or hold it and send what is still wanted to another one"
        )


def full(queue: str, coming: int, waiting: int, bound: int) -> str:
    """Return the text of `umbel.errors.QueueFull` for a queue that takes no more."""
    if coming > bound:
        return (
            f"queue {queue!r} takes {bound} tasks at most (max_length), and {coming} were to be sent in one step: "
            "send fewer at a time, or raise the queue's max_length"
        )
    return (
        f"queue {queue!r} is full: {waiting} tasks wait, ready or delayed, and {bound} may (max_length). "
        "Send again later, start more workers, or raise the queue's max_length"
    )


class Broker(Protocol):
    """A broker, as the app and the surfaces see it. Thread-safe."""

    url: str

    @property
    def workflows(self) -> Workflows:
        """The store of workflows beside the queues."""

    @property
    def own_queues(self) -> OwnQueues:
        """What queues of single workers need."""

    def publish(self, queue: str, messages: Sequence[Outgoing]) -> list[Delivery]:
        """Publish in one atomic step (a thousand messages or a megabyte a step at most), within the publish deadline.

        When a later step of a longer list fails, the earlier ones were sent and the rest was not.

        Returns: what the queue dropped for it, being full (``overflow`` DropOldest): who waits for these must be told, and
            `settle_dropped` called. Whoever looks at `dropped` does it, should this process end before.

        Raises:
            OperationalError: the broker cannot be reached; nothing was sent.
            PublishUncertain: the connection broke after sending.
            QueueClosed: the queue's intake is closed.
            QueueFull: there is no room for the messages of a step (``overflow`` Reject); none of it was sent.
        """

    def dropped(self, queue: str) -> list[Delivery]:
        """Return some of what a full queue dropped, or `set_aside` put aside, and nobody has been told of yet."""

    def settle_dropped(self, queue: str, outcomes: Sequence[Outcome]) -> None:
        """Write the ends of messages that were dropped; those that somebody else has written are passed over."""

    def consumer(self, owner: OwnerInfo) -> Consumer: ...

    def bell(self) -> Bell: ...

    def liveness(self) -> Liveness: ...

    def queues(self) -> list[str]:
        """Return the names of all queues that were ever published to or consumed from."""

    def info(self, queue: str) -> QueueInfo:
        """Return a snapshot of one queue; zeros for an unknown one."""

    def configure(self, queue: str, settings: dict[str, Any], serial: int) -> bool:
        """Write some of a queue's settings unless a newer serial stands there; an opened or resumed queue's bell rings.

        Settings: ``intake`` ("Accept" or "Reject"), ``dispatch`` ("Enabled" or "Held"), ``max_concurrency`` (int),
        ``max_length`` (int), ``overflow`` ("Reject" or "DropOldest"), ``rate_limit`` (`RateLimit`), ``group_weights`` (dict of
        group to a whole number from 1 to 1000), ``max_deliveries`` (int), ``dead_policy`` ("Keep", "Discard" or "Forward"),
        ``dead_forward`` (the queue that receives), ``dead_retention`` (seconds), ``dead_max`` (letters), ``task_defaults``
        (dict with any of ``time_limit`` and ``result_ttl``, in seconds, and ``max_retries``; see `TaskDefaults`). None takes a
        setting away, so that its default holds.
        """

    def settings(self, queue: str) -> dict[str, Any]:
        """Return what `configure` wrote, without what is not set, and ``serial``."""

    def promote(self, queue: str) -> float | None:
        """Move due delayed messages to ready; return seconds until the next one is due, None without one."""

    def wake_parked(self, queue: str) -> int:
        """Wake messages that wait for a place though nobody has one; return how many. For who looks after a queue now and then.

        The end of a delivery wakes the next one by itself; this is for when there was none: what was woken was dropped since.
        """

    def purge(self, queue: str) -> int:
        """Drop all messages that wait: ready, delayed or for a place; return how many. Nobody is told of them."""

    def set_aside(self, queue: str, most: int) -> list[Delivery]:
        """Put aside so many messages that wait, at the most, and return them, flagged as `umbel.message.PURGED`.

        Who waits for these must be told, and `settle_dropped` called. Whoever looks at `dropped` does it, should this process
        end before.
        """

    def dead(
        self,
        queue: str,
        limit: int = 100,
        offset: int = 0,
        *,
        since: float | None = None,
        before: float | None = None,
    ) -> list[DeadLetter]:
        """Return dead letters, the newest first.

        Args:
            queue: its name.
            limit, offset: of the page.
            since, before: seconds of the broker's clock: only letters that died then or later, and earlier than then.
        """

    def retry_dead(self, queue: str, letters: Sequence[DeadLetter]) -> int:
        """Send letters again as messages that were never delivered, and forget their results; return how many were sent.

        Each moves from the dead letters to its ready list in one step: it is never lost, and never sent twice, whoever dies or
        asks at the same time. A letter that is not there any more is left out.

        Raises:
            QueueClosed: the queue takes no tasks; the letters stay.
        """

    def drop_dead(self, queue: str, letters: Sequence[DeadLetter]) -> int:
        """Drop letters; return how many were there."""

    def trim_dead(self, queue: str) -> int:
        """Drop the letters that are older than the queue's ``dead_retention``; return how many there were."""

    def delayed(self, queue: str, limit: int = 100) -> list[DelayedMessage]:
        """Return the delayed messages of a queue, the soonest first."""

    def post_mortem(self, queue: str, payload: bytes) -> PostMortem:
        """Return what is to be known before a message of a queue becomes a dead letter."""

    def forward(self, queue: str, payload: bytes, original: bytes) -> bool:
        """Send a dead letter to another queue; False if that takes no tasks.

        Args:
            queue: that receives.
            payload: the message to send.
            original: the message as it died: it is forwarded once, however often this is called.
        """

    def revoke(self, task_ids: Sequence[str], *, terminate: bool = False) -> int:
        """Remember the ids as revoked (for `REVOKED_FOR`) and tell all workers; return how many workers heard it.

        Raises:
            ValueError: more than `REVOKED_MOST` ids.
        """

    def revoked(self) -> set[str]:
        """Return the ids that are revoked and not forgotten yet."""

    def revocations(self, since: float = 0.0) -> dict[str, float]:
        """Return what was revoked at ``since`` or later and is not forgotten yet: id -> broker's clock in seconds."""

    def control(self, command: dict[str, Any]) -> int:
        """Send a command to all workers; return how many heard it."""

    def listen(self, handle: Callable[[dict[str, Any]], None]) -> Listener:
        """Call ``handle`` with each command, from a thread of its own, across reconnects."""

    def time(self) -> float:
        """Return the broker's clock, in seconds since the Unix epoch. It may be hours away from the one of this machine."""

    def answers(self) -> Answers:
        """Open a place for answers to commands; its ``address`` goes with the command.

        Raises:
            OperationalError: the broker cannot be reached.
        """

    def answer(self, address: str, answer: dict[str, Any]) -> bool:
        """Send an answer to who asked; False if nobody waits there any more."""

    def ping(self) -> dict[str, Any]:
        """Check the connection; return ``version``, ``maxmemory_policy`` and ``run_id`` of the server.

        Raises:
            OperationalError: with the address, the cause and the remedy.
        """

    def close(self) -> None:
        """Drop all connections of this process; the next call connects anew."""


class Listener(Protocol):
    """A running subscription.

    ``begun``: commands have been heard, or would have been, since a moment in the past; or the broker does not permit it.
    """

    begun: bool

    def stop(self) -> None: ...

    def join(self, timeout: float | None = None) -> None: ...


class Answers(Protocol):
    """Where answers to one command arrive. One thread. What is sent while its connection is down is lost: ask again."""

    address: str

    def next(self, timeout: float) -> dict[str, Any] | None:
        """Return the next answer; None if none came within ``timeout`` seconds."""

    def close(self) -> None:
        """Take no more answers."""
