"""How one delivery ended, and what is to be written: also for those that no task ran."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from umbel import failure, states
from umbel.broker.base import Kind, Outcome
from umbel.clock import wall_ms
from umbel.errors import ContentDisallowed, SecurityError, TaskRevokedError
from umbel.message import LOCKED
from umbel.record import Record
from umbel.registry import not_registered
from umbel.serialization import compression

if TYPE_CHECKING:
    from umbel.app import Umbel
    from umbel.message import Message

#: Seconds that a message whose task is unknown waits before the next worker looks at it.
UNKNOWN_TASK_PAUSE: Final = 5.0
#: Seconds that a message waits which its task rejected with requeue=True, so that it does not spin.
REQUEUE_PAUSE: Final = 1.0
#: Ends that free or renew the lock of a unique task; the others leave the message in the queue, and the lock with it.
_LOCK_ENDS: Final = (Kind.ACK, Kind.DEAD, Kind.RETRY)


@dataclass(slots=True)
class Execution:
    """The end of one delivery.

    Args:
        message: that was delivered.
        state: of `umbel.states`.
        kind: what becomes of the message.
        record: to store, None for nothing.
        retry: the next message, for `Kind.RETRY`.
        delay: seconds until then, or until it is given back.
        exception: what the task raised.
        runtime: seconds in the task.
        reason: of a dead letter: ``reason`` (a word), ``message`` (what to do), ``task``, ``id``, ``worker``.
        value: what the task returned.
        expected: the exception is one of the task's ``throws``: nothing to be alarmed about.
    """

    message: Message
    state: str
    kind: Kind
    record: Record | None = None
    retry: Message | None = None
    delay: float = 0.0
    exception: BaseException | None = None
    runtime: float = 0.0
    reason: dict[str, Any] | None = None
    value: Any = None
    expected: bool = False

    def outcome(self, tag: int, ttl: float) -> Outcome:
        """Return this as the broker takes it.

        Args:
            tag: of the delivery.
            ttl: seconds to keep the record (``app.conf.result_ttl``).
        """
        headers = self.message.headers
        lock = None
        if self.message.flags & LOCKED and self.kind in _LOCK_ENDS:
            name, seconds, _ = headers["lock"]
            lock = (name, seconds + self.delay if self.kind is Kind.RETRY else 0.0)
        run = None
        if self.kind is not Kind.RETRY and self.kind is not Kind.GIVE_BACK and "run" in headers:
            run = (headers.get("schedule", ""), headers["run"], self.state)
        return Outcome(
            tag,
            self.kind,
            headers["id"],
            None if self.record is None else self.record.encode(),
            ttl,
            headers.get("reply_to") if self.state in states.READY_STATES else None,
            b"" if self.retry is None else self.retry.encode(),
            self.delay,
            self.reason,
            run,
            lock=lock,
        )


def failure_record(
    app: Umbel, message: Message, state: str, error: BaseException, *, hostname: str, trace: str = ""
) -> Record | None:
    """Return the record of a failure, None where failures are not stored."""
    headers = message.headers
    task = app.tasks.get(headers["task"])
    if headers.get("ignore_result"):
        keep = task.store_errors_even_if_ignored if task is not None else None
        if not (app.conf.task_store_errors_even_if_ignored if keep is None else keep) or state == states.RETRY:
            return None
    meta: dict[str, Any] = {"worker": hostname}
    if trace:
        meta["traceback"] = trace
    if app.conf.result_extended:
        meta.update(extended(app, message, hostname, None))
    return Record(state, failure.encode(error), message.attempt, wall_ms(), meta)


def extended(app: Umbel, message: Message, hostname: str, queue: str | None) -> dict[str, Any]:
    """Return what ``result_extended`` adds to a record."""
    headers = message.headers
    meta: dict[str, Any] = {"name": headers["task"], "worker": hostname, "retries": headers.get("retries", 0)}
    if queue:
        meta["queue"] = queue
    if "stamps" in headers:
        meta["stamps"] = headers["stamps"]
    if "content_type" not in headers:
        import orjson

        try:
            body = compression.decompress(headers.get("compression"), message.body, app.conf.decompressed_max_size)
            meta["args"], meta["kwargs"] = orjson.loads(body)
        except ValueError:
            pass
    return meta


def failed(app: Umbel, message: Message, error: BaseException, *, hostname: str, trace: str = "") -> Execution:
    """Return the end of a run that failed: acknowledged, the failure stored."""
    record = failure_record(app, message, states.FAILURE, error, hostname=hostname, trace=trace)
    return Execution(message, states.FAILURE, Kind.ACK, record, exception=error)


def revoked(app: Umbel, message: Message, why: str, *, hostname: str) -> Execution:
    """Return the end of a message that was revoked or has expired (``why``)."""
    error = TaskRevokedError(why)
    record = failure_record(app, message, states.REVOKED, error, hostname=hostname)
    return Execution(message, states.REVOKED, Kind.ACK, record, exception=error)


def dead(app: Umbel, message: Message, error: BaseException, word: str, *, hostname: str, trace: str = "") -> Execution:
    """Return the end of a message that goes to the dead letters: the failure is stored, so that nobody waits for ever.

    Args:
        error: what a waiting caller gets.
        word: why, in one word: UnknownTask, Unreadable, ContentDisallowed, Untrusted, Rejected, MaxDeliveries.
    """
    record = failure_record(app, message, states.FAILURE, error, hostname=hostname, trace=trace)
    reason = {
        "reason": word,
        "message": failure.text_of(error),
        "task": message.headers["task"],
        "id": message.headers["id"],
        "worker": hostname,
    }
    return Execution(message, states.FAILURE, Kind.DEAD, record, exception=error, reason=reason)


def word_of(error: Exception) -> str:
    """Return the word for a message whose arguments cannot be had."""
    if isinstance(error, SecurityError):
        return "Untrusted"
    return "ContentDisallowed" if isinstance(error, ContentDisallowed) else "Unreadable"


def unknown_task(app: Umbel, message: Message, *, now: float, hostname: str) -> Execution:
    """Return the end of a message whose task is not registered here: given back for a while, since a roll-out may deploy
    producers first; then dead."""
    grace = app.conf.unknown_task_grace
    due = message.enqueued_ms / 1000 + message.headers.get("delay", 0.0)
    if now - due < grace:
        pause = min(UNKNOWN_TASK_PAUSE, max(0.1, due + grace - now))
        return Execution(message, states.PENDING, Kind.GIVE_BACK, delay=pause)
    from umbel.errors import NotRegistered

    error = NotRegistered(
        f"{not_registered(message.headers['task'], list(app.tasks))}. No worker knew it for {grace:g} s."
    )
    return dead(app, message, error, "UnknownTask", hostname=hostname)
