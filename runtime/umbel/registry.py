"""The tasks of an app, by name."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any, NoReturn

from umbel.errors import AlreadyRegistered, NotRegistered

if TYPE_CHECKING:
    from umbel.task import Task


class TaskRegistry(dict[str, "Task[..., Any]"]):
    """Name -> task; a name that is missing raises `NotRegistered` with the nearest one there is."""

    def __missing__(self, name: str) -> NoReturn:
        raise NotRegistered(not_registered(name, list(self)))

    def register(self, task: Task[..., Any]) -> None:
        """Add a task. The same function declared anew (a reloaded module) replaces the earlier one.

        Raises:
            AlreadyRegistered: another function has this name.
        """
        there = self.get(task.name)
        if there is not None and there.origin != task.origin:
            raise AlreadyRegistered(
                f"the task name {task.name!r} is taken by {_where(there)}; {_where(task)} needs another one: "
                "give it with @app.task(name=...)"
            )
        self[task.name] = task

    def unregister(self, name: str) -> None:
        """Remove a task.

        Raises:
            NotRegistered: there is none of this name.
        """
        del self[self[name].name]


def _where(task: Task[..., Any]) -> str:
    file, qualname = task.origin
    return f"{qualname} in {file}"


def not_registered(name: str, known: list[str]) -> str:
    """Return the message about a task name that is not registered."""
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    hint = f"did you mean {near[0]!r}?" if near else f"registered are: {', '.join(sorted(known)[:10]) or 'none'}."
    return (
        f"no task is registered as {name!r}: {hint} Import the module that defines it in the app's module, or name it in "
        "include=[...] or with umbel worker --include"
    )
