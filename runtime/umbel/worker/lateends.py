"""The ends of tasks whose process is gone and that do not run again, told by another child: what they are, and the handlers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from umbel import handling, signals, verdict
from umbel.errors import TaskError, TimeLimitExceeded, WorkerLostError
from umbel.message import ENDED, OVERDUE, UNFINISHED, Message
from umbel.verdict import Execution

if TYPE_CHECKING:
    from umbel.app import Umbel

#: Seconds that handlers may take where the task has no time limit.
HANDLERS_LIMIT: Final = 60.0


def overdue(seconds: float) -> TaskError:
    """Return the error of a task whose time limit was over."""
    return TimeLimitExceeded(f"the time limit of {seconds:g} s is over: the task's process was killed")


def unfinished() -> TaskError:
    """Return the error of a task that did not end before its worker had to."""
    return WorkerLostError("the worker was told to end and the task did not finish in time (drain.onTimeout is Fail)")


def begun() -> TaskError:
    """Return the error of a task that may run once, and whose process was gone before it told how that ended."""
    return WorkerLostError(
        "the process that began this task is gone, and with acks_late=False it is not run again: it may have run in part or "
        "to its end"
    )


def end_of(app: Umbel, message: Message, time_limit: float | None, *, hostname: str) -> Execution | None:
    """Return the end of a message whose task does not run again, None of any other.

    Args:
        time_limit: of the task, in seconds; the message's own goes before it.
    """
    if not message.flags & ENDED:
        return None
    given = (message.headers.get("timelimit") or (None,))[0] or time_limit or 0.0
    error = overdue(given) if message.flags & OVERDUE else unfinished() if message.flags & UNFINISHED else begun()
    return verdict.failed(app, message, error, hostname=hostname)


def has_handlers(app: Umbel, message: Message, bound: int) -> bool:
    """Whether handlers of the task are to be called for an end that its code did not see.

    Not again where they kill the process that calls them: then the message has been charged beyond the bound.
    """
    task = app.tasks.get(message.headers["task"])
    listens = task is not None and (task.has_handlers or signals.task_failure.has_receivers)
    return listens and message.lost <= bound


def call_handlers(app: Umbel, ended: Execution, hostname: str, queue: str) -> None:
    """Call ``on_failure`` and ``after_return`` of the task. What they raise is logged; it changes nothing any more."""
    handling.notify(app, ended, hostname=hostname, queue=queue)
