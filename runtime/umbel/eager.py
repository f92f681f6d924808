"""Run a task in the calling process: ``apply`` and ``task_always_eager``."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from umbel import execution, states
from umbel.broker.base import Kind
from umbel.message import Message
from umbel.publishing import build
from umbel.record import Record
from umbel.result import EagerResult
from umbel.verdict import failure_record

if TYPE_CHECKING:
    from umbel.task import Task

_HOSTNAME: Final = "eager"
_IGNORED_HERE: Final = ("countdown", "eta", "expires")


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
    queue, message, _ = build(app, task.name, args, kwargs, task=task, now=time.time(), **shown)
    message.headers.pop("expires", None)
    message.enqueued_ms = int(time.time() * 1000)
    if retries:
        message.headers["retries"] = retries
    ended = _to_the_end(task, message, queue)
    error = ended.exception if ended.state in states.PROPAGATE_STATES else None
    if throw is None:
        throw = app.conf.task_eager_propagates
    if throw and error is not None:
        raise error
    result: EagerResult[Any] = EagerResult(message.headers["id"], _record(task, ended), error, app, task.name)
    if app.conf.task_store_eager_result and ended.record is not None:
        app.results.store(result.id, ended.record, app.conf.result_ttl)
    return result


def _to_the_end(task: Task[..., Any], message: Message, queue: str) -> execution.Execution:
    """Run, and run again for each retry, without waiting."""
    app = task.app
    while True:
        ended = execution.run(app, message, now=time.time(), hostname=_HOSTNAME, queue=queue, is_eager=True)
        if ended.kind is not Kind.RETRY or ended.retry is None:
            return ended
        message = ended.retry


def _record(task: Task[..., Any], ended: execution.Execution) -> Record:
    """Return what would have been stored, also where a worker stores nothing."""
    if ended.record is not None:
        return ended.record
    if ended.exception is None:
        return Record(ended.state, b"null")
    loud = Message({**ended.message.headers, "ignore_result": False}, b"")
    record = failure_record(task.app, loud, ended.state, ended.exception, hostname=_HOSTNAME)
    return record or Record(ended.state, b"null")
