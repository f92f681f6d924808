"""How an errback is called: with the failure itself, or with the id of the task that failed."""

from __future__ import annotations

import inspect
from types import MethodType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from umbel.task import Task


def takes_failure(task: Task[..., Any] | None) -> bool:
    """Tell whether an errback is called as ``(request, exc, traceback)``; else as ``(task_id,)``.

    So is a task that is known here, is not bound, and takes more than one positional argument.
    """
    if task is None or isinstance(task.run, MethodType):
        return False
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    kinds = [parameter.kind for parameter in inspect.signature(task.run).parameters.values()]
    return inspect.Parameter.VAR_POSITIONAL in kinds or sum(kind in positional for kind in kinds) > 1
