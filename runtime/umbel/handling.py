"""The handlers of a task class: ``on_success``, ``on_failure``, ``on_retry``, ``after_return``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from umbel import bodies, leaving, signals, states
from umbel.context import Request, enter, leave
from umbel.errors import DecodeError, InvalidTaskError, SecurityError

if TYPE_CHECKING:
    from umbel.app import Umbel
    from umbel.task import Task
    from umbel.verdict import Execution


def notify(app: Umbel, ended: Execution, *, hostname: str, queue: str) -> None:
    """Call the handlers of a task class for an end that its code did not see: what ran it was killed, or died too often."""
    message = ended.message
    task = app.tasks[message.headers["task"]]
    try:
        args, kwargs = bodies.arguments(app.conf, message.headers, message.body)
    except (DecodeError, InvalidTaskError, SecurityError):
        return  # it has no arguments to hand over
    request = Request(app, task, message, args, kwargs, hostname, queue, False)
    token = enter(request)
    try:
        tell(task, request, ended)
        if signals.task_failure.has_receivers:
            from umbel.middleware import signalling

            signalling.failed(request, ended)
    finally:
        leave(token)


def tell(task: Task[..., Any], request: Request, ended: Execution) -> None:
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
        get_logger("umbel.task").exception("handler.failed", extra={"task": task.name, "id": request.id})
