"""Run one task for one message. No I/O but the task's own: workers, ``apply`` and the in-memory worker all use it."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from umbel import bodies, failure, judging, signals, verdict
from umbel.context import Request, enter, leave
from umbel.errors import DecodeError, InvalidTaskError, SecurityError
from umbel.handling import tell
from umbel.judging import Known, raised, success
from umbel.verdict import Execution

if TYPE_CHECKING:
    from umbel.app import Umbel
    from umbel.awaiting import Steered
    from umbel.message import Message
    from umbel.task import Task
    from umbel.workflow.incoming import Incoming

__all__ = ["Execution", "run", "run_async"]

_perf: Final = time.perf_counter
#: Whose frames no traceback of a task shows.
_OURS: Final = frozenset({__file__, judging.__file__})


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
        args, kwargs = bodies.arguments(app.conf, headers, message.body)
    except (DecodeError, InvalidTaskError, SecurityError) as error:
        return verdict.dead(app, message, error, verdict.word_of(error), hostname=hostname)
    if incoming is not None:
        args[: incoming.replaces] = incoming.args
    request = Request(app, task, message, args, kwargs, hostname, queue, is_eager)
    if expires is not None or "delay" in headers:
        request.ahead = now - time.time()
    return request


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
        ended = success(known, task, request, message, value, hostname)
    except BaseException as error:
        # What would end a program (exit, a cancelled coroutine) ends only the task; but Ctrl-C stays with the caller.
        if request.is_eager and isinstance(error, KeyboardInterrupt):
            raise
        ended = raised(task, message, request, error, now + _perf() - begun, hostname, _OURS)
    ended.runtime = _perf() - begun
    if request.children and ended.record is not None:
        ended.record.meta["children"] = request.children
    if task.has_handlers:
        tell(task, request, ended)
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
        ended = success(known, task, request, message, value, hostname)
    except BaseException as error:
        ended = raised(task, message, request, error, now + _perf() - begun, hostname, _OURS)
    ended.runtime = _perf() - begun
    if request.children and ended.record is not None:
        ended.record.meta["children"] = request.children
    if task.has_handlers:
        tell(task, request, ended)
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


#: Of the app that ran last. Replaced as a whole, so that threads need no lock.
_known = Known(None, -1, "json", False, None, None)


def _known_of(app: Umbel) -> Known:
    global _known
    conf = app.conf
    serial = conf.serial  # first, since reading a setting may load a source, which raises it
    hooks = app.hooks
    storing = (conf.result_serializer, conf.result_extended, conf.result_compression)
    _known = known = Known(conf, serial, *storing, hooks if hooks.runs else None)
    return known
