"""The types of ``@app.task`` and ``@shared_task``: a decorated function keeps its signature through ``delay`` and ``get``."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar, overload

from umbel.task import Task

P = ParamSpec("P")
R = TypeVar("R")


class MakeTask(Protocol):
    """What ``@app.task(...)`` returns: takes the function, returns the task."""

    @overload
    def __call__(self, function: Callable[P, Coroutine[Any, Any, R]], /) -> Task[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> Task[P, R]: ...


class MakeBoundTask(Protocol):
    """What ``@app.task(bind=True, ...)`` returns: takes a function whose first parameter is the task itself."""

    @overload
    def __call__(self, function: Callable[Concatenate[Any, P], Coroutine[Any, Any, R]], /) -> Task[P, R]: ...
    @overload
    def __call__(self, function: Callable[Concatenate[Any, P], R], /) -> Task[P, R]: ...
