"""Run one task for one message. No I/O but the task's own: workers, ``apply`` and the in-memory worker all use it."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from umbel import bodies, failure, leaving, retrying, serialization, signals, states, verdict
from umbel.broker.base import Kind
from umbel.clock import wall_ms
from umbel.context import Request, enter, leave
from umbel.errors import DecodeError, EncodeError, Ignore, InvalidTaskError, Reject, Retry, SecurityError
from umbel.interrupting import Condemned
from umbel.record import Record
from umbel.serialization.compression import compress, too_large
from umbel.verdict import Execution

if TYPE_CHECKING:
    from umbel.app import Umbel
    from umbel.awaiting import Steered
    from umbel.config import Settings
    from umbel.message import Message
    from umbel.middleware.hooks import Hooks
    from umbel.task import Task
    from umbel.workflow.incoming import Incoming

__all__ = ["Execution", "run", "run_async"]

_perf: Final = time.perf_counter
_json: Final = serialization.json


def run(
    app: Umbel,
    message: Message,
    *,
    now: float,
    hostname: str,
    on_started: Callable[[Request], object] | None = None,
    on_ended: Callable[[], object] | None = None,
    queue: str = "",
    is_eager: bool = False,
    incoming: Incoming | None = None,
) -> Execution:
    """Run the task that a message asks for, and say how it ended.

    Args:
        app: that knows the task.
        message: the delivery.
        now: seconds since the Unix epoch, by the broker's clock.
        hostname: the worker's name, for the record and the request.
        on_started: called with the request right before the user's code.
        on_ended: called right after it, whatever happened. A soft limit may be raised between the two only.
        queue: where the message came from.
        is_eager: run in the caller's process.
        incoming: what a task of a workflow gets that its message does not carry.

    Returns: what is to be reported. Whatever the message holds and the task raises, nothing is raised here, but
        KeyboardInterrupt where the task runs eagerly.
    """
    try:
        request = _request_of(app, message, now, hostname, queue, is_eager, incoming)
        if isinstance(request, Execution):
            return request
        token = enter(request)
        try:
            return _attempt(app, request, message, now, hostname, on_started, on_ended)
        finally:
            leave(token)
    except Exception as error:
        return _unreadable(app, message, error, hostname)


async def run_async(
    app: Umbel,
    message: Message,
    *,
    now: float,
    hostname: str,
    on_started: Callable[[Request], object],
    on_ended: Callable[[], object],
    queue: str,
    steered: Steered,
    incoming: Incoming | None = None,
) -> Execution:
    """Run an ``async def`` task within a loop that runs others too. As `run`, with:

    Args:
        steered: drives the task's coroutine, so that it can be interrupted.
    """
    try:
        request = _request_of(app, message, now, hostname, queue, False, incoming)
        if isinstance(request, Execution):
            return request
        token = enter(request)
        try:
            return await _attempt_async(app, request, message, now, hostname, on_started, on_ended, steered)
        finally:
            leave(token)
    except Exception as error:
        return _unreadable(app, message, error, hostname)


def _unreadable(app: Umbel, message: Message, error: Exception, hostname: str) -> Execution:
    """Say how a message ended around which something failed that is not the task."""
    if signals.task_internal_error.has_receivers:
        from umbel.middleware import signalling

        signalling.internal_error(app, message, error)
    trace = failure.traceback_of(error)
    return verdict.dead(app, message, error, "Unreadable", hostname=hostname, trace=trace)


def _request_of(
    app: Umbel,
    message: Message,
    now: float,
    hostname: str,
    queue: str,
    is_eager: bool,
    incoming: Incoming | None,
) -> Request | Execution:
    """Return the request to run, or how the message ended without."""
    headers = message.headers
    task = app.tasks.get(headers["task"])
    if task is None and headers["task"].startswith("umbel."):
        from umbel.canvas import builtin_task

        task = builtin_task(app, headers["task"])
    if task is None:
        return verdict.unknown_task(app, message, now=now, hostname=hostname)
    expires = headers.get("expires")
    if expires is not None and now > message.enqueued_ms / 1000 + expires:
        return verdict.revoked(app, message, "expired", hostname=hostname)
    try:
        args, kwargs = _arguments(bodies.read(app.conf, headers, message.body))
    except (DecodeError, InvalidTaskError, SecurityError) as error:
        return verdict.dead(app, message, error, verdict.word_of(error), hostname=hostname)
    if incoming is not None:
        args[: incoming.replaces] = incoming.args
    request = Request(app, task, message, args, kwargs, hostname, queue, is_eager)
    if expires is not None or "delay" in headers:
        request.ahead = now - time.time()
    return request


def _arguments(body: Any) -> tuple[list[Any], dict[str, Any]]:
    if type(body) is list and len(body) == 2 and type(body[0]) is list and type(body[1]) is dict:
        return body[0], body[1]
    if isinstance(body, tuple) and len(body) == 2 and isinstance(body[0], (list, tuple)) and isinstance(body[1], dict):
        return list(body[0]), body[1]  # of a codec that keeps tuples
    raise InvalidTaskError(
        "the body of a message must hold [args, kwargs]: a list of arguments and a dict of named ones"
    )


def _attempt(
    app: Umbel,
    request: Request,
    message: Message,
    now: float,
    hostname: str,
    on_started: Callable[[Request], object] | None,
    on_ended: Callable[[], object] | None,
) -> Execution:
    task, begun = request.task, _perf()
    assert task is not None
    conf, known = app.conf, _known
    if known.conf is not conf or known.serial != conf.serial:
        known = _known_of(app)
    hooks = known.hooks
    try:
        if hooks is None:
            try:
                if on_started is not None:
                    on_started(request)
                if task.has_handlers:
                    value = _with_handlers(task, request)
                else:
                    value = task.run(*request.args, **request.kwargs)
                if task.is_async:
                    value = _to_the_end(app, value)
            finally:
                if on_ended is not None:
                    on_ended()
        else:
            value = hooks.run(request, on_started, on_ended, partial(_call, app, task, request))
        if request.pending_retry is not None:
            raise request.pending_retry
        ended = _success(known, task, request, message, value, hostname)
    except BaseException as error:
        # What would end a program (exit, a cancelled coroutine) ends only the task; but Ctrl-C stays with the caller.
        if request.is_eager and isinstance(error, KeyboardInterrupt):
            raise
        ended = _raised(app, task, message, request, error, now + _perf() - begun, hostname)
    ended.runtime = _perf() - begun
    if request.children and ended.record is not None:
        ended.record.meta["children"] = request.children
    if task.has_handlers:
        _notify(task, request, ended)
    if hooks is not None:
        hooks.tell(request, ended)
    return ended


async def _attempt_async(
    app: Umbel,
    request: Request,
    message: Message,
    now: float,
    hostname: str,
    on_started: Callable[[Request], object],
    on_ended: Callable[[], object],
    steered: Steered,
) -> Execution:
    task, begun = request.task, _perf()
    assert task is not None
    known = _known
    if known.conf is not app.conf or known.serial != app.conf.serial:
        known = _known_of(app)
    hooks = known.hooks

    def call() -> Awaitable[Any]:
        return steered.drive(
            _with_handlers(task, request) if task.has_handlers else task.run(*request.args, **request.kwargs)
        )

    try:
        if hooks is None:
            try:
                on_started(request)
                value = await call()
            finally:
                on_ended()
        else:
            value = await hooks.run_async(request, on_started, on_ended, call)
        if request.pending_retry is not None:
            raise request.pending_retry
        ended = _success(known, task, request, message, value, hostname)
    except BaseException as error:
        ended = _raised(app, task, message, request, error, now + _perf() - begun, hostname)
    ended.runtime = _perf() - begun
    if request.children and ended.record is not None:
        ended.record.meta["children"] = request.children
    if task.has_handlers:
        _notify(task, request, ended)
    if hooks is not None:
        hooks.tell(request, ended)
    return ended


def _with_handlers(task: Task[..., Any], request: Request) -> Any:
    task.before_start(request.id or "", request.args, request.kwargs)
    return task(*request.args, **request.kwargs) if task.overrides_call else task.run(*request.args, **request.kwargs)


def _to_the_end(app: Umbel, called: Any) -> Any:
    """Return what a coroutine returns."""
    from umbel.awaiting import run_coroutine

    return run_coroutine(called, keep_loop=app.is_worker)


def _call(app: Umbel, task: Task[..., Any], request: Request) -> Any:
    called = _with_handlers(task, request) if task.has_handlers else task.run(*request.args, **request.kwargs)
    return _to_the_end(app, called) if task.is_async else called


class _Known(NamedTuple):
    """What holds for each run, found once: a look at a setting costs as much as encoding a small result."""

    conf: Settings | None
    serial: int
    serializer: str
    extended: bool
    compression: str | None
    hooks: Hooks | None  #: None where a run has to call none


#: Of the app that ran last. Replaced as a whole, so that threads need no lock.
_known = _Known(None, -1, "json", False, None, None)


def _known_of(app: Umbel) -> _Known:
    global _known
    conf = app.conf
    serial = conf.serial  # first, since reading a setting may load a source, which raises it
    hooks = app.hooks
    storing = (conf.result_serializer, conf.result_extended, conf.result_compression)
    _known = known = _Known(conf, serial, *storing, hooks if hooks.runs else None)
    return known


def _success(
    known: _Known, task: Task[..., Any], request: Request, message: Message, value: Any, hostname: str
) -> Execution:
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


def _raised(
    app: Umbel,
    task: Task[..., Any],
    message: Message,
    request: Request,
    error: BaseException,
    now: float,
    hostname: str,
) -> Execution:
    """Say how a run ended that raised."""
    if isinstance(error, Condemned):
        return _condemned(app, message, error, hostname)
    error = app.hooks.raised(request, error)
    if isinstance(error, Retry):
        return _retried(app, task, message, error, now, hostname)
    if isinstance(error, Ignore):
        return Execution(message, states.IGNORED, Kind.ACK, exception=error)
    if isinstance(error, Reject):
        if error.requeue:
            return Execution(message, states.REJECTED, Kind.GIVE_BACK, delay=verdict.REQUEUE_PAUSE, exception=error)
        return verdict.dead(app, message, error, "Rejected", hostname=hostname)
    trace = failure.traceback_of(error, skip=__file__)
    ended = verdict.failed(app, message, error, hostname=hostname, trace=trace)
    ended.expected = isinstance(error, retrying.tuple_of(task.throws))
    return ended


def _condemned(app: Umbel, message: Message, sentence: Condemned, hostname: str) -> Execution:
    """Say how a run ended that was told to end: what the task made of that does not count."""
    if sentence.state == states.REVOKED:
        return verdict.revoked(app, message, str(sentence.error), hostname=hostname)
    if sentence.state == states.PENDING:
        return Execution(message, states.PENDING, Kind.REQUEUE, exception=sentence.error)
    trace = "" if sentence.__context__ is None else failure.traceback_of(sentence.__context__, skip=__file__)
    return verdict.failed(app, message, sentence.error, hostname=hostname, trace=trace)


def _retried(app: Umbel, task: Task[..., Any], message: Message, again: Retry, now: float, hostname: str) -> Execution:
    try:
        following = retrying.next_message(task, message, again, now=now)
    except EncodeError as error:
        return verdict.failed(app, message, error, hostname=hostname, trace=failure.traceback_of(error))
    cause = again.exc if again.exc is not None else again
    trace = failure.traceback_of(cause, skip=__file__)
    record = verdict.failure_record(app, message, states.RETRY, cause, hostname=hostname, trace=trace)
    return Execution(message, states.RETRY, Kind.RETRY, record, following, again.when, cause)


def notify(app: Umbel, ended: Execution, *, hostname: str, queue: str) -> None:
    """Call the handlers of a task class for an end that its code did not see: what ran it was killed, or died too often."""
    message = ended.message
    task = app.tasks[message.headers["task"]]
    try:
        args, kwargs = _arguments(bodies.read(app.conf, message.headers, message.body))
    except (DecodeError, InvalidTaskError, SecurityError):
        return  # it has no arguments to hand over
    request = Request(app, task, message, args, kwargs, hostname, queue, False)
    token = enter(request)
    try:
        _notify(task, request, ended)
        if signals.task_failure.has_receivers:
            from umbel.middleware import signalling

            signalling.failed(request, ended)
    finally:
        leave(token)


def _notify(task: Task[..., Any], request: Request, ended: Execution) -> None:
    """Call the handlers of a task class. What they raise is logged; it changes nothing any more."""
    from umbel.logs import get_logger

    call = (request.id or "", request.args, request.kwargs)
    trace = str(ended.record.meta.get("traceback", "")) if ended.record is not None else ""
    error = ended.exception
    try:
        if ended.state == states.SUCCESS:
            task.on_success(ended.value, *call)
        elif ended.state == states.RETRY and error is not None:
            task.on_retry(error, *call, trace)
        elif ended.state == states.FAILURE and error is not None:
            task.on_failure(error, *call, trace)
        if ended.state != states.RETRY:
            task.after_return(ended.state, ended.value if error is None else error, *call, trace or None)
    except (Exception, SystemExit) as raised:
        if leaving.ask(raised):
            return
        get_logger("umbel.task").exception("handler failed", extra={"task": task.name, "id": request.id})
