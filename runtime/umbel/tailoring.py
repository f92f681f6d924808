"""Change a declared task from outside: its options, its handlers, what is around its methods."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from types import FunctionType, MethodType
from typing import TYPE_CHECKING, Any

from umbel.errors import ImproperlyConfigured

if TYPE_CHECKING:
    from umbel.task import Task


def tailor(
    task: Task[..., Any], values: Mapping[str, Any], options: tuple[str, ...], handlers: tuple[str, ...]
) -> None:
    """See `umbel.task.Task.tailor`.

    Args:
        task: to be changed.
        values: of its options, handlers and other attributes; what begins with ``@`` is put around a method.
        options: names of all options.
        handlers: names of all handlers.
    """
    declared: dict[str, Any] = {}
    for name, value in values.items():
        if name.startswith("@"):
            add_around(task, name[1:], value)
        elif name in options:
            declared[name] = value
        elif name in handlers or hasattr(task, name):
            # A function becomes a method, as it would in the body of a class
            setattr(task, name, MethodType(value, task) if isinstance(value, FunctionType) else value)
        else:
            raise ImproperlyConfigured(_unknown(task, name, (*options, *handlers)))
    task.declare_again(declared)


def add_around(task: Task[..., Any], attr: str, around: Callable[[Any], Any]) -> None:
    """See `umbel.task.Task.add_around`."""
    name = "run" if attr == "__call__" else attr
    method = getattr(task, name, None)
    if not callable(method):
        raise ImproperlyConfigured(f"the task {task.name} has no method {attr!r} to put something around")
    changed = around(method)
    if not callable(changed):
        raise ImproperlyConfigured(
            f"what was to be put around {attr} of the task {task.name} returned {changed!r}: return the function to call"
        )
    setattr(task, name, changed)


def _unknown(task: Task[..., Any], name: str, known: tuple[str, ...]) -> str:
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    hint = f"did you mean {near[0]!r}?" if near else "give an option of tasks, a handler, or an attribute of its class"
    return f"task_annotations gives the task {task.name} {name!r}, which tasks have not: {hint}"
