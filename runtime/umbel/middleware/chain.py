"""Which middleware an app has, and the hooks that follow from it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from umbel.middleware import signalling
from umbel.middleware.base import Middleware
from umbel.middleware.hooks import Hooks

if TYPE_CHECKING:
    from umbel.app import Umbel


def hooks_of(app: Umbel) -> Hooks:
    """Return the hooks of an app as its settings and the connections to signals are now."""
    serial = app.conf.serial  # first, since reading a setting may load a source, which raises it
    return Hooks(serial, chain_of(app))


def chain_of(app: Umbel) -> list[Middleware]:
    """Return the middleware of an app, the outermost first."""
    chain = signalling.parts()
    if app.conf.task_send_sent_event:
        from umbel.middleware.reporting import SentEvents

        chain.append(SentEvents())
    return chain
