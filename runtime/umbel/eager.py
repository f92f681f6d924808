"""Run a task in the calling process: ``apply`` and ``task_always_eager``."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from umbel import bodies, execution, serialization, states
from umbel.broker.base import Kind
from umbel.context import Request
from umbel.errors import EncodeError
from umbel.message import Message
from umbel.publishing import build
from umbel.record import Record
from umbel.result import EagerResult
from umbel.verdict import failure_record

if TYPE_CHECKING:
    from umbel.app import Umbel
    from umbel.task import Task

_HOSTNAME: Final = "eager"
_IGNORED_HERE: Final = ("countdown", "eta", "expires")
_LINKS: Final = ("link", "link_error")


def apply(
    task: Task[..., Any],
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
    *,
    throw: bool | None,
    retries: int,
    options: Mapping[str, Any],
) -> EagerResult[Any]:
    """See `umbel.task.Task.apply`."""
    app = task.app
    shown = {name: value for name, value in options.items() if name not in _IGNORED_HERE}
    links = [shown.pop(name, None) for name in _LINKS]
    queue, message, _ = build(app, task.name, args, kwargs, task=task, now=time.time(), **shown)
    message.headers.pop("expires", None)
    message.enqueued_ms = int(time.time() * 1000)
    if retries:
        message.headers["retries"] = retries
    bodies.seal(message)
    ended = _to_the_end(task, message, queue)
    result = _result(task, ended, throw)
    if links != [None, None]:
        _link(app, result, links, Request(app, task, message, args, kwargs, _HOSTNAME, queue, True))
    error = result.result if result.state in states.PROPAGATE_STATES else None
    if throw is None:
        throw = app.conf.task_eager_propagates
    if throw and isinstance(error, BaseException):
        raise error
    if app.conf.task_store_eager_result and ended.record is not None:
        app.results.store(result.id, ended.record, app.conf.result_ttl)
    return result


def _result(task: Task[..., Any], ended: execution.Execution, throw: bool | None) -> EagerResult[Any]:
    """Return the result of a run: of what ran in its place, if the task was replaced."""
    app, task_id = task.app, ended.message.headers["id"]
    instead = getattr(ended.exception, "instead", None)
    if instead is not None:
        from umbel import canvas

        inner = canvas.apply(instead, None, None, {"task_id": task_id, "throw": throw})
        failed = inner.result if isinstance(inner.result, BaseException) else None
        return EagerResult.of(task_id, inner.final, failed, app, task.name)
    error = ended.exception if ended.state in states.PROPAGATE_STATES else None
    return EagerResult.of(task_id, _record(task, ended), error, app, task.name)


def _link(app: Umbel, result: EagerResult[Any], links: list[Any], request: Request) -> None:
    from umbel import canvas

    if result.state == states.SUCCESS:
        canvas.callbacks(links[0], result.get(), result.id, request.root_id or result.id)
    elif result.state in states.PROPAGATE_STATES and isinstance(result.result, BaseException):
        canvas.errbacks(app, links[1], result.id, request, result.result)


def _to_the_end(task: Task[..., Any], message: Message, queue: str) -> execution.Execution:
    """Run, and run again for each retry, without waiting."""
    app = task.app
    while True:
        ended = execution.run(app, message, now=time.time(), hostname=_HOSTNAME, queue=queue, is_eager=True)
        if ended.kind is not Kind.RETRY or ended.retry is None:
            return ended
        message = ended.retry


def _encoded(value: Any) -> bytes:
    """Return a value that no record holds, since the task ignores its result; what follows in a chain gets it all the same."""
    try:
        return serialization.json.encode(value)
    except EncodeError:
        return b"null"


def _record(task: Task[..., Any], ended: execution.Execution) -> Record:
    """Return what would have been stored, also where a worker stores nothing."""
    if ended.record is not None:
        return ended.record
    if ended.exception is None:
        return Record(ended.state, _encoded(ended.value))
    loud = Message({**ended.message.headers, "ignore_result": False}, b"")
    record = failure_record(task.app, loud, ended.state, ended.exception, hostname=_HOSTNAME)
    return record or Record(ended.state, b"null")
