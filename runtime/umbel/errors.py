"""The exceptions of Umbel: each says what was wrong and what to do, under the name that Celery's users know where there is one."""

from __future__ import annotations

import builtins
from typing import Any


class UmbelError(Exception):
    """Base of every error that Umbel raises."""


class UmbelWarning(UserWarning):
    """Base of the warnings that Umbel gives: something has no effect, or another one than expected."""


class ImproperlyConfigured(UmbelError):
    """A setting, a URL or a module cannot be used as it is."""


class TaskPredicate(UmbelError):
    """Base of what a task raises to say how it ended, without having failed."""


class Retry(TaskPredicate):
    """The task is to be run again later.

    Args:
        message: what is shown as the reason.
        exc: the exception that caused the retry, if any.
        when: seconds from now until the next attempt.
    """

    def __init__(self, message: str | None = None, exc: BaseException | None = None, when: float = 0.0) -> None:
        super().__init__(message or (f"Retry in {when:g}s" + (f": {exc!r}" if exc is not None else "")))
        self.message = message
        self.exc = exc
        self.when = when
        self.signature: Any = None


class Ignore(TaskPredicate):
    """The task ends here; no result is stored."""


class Reject(TaskPredicate):
    """The task refuses its message: back to the queue with ``requeue=True``, else to the dead letters.

    Args:
        reason: kept with the dead letter.
        requeue: give the message back, without charge, in place of burying it.
    """

    def __init__(self, reason: object = None, requeue: bool = False) -> None:
        super().__init__(str(reason) if reason is not None else "rejected by the task")
        self.reason = reason
        self.requeue = requeue


class TaskError(UmbelError):
    """Base of errors about tasks."""


class QueueNotFound(KeyError, TaskError):
    """The queue is neither configured nor known to the broker."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class QueueClosed(TaskError):
    """The queue takes no new tasks (its intake is Reject)."""


class QueueFull(TaskError):
    """As many tasks wait in the queue as its ``max_length`` allows.

    Args:
        message: what happened and what to do.
        task_ids: the tasks that were not sent.
    """

    def __init__(self, message: str, task_ids: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.task_ids = task_ids


class DuplicateTask(TaskError):
    """A unique task was not sent: an equal one has not ended.

    Args:
        message: what to do.
        task_id: of the equal one.
    """

    def __init__(self, message: str, task_id: str = "") -> None:
        super().__init__(message)
        self.task_id = task_id


class NotRegistered(KeyError, TaskError):
    """No task of this name is registered with the app."""

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""


class AlreadyRegistered(TaskError):
    """Another function is registered under this task name."""


class TimeoutError(TaskError, builtins.TimeoutError):
    """The result did not arrive in the given time."""


class IncompleteStream(TaskError):
    """A task has not ended, so that what descends from it is not known."""


class MaxRetriesExceededError(TaskError):
    """The task was retried as often as its ``max_retries`` allows."""

    def __init__(self, *args: object, task_args: Any = None, task_kwargs: Any = None) -> None:
        super().__init__(*args)
        self.task_args = task_args
        self.task_kwargs = task_kwargs


class TaskRevokedError(TaskError):
    """The task was revoked or had expired before it ran."""


class InvalidTaskError(TaskError):
    """The message cannot be turned into a task call."""


class ChordError(TaskError):
    """A task of a chord's header failed, or its results are gone, so that its body is not run."""


class OperationalError(UmbelError):
    """The broker or the result backend cannot be reached or refuses to work."""


class PublishUncertain(OperationalError):
    """The connection broke after a message went out: it may have been sent.

    Args:
        message: what happened and what to do.
        task_ids: the ids of the tasks whose fate is unknown.
    """

    def __init__(self, message: str, task_ids: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.task_ids = task_ids


class NotReplicated(PublishUncertain):
    """A task with ``durability="replicated"`` was sent, and no replica has it yet: it is lost if the server dies now.

    It will run if the server lives. Send it again, if it may run twice, or let it go.
    """


class LayoutError(OperationalError):
    """The keys in Redis were written by a newer Umbel than this one."""


class BackendError(UmbelError):
    """The result backend holds something that cannot be read."""


class ResultsDisabled(ImproperlyConfigured, NotImplementedError):
    """No results are stored: ``result_backend`` is ``disabled``."""


class EncodeError(UmbelError, TypeError):
    """An argument or a result cannot be carried by the codec.

    Args:
        message: what cannot be carried, and what to do.
        path: the keys and positions that lead to it in the encoded object.
        reason: the message without the place.
    """

    def __init__(self, message: str, path: tuple[object, ...] = (), reason: str = "") -> None:
        super().__init__(message)
        self.path = path
        self.reason = reason or message


class DecodeError(UmbelError, ValueError):
    """A stored message or result cannot be read."""


class ContentDisallowed(DecodeError):
    """A message or a result is of a content type that ``accept_content`` does not list; nothing of it was read."""


class SecurityError(UmbelError):
    """A message was not signed by anybody who is trusted."""


class SoftTimeLimitExceeded(UmbelError):
    """Raised inside a task when its ``soft_time_limit`` is over."""


class TimeLimitExceeded(TaskError):
    """The task ran longer than its ``time_limit`` and was ended: its process killed, its coroutine cancelled."""


class TaskCancelled(BaseException):
    """Raised inside a task that runs in a thread, when it has to end: its hard limit is over, or it was terminated."""


class WorkerLostError(TaskError):
    """The processes that ran the task died as often as ``max_deliveries`` allows."""


class Terminated(TaskError):
    """The process of the task was killed on request."""


class RemoteError(TaskError):
    """A task failed with an exception whose type cannot be imported here.

    Args:
        type_name: the dotted name of the original type.
        message: the original text.
    """

    def __init__(self, type_name: str, message: str) -> None:
        super().__init__(f"{type_name}: {message}" if message else type_name)
        self.type_name = type_name
        self.message = message

    def __reduce__(self) -> tuple[Any, ...]:
        return RemoteError, (self.type_name, self.message)
