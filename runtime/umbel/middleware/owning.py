"""Which middleware owns which option of tasks: what nobody owns fails where the task is declared."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from umbel.middleware.base import Middleware, Option
from umbel.options import REFUSED_TASK, TASK_RULES

if TYPE_CHECKING:
    from umbel.task import Task


def take(
    task: str, options: Mapping[str, Any], chain: Iterable[Middleware] | None
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return those of a task's options that a middleware owns and that Umbel does not, checked; and the others.

    Args:
        task: its name, for errors.
        options: of its declaration.
        chain: the app's middleware; None for a shared task, whose apps are not known: any middleware that is imported will do.

    Raises:
        TypeError: an option that nobody owns, with what to do; or a value of a wrong type.
    """
    unknown = [name for name in options if name not in TASK_RULES and name not in REFUSED_TASK]
    if not unknown:
        return {}, dict(options)
    what = f"the task {task}"
    owned = (
        _imported() if chain is None else {name: (type(one), it) for one in chain for name, it in one.options.items()}
    )
    taken = {}
    for name in unknown:
        if name not in owned:
            raise TypeError(_nobodys(what, name, owned))
        option, value = owned[name][1], options[name]
        if not (value is None and option.default is None) and not option.fits(value):
            raise TypeError(
                f"{what} cannot have {name}={value!r}: the middleware {owned[name][0].__name__} takes {option.takes}"
            )
        taken[name] = value
    return taken, {name: value for name, value in options.items() if name not in taken}


def put(task: Task[..., Any], taken: Mapping[str, Any]) -> None:
    """Give a task the options that a middleware owns."""
    for name, value in taken.items():
        setattr(task, name, value)


def _imported() -> dict[str, tuple[type[Middleware], Option]]:
    """Return the options of all middleware that is imported, with its class."""
    found: dict[str, tuple[type[Middleware], Option]] = {}
    classes = [Middleware]
    while classes:
        cls = classes.pop()
        classes += cls.__subclasses__()
        found |= {name: (cls, option) for name, option in cls.options.items()}
    return found


def _nobodys(what: str, name: str, owned: Mapping[str, Any]) -> str:
    elsewhere = _imported().get(name)
    if elsewhere is not None:
        cls = elsewhere[0]
        return (
            f"{what} has the option {name!r}, which belongs to the middleware {cls.__module__}.{cls.__qualname__}: "
            f"app.add_middleware({cls.__name__}(...)) before the task is declared"
        )
    known = [*TASK_RULES, *owned]
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(sorted(known))}"
    own = "an option of a middleware is known once that was added: app.add_middleware(...)"
    return f"{what} has an unknown option {name!r}: {hint}; {own}"
