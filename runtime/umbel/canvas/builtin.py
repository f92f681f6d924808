"""The tasks that every app has: they call other tasks. They are made when a message asks for one."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from umbel.canvas.chains import chain
from umbel.canvas.chords import chord
from umbel.canvas.groups import group
from umbel.canvas.maps import chunks
from umbel.canvas.signature import as_signature

if TYPE_CHECKING:
    from umbel.app import Umbel
    from umbel.task import Task


def _accumulate(*args: Any, index: int | None = None, **_: Any) -> Any:
    """Return the arguments as a list, or one of them."""
    return list(args) if index is None else args[index]


def _map(self: Task[..., Any], task: Any, it: list[Any]) -> list[Any]:
    """Call a task with one item after the other."""
    run = _caller(self.app, task)
    return [run(item) for item in it]


def _starmap(self: Task[..., Any], task: Any, it: list[Any]) -> list[Any]:
    """Call a task with one list of arguments after the other."""
    run = _caller(self.app, task)
    return [run(*item) for item in it]


def _chunks(self: Task[..., Any], task: Any, it: list[Any], n: int) -> Any:
    """Be replaced by the messages of chunks."""
    return self.replace(chunks(as_signature(task, self.app), it, n, app=self.app).group())


def _group(self: Task[..., Any], tasks: list[Any], **_: Any) -> Any:
    """Be replaced by a group."""
    return self.replace(group(tasks, app=self.app))


def _chain(self: Task[..., Any], tasks: list[Any], **_: Any) -> Any:
    """Be replaced by a chain."""
    return self.replace(chain([as_signature(task, self.app) for task in tasks]))


def _chord(self: Task[..., Any], header: Any, body: Any, **_: Any) -> Any:
    """Be replaced by a chord."""
    return self.replace(chord(header, body, app=self.app))


_BUILTIN: Final[dict[str, tuple[Callable[..., Any], bool]]] = {
    "umbel.accumulate": (_accumulate, False),
    "umbel.map": (_map, True),
    "umbel.starmap": (_starmap, True),
    "umbel.chunks": (_chunks, True),
    "umbel.group": (_group, True),
    "umbel.chain": (_chain, True),
    "umbel.chord": (_chord, True),
}


def builtin_task(app: Umbel, name: str) -> Task[..., Any] | None:
    """Return a built-in task of an app, None if there is none of this name."""
    if name not in _BUILTIN:
        return None
    function, bound = _BUILTIN[name]
    if name not in app.tasks:
        options: dict[str, Any] = {"name": name}
        if bound:
            app.task(bind=True, **options)(function)
        else:
            app.task(**options)(function)
    return app.tasks[name]


def _caller(app: Umbel, task: Any) -> Callable[..., Any]:
    """Return what calls a task here, and awaits it where it has to be awaited."""
    called: Task[..., Any] = as_signature(task, app).type
    if not called.is_async:
        return called

    def run(*args: Any) -> Any:
        from umbel.awaiting import run_coroutine

        return run_coroutine(called(*args), keep_loop=app.is_worker)

    return run
