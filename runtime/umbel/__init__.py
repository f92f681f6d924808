"""Umbel: a Kubernetes-native task platform for Python."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from umbel import errors, states
from umbel.app import Umbel
from umbel.context import allow_join_result
from umbel.errors import (
    Ignore,
    ImproperlyConfigured,
    MaxRetriesExceededError,
    NotReplicated,
    OperationalError,
    PublishUncertain,
    Reject,
    Retry,
    SoftTimeLimitExceeded,
    TaskRevokedError,
    TimeLimitExceeded,
    UmbelError,
)
from umbel.globals import current_app, current_task
from umbel.ownqueues import worker_direct
from umbel.queues import Broadcast, Queue
from umbel.result import AsyncResult, EagerResult, GroupResult, ResultSet, result_from_tuple
from umbel.sharing import shared_task
from umbel.task import Task

if TYPE_CHECKING:
    from umbel.canvas import (
        Signature,
        StampingVisitor,
        chain,
        chord,
        chunks,
        group,
        maybe_signature,
        signature,
        subtask,
        xmap,
        xstarmap,
    )
    from umbel.schedules import crontab

__version__ = "0.1.0"

__all__ = [
    "AsyncResult",
    "Broadcast",
    "EagerResult",
    "GroupResult",
    "Ignore",
    "ImproperlyConfigured",
    "MaxRetriesExceededError",
    "NotReplicated",
    "OperationalError",
    "PublishUncertain",
    "Queue",
    "Reject",
    "ResultSet",
    "Retry",
    "Signature",
    "SoftTimeLimitExceeded",
    "StampingVisitor",
    "Task",
    "TaskRevokedError",
    "TimeLimitExceeded",
    "Umbel",
    "UmbelError",
    "__version__",
    "allow_join_result",
    "chain",
    "chord",
    "chunks",
    "crontab",
    "current_app",
    "current_task",
    "errors",
    "get_task_logger",
    "group",
    "maybe_signature",
    "result_from_tuple",
    "shared_task",
    "signature",
    "states",
    "subtask",
    "worker_direct",
    "xmap",
    "xstarmap",
]


#: Names of `umbel.canvas`.
_CANVAS = frozenset(
    {
        "Signature",
        "StampingVisitor",
        "chain",
        "chord",
        "chunks",
        "group",
        "maybe_signature",
        "signature",
        "subtask",
        "xmap",
        "xstarmap",
    }
)


def __getattr__(name: str) -> Any:
    """Import what few need when it is asked for."""
    if name in _CANVAS:
        from umbel import canvas

        return getattr(canvas, name)
    if name == "crontab":
        from umbel.schedules import crontab

        return crontab
    if name == "get_task_logger":
        from umbel.logs import get_task_logger

        return get_task_logger
    raise AttributeError(f"module 'umbel' has no attribute {name!r}")
