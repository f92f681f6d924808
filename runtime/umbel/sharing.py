"""Tasks of every app: ``@shared_task``, for libraries that do not know the app they will belong to."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, TypeVar, Unpack, overload

from umbel.declaring import make_task
from umbel.decorating import MakeBoundTask, MakeTask
from umbel.middleware.owning import put, take
from umbel.options import TaskOptions
from umbel.task import Task

if TYPE_CHECKING:
    from umbel.app import Umbel

P = ParamSpec("P")
R = TypeVar("R")

_apps: weakref.WeakSet[Umbel] = weakref.WeakSet()
_shared: list[Task[..., Any]] = []


def share_with(app: Umbel) -> None:
    """Give an app the tasks that are shared, now and from now on."""
    _apps.add(app)
    for task in _shared:
        app.tasks.register(task)


@overload
def shared_task(function: Callable[P, Coroutine[Any, Any, R]], /) -> Task[P, R]: ...
@overload
def shared_task(function: Callable[P, R], /) -> Task[P, R]: ...
@overload
def shared_task(*, bind: Literal[True], **options: Unpack[TaskOptions]) -> MakeBoundTask: ...
@overload
def shared_task(*, bind: Literal[False] = ..., **options: Unpack[TaskOptions]) -> MakeTask: ...
def shared_task(function: Any = None, /, *, bind: bool = False, **options: Any) -> Any:
    """Make a function a task of every app, present and future; calls go to the current app."""

    def make(function: Callable[..., Any]) -> Task[..., Any]:
        own, others = take(str(options.get("name") or getattr(function, "__name__", "")), options, None)
        task = make_task(function, bind, others)
        put(task, own)
        _shared[:] = [other for other in _shared if other.name != task.name]
        _shared.append(task)
        for app in list(_apps):
            app.tasks.register(task)
        return task

    return make if function is None else make(function)
