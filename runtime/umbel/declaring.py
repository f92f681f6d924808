"""From a function to a task: its name, its class, its options."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

from umbel.task import Task


def module_name(module: str, main: str | None) -> str:
    """Return how tasks of a module are called: as the module, but those of the script that runs as the app or its file."""
    if module != "__main__":
        return module
    file = getattr(sys.modules.get("__main__"), "__file__", None)
    return main or (os.path.splitext(os.path.basename(file))[0] if file else "__main__")


def name_of(function: Any, main: str | None = None) -> str:
    """Return the name that a function gets as a task: ``module.function``."""
    return f"{module_name(function.__module__, main)}.{getattr(function, '__name__', type(function).__name__)}"


def _named(function: Any, main: str | None, naming: Callable[[str, str], str] | None) -> str:
    if naming is None:
        return name_of(function, main)
    return naming(getattr(function, "__name__", type(function).__name__), function.__module__)


def make_task(
    function: Callable[..., Any],
    bind: bool,
    options: Mapping[str, Any],
    *,
    main: str | None = None,
    base: type[Task[..., Any]] | None = None,
    naming: Callable[[str, str], str] | None = None,
) -> Task[..., Any]:
    """Return a task of a function, not bound to an app yet.

    Args:
        function: what runs.
        bind: pass the task itself as its first argument.
        options: of the decorator.
        main: the app's name, for functions of the script that runs.
        base: the class of the task, where the options name none.
        naming: makes its name of those of function and module, where the options give none.
    """
    if isinstance(function, Task):
        raise TypeError(f"{function.name} is a task already: leave the second decorator out")
    if not callable(function):
        raise TypeError(
            f"@app.task was given {function!r}, which is no function; write @app.task, or @app.task(name=...) with keywords"
        )
    name = options.get("name") or _named(function, main, naming)
    base = options.get("base") or base or Task
    if not (isinstance(base, type) and issubclass(base, Task)):
        raise TypeError(f"the task {name} cannot have base={base!r}: give a subclass of umbel.Task")
    task: Task[..., Any] = base()
    task.name = name
    task.declare(function, options, bind=bind)
    return task
