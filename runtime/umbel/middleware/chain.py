"""Which middleware an app has, in which order, and the hooks that follow from it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from umbel.errors import ImproperlyConfigured
from umbel.middleware import signalling
from umbel.middleware.base import Middleware, Which
from umbel.middleware.builtin import BUILTIN
from umbel.middleware.hooks import Hooks
from umbel.options import TASK_RULES

if TYPE_CHECKING:
    from umbel.app import Umbel


def hooks_of(app: Umbel) -> Hooks:
    """Return the hooks of an app as its settings, its middleware and the connections to signals are now."""
    serial = app.conf.serial  # first, since reading a setting may load a source, which raises it
    return Hooks(serial, chain_of(app), BUILTIN)


def chain_of(app: Umbel) -> list[Middleware]:
    """Return what surrounds the tasks of an app, the outermost first: traces, signals, events, and the app's own middleware."""
    chain: list[Middleware] = []
    if app.conf.otel_enabled:
        from umbel.middleware.tracing import Tracing

        chain.append(Tracing())
    chain += signalling.parts()
    if app.conf.task_send_sent_event:
        from umbel.middleware.reporting import SentEvents

        chain.append(SentEvents())
    return [*chain, *app.middleware]


def added(chain: list[Middleware], one: Middleware, before: Which | None, after: Which | None) -> None:
    """Add a middleware to a chain, in its place; see `umbel.app.Umbel.add_middleware`."""
    if not isinstance(one, Middleware):
        raise ImproperlyConfigured(
            f"{one!r} is no middleware: give an instance of a subclass of umbel.middleware.Middleware"
        )
    if before is not None:
        one.before = (before,)
    if after is not None:
        one.after = (after,)
    for other in chain:
        if other.name == one.name:
            raise ImproperlyConfigured(f"there is a middleware {one.name!r} already: set another name on one of them")
        for name in one.options.keys() & other.options.keys():
            raise ImproperlyConfigured(f"the option {name!r} of {one.name} is an option of {other.name} already")
    for name in one.options.keys() & TASK_RULES.keys():
        raise ImproperlyConfigured(f"the option {name!r} of {one.name} is one of Umbel's own: choose another name")
    chain.insert(_place(chain, one), one)


def _place(chain: Sequence[Middleware], one: Middleware) -> int:
    """Return where a middleware goes: as far within as its order and that of the others allow.

    Raises:
        ImproperlyConfigured: they contradict each other.
    """
    places = range(len(chain))
    outer = [at for at in places if _is_among(chain[at], one.after) or _is_among(one, chain[at].before)]
    inner = [at for at in places if _is_among(chain[at], one.before) or _is_among(one, chain[at].after)]
    last = min(inner, default=len(chain))
    if outer and outer[-1] >= last:
        raise ImproperlyConfigured(
            f"the order of the middleware contradicts itself: {one.name} is to be within {chain[outer[-1]].name}, and around "
            f"{chain[last].name}, which is around that"
        )
    return last


def _is_among(one: Middleware, those: Which | Iterable[Which]) -> bool:
    several = (those,) if isinstance(those, (str, type)) else those
    return any(one.name == which if isinstance(which, str) else isinstance(one, which) for which in several)
