"""What sends the signals around calls and runs. Each part stands in the chain only where somebody is connected to its signals."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any, Final

from umbel import failure, signals, states
from umbel.context import Request
from umbel.errors import NotRegistered
from umbel.middleware.base import Call, Middleware

if TYPE_CHECKING:
    from umbel.app import Umbel
    from umbel.message import Message
    from umbel.verdict import Execution

log = logging.getLogger("umbel.signals")

#: Headers of a message that a receiver of before_task_publish may change as they stand.
_OWN: Final = ("root_id", "parent_id", "timelimit", "ignore_result")


#: Headers that are the task's own: the others are the user's.
_STANDARD: Final = frozenset(
    (
        *_OWN,
        *[
            "lang",
            "task",
            "id",
            "shadow",
            "eta",
            "expires",
            "group",
            "group_index",
            "retries",
            "argsrepr",
            "kwargsrepr",
            "origin",
        ],
    )
)


class ExceptionInfo(str):
    """A traceback as text, with the exception beside it, as Celery's ``einfo`` has them."""

    exception: BaseException | None = None

    @classmethod
    def of(cls, error: BaseException | None, text: str = "") -> ExceptionInfo:
        """Return what is to be told of an exception; ``text`` is its traceback, where that is known."""
        info = cls(text or ("" if error is None else failure.traceback_of(error)))
        info.exception = error
        return info

    @property
    def type(self) -> type[BaseException] | None:
        """The class of the exception."""
        return None if self.exception is None else type(self.exception)

    @property
    def traceback(self) -> str:
        """The text."""
        return str(self)


def parts() -> list[Middleware]:
    """Return what is needed for the signals that somebody is connected to, the outermost first."""
    found: list[Middleware] = []
    if signals.before_task_publish.has_receivers or signals.after_task_publish.has_receivers:
        found.append(PublishSignals())
    if signals.task_received.has_receivers:
        found.append(ReceivedSignal())
    if signals.task_prerun.has_receivers:
        found.append(PrerunSignal())
    ends = (signals.task_success, signals.task_failure, signals.task_retry, signals.task_postrun)
    if any(signal.has_receivers for signal in ends):
        found.append(EndSignals())
    return found


class PublishSignals(Middleware):
    """before_task_publish and after_task_publish."""

    def publish(self, call: Call) -> AbstractContextManager[None]:
        """See `Middleware.publish`."""
        return self._around(call)

    @contextmanager
    def _around(self, call: Call) -> Iterator[None]:
        headers = _shown(call)
        before = dict(headers)
        parts = {"body": _body(call), "exchange": "", "routing_key": call.queue, "headers": headers}
        properties = {"correlation_id": call.id, "reply_to": call.message.headers.get("reply_to")}
        properties |= {"priority": call.message.priority, "delivery_mode": 2}
        signals.before_task_publish.send(call.name, **parts, properties=properties, declare=[], retry_policy=None)
        if headers != before:
            _take(call, headers, before)
        yield
        signals.after_task_publish.send(call.name, **parts)


def _body(call: Call) -> tuple[Any, ...]:
    return call.args, call.kwargs, {"callbacks": None, "errbacks": None, "chain": None, "chord": None}


def _shown(call: Call) -> dict[str, Any]:
    """Return the headers as Celery has them: those of the user beside those of the task."""
    headers = call.message.headers
    own = headers.get("headers") or {}
    return {
        "lang": "py",
        "task": call.name,
        "id": call.id,
        "shadow": None,
        "eta": call.options.get("eta"),
        "expires": call.options.get("expires"),
        "group": headers.get("group_id"),
        "group_index": headers.get("group_index"),
        "retries": headers.get("retries", 0),
        "timelimit": headers.get("timelimit", [None, None]),
        "root_id": headers.get("root_id", call.id),
        "parent_id": headers.get("parent_id"),
        "argsrepr": repr(call.args)[:1024],
        "kwargsrepr": repr(call.kwargs)[:1024],
        "origin": f"{os.getpid()}@{socket.gethostname()}",
        "ignore_result": bool(headers.get("ignore_result")),
        **own,
    }


def _take(call: Call, headers: dict[str, Any], before: dict[str, Any]) -> None:
    """Have what a receiver has changed travel with the message."""
    for name in [*headers.keys(), *(before.keys() - headers.keys())]:
        value = headers.get(name)
        if name in headers and name in before and before[name] == value:
            continue
        if name not in _STANDARD:
            if name in headers:
                call.headers[name] = value
            else:
                call.headers.pop(name, None)
        elif name in _OWN:
            call.message.headers[name] = value
        else:
            log.warning("signal.header_ignored", extra={"header": name, "task": call.name})


class ReceivedSignal(Middleware):
    """task_received."""

    def receive(self, request: Request) -> None:
        """See `Middleware.receive`."""
        signals.task_received.send(request.hostname, request=request)


class PrerunSignal(Middleware):
    """task_prerun."""

    def execute(self, request: Request) -> None:
        """See `Middleware.execute`."""
        task = request.task
        signals.task_prerun.send(task, task_id=request.id, task=task, args=request.args, kwargs=request.kwargs)


class EndSignals(Middleware):
    """task_success, task_failure, task_retry, and then task_postrun."""

    def ended(self, request: Request, end: Execution) -> None:
        """See `Middleware.ended`."""
        task, error = request.task, end.exception
        if end.state == states.SUCCESS:
            signals.task_success.send(task, result=end.value)
        elif end.state == states.RETRY and signals.task_retry.has_receivers:
            signals.task_retry.send(task, request=request, reason=error, einfo=info_of(end))
        elif end.state == states.FAILURE and error is not None and signals.task_failure.has_receivers:
            failed(request, end)
        signals.task_postrun.send(
            task,
            task_id=request.id,
            task=task,
            args=request.args,
            kwargs=request.kwargs,
            retval=end.value if error is None else error,
            state=end.state,
        )


def failed(request: Request, end: Execution) -> None:
    """Send task_failure."""
    error = end.exception
    signals.task_failure.send(
        request.task,
        task_id=request.id,
        exception=error,
        args=request.args,
        kwargs=request.kwargs,
        traceback=None if error is None else error.__traceback__,
        einfo=info_of(end),
    )


def info_of(end: Execution) -> ExceptionInfo:
    """Return what is to be told of the exception of a run."""
    stored = end.record.meta.get("traceback", "") if end.record is not None else ""
    return ExceptionInfo.of(end.exception, str(stored))


def internal_error(app: Umbel, message: Message, error: Exception) -> None:
    """Send task_internal_error."""
    request = Request(app, app.tasks.get(message.headers["task"]), message)
    signals.task_internal_error.send(
        request.task,
        task_id=request.id,
        args=None,
        kwargs=None,
        request=request,
        exception=error,
        traceback=error.__traceback__,
        einfo=ExceptionInfo.of(error),
    )


def unrun(app: Umbel, sender: object, end: Execution) -> None:
    """Send task_revoked, task_unknown or task_rejected for a message that no task has run for, or that was told to end."""
    message, error = end.message, end.exception
    name = message.headers["task"]
    if end.state == states.REVOKED:
        request = Request(app, app.tasks.get(name), message)
        why = str(error)
        signals.task_revoked.send(
            request.task, request=request, terminated=why == "terminated", signum=None, expired=why == "expired"
        )
    elif isinstance(error, NotRegistered):
        signals.task_unknown.send(sender, message=message, exc=error, name=name, id=message.headers["id"])
    elif end.reason is not None and end.reason.get("reason") == "Unreadable":
        signals.task_rejected.send(sender, message=message, exc=error)
