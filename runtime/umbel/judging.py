"""How a run ended, by what its task returned or raised."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from umbel import failure, retrying, serialization, states, verdict
from umbel.broker.base import Kind
from umbel.clock import wall_ms
from umbel.context import Request
from umbel.errors import EncodeError, Ignore, Reject, Retry
from umbel.interrupting import Condemned
from umbel.record import Record
from umbel.serialization.compression import compress, too_large
from umbel.verdict import Execution

if TYPE_CHECKING:
    from umbel.app import Umbel
    from umbel.config import Settings
    from umbel.message import Message
    from umbel.middleware.hooks import Hooks
    from umbel.task import Task

_json: Final = serialization.json


class Known(NamedTuple):
    """What holds for each run, found once: a look at a setting costs as much as encoding a small result."""

    conf: Settings | None
    serial: int
    serializer: str
    extended: bool
    compression: str | None
    hooks: Hooks | None  #: None where a run has to call none


def success(
    known: Known, task: Task[..., Any], request: Request, message: Message, value: Any, hostname: str
) -> Execution:
    """Say how a run ended that returned.

    Raises:
        EncodeError: what it returned cannot be stored.
    """
    if message.headers.get("ignore_result"):
        return Execution(message, states.SUCCESS, Kind.ACK, value=value)
    meta: dict[str, Any] = {}
    codec: serialization.Codec = _json
    if known.serializer != "json":
        codec = serialization.by_name(known.serializer)
        meta["content_type"] = codec.content_type
    if known.extended:
        meta |= verdict.extended(task.app, message, hostname, request.queue)
    try:
        raw = codec.encode(value) if codec is _json else _encoded_result(codec, message, value)
    except EncodeError as error:
        place = "".join(f"[{part!r}]" for part in error.path)
        at = f" at {place}" if place else ""
        raise EncodeError(f"{task.name} returned a value that{at} {error.reason}", error.path) from None
    if known.compression is not None:
        most = task.app.conf.decompressed_max_size
        size = len(raw)
        raw, used = compress(known.compression, raw)
        if used is not None:
            if size > most:
                raise EncodeError(f"{task.name} returned a value whose {size:,} bytes {too_large(most)}")
            meta["compression"] = used
    return Execution(
        message,
        states.SUCCESS,
        Kind.ACK,
        Record(states.SUCCESS, raw, message.attempt, wall_ms(), meta),
        value=value,
    )


def _encoded_result(codec: serialization.Codec, message: Message, value: Any) -> bytes:
    """Return what a task returned as bytes; where they are signed, as this task's result."""
    if serialization.signs(codec):
        return codec.encode_result(message.headers["id"], value)
    return codec.encode(value)


def raised(
    task: Task[..., Any],
    message: Message,
    request: Request,
    error: BaseException,
    now: float,
    hostname: str,
    skip: Collection[str],
) -> Execution:
    """Say how a run ended that raised; ``skip`` are the files whose outermost frames no traceback shows."""
    app = task.app
    if isinstance(error, Condemned):
        return _condemned(app, message, error, hostname, skip)
    error = app.hooks.raised(request, error)
    if isinstance(error, Retry):
        return _retried(task, message, error, now, hostname, skip)
    if isinstance(error, Ignore):
        return Execution(message, states.IGNORED, Kind.ACK, exception=error)
    if isinstance(error, Reject):
        if error.requeue:
            return Execution(message, states.REJECTED, Kind.GIVE_BACK, delay=verdict.REQUEUE_PAUSE, exception=error)
        return verdict.dead(app, message, error, "Rejected", hostname=hostname)
    trace = failure.traceback_of(error, skip=skip)
    ended = verdict.failed(app, message, error, hostname=hostname, trace=trace)
    ended.expected = isinstance(error, retrying.tuple_of(task.throws))
    return ended


def _condemned(app: Umbel, message: Message, sentence: Condemned, hostname: str, skip: Collection[str]) -> Execution:
    """Say how a run ended that was told to end: what the task made of that does not count."""
    if sentence.state == states.REVOKED:
        return verdict.revoked(app, message, str(sentence.error), hostname=hostname)
    if sentence.state == states.PENDING:
        return Execution(message, states.PENDING, Kind.REQUEUE, exception=sentence.error)
    trace = "" if sentence.__context__ is None else failure.traceback_of(sentence.__context__, skip=skip)
    return verdict.failed(app, message, sentence.error, hostname=hostname, trace=trace)


def _retried(
    task: Task[..., Any], message: Message, again: Retry, now: float, hostname: str, skip: Collection[str]
) -> Execution:
    app = task.app
    try:
        following = retrying.next_message(task, message, again, now=now)
    except EncodeError as error:
        return verdict.failed(app, message, error, hostname=hostname, trace=failure.traceback_of(error))
    cause = again.exc if again.exc is not None else again
    trace = failure.traceback_of(cause, skip=skip)
    record = verdict.failure_record(app, message, states.RETRY, cause, hostname=hostname, trace=trace)
    return Execution(message, states.RETRY, Kind.RETRY, record, following, again.when, cause)
