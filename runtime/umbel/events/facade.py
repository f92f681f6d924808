"""``app.events``: what reads, adds up and sends events of an app's deployment."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from umbel.events.base import Bounds, EventLog
from umbel.events.camera import Camera
from umbel.events.dispatcher import Dispatcher
from umbel.events.pen import Pen
from umbel.events.receiver import Handler, Receiver
from umbel.events.state import State
from umbel.transport import make_events

if TYPE_CHECKING:
    from umbel.app import Umbel


class Events:
    """See the module.

    Args:
        app: whose broker has the events.
    """

    State = State
    Camera = Camera

    def __init__(self, app: Umbel) -> None:
        self._app = app
        self._pen: Pen | None = None
        #: Writes what tasks tell in this process, None where events are switched off.
        self.told: Pen | None = None

    def open(self) -> EventLog:
        """Return where the events are kept, with a connection of its own."""
        conf = self._app.conf
        bounds = Bounds(conf.event_log_length, conf.event_log_age)
        return make_events(self._app.broker_url(), prefix=conf.key_prefix, bounds=bounds)

    def Receiver(  # noqa: N802 - Celery's name
        self,
        connection: Any = None,
        handlers: Mapping[str, Handler] | None = None,
        *,
        since: float | None = None,
    ) -> Receiver:
        """Return what reads events; see `umbel.events.receiver.Receiver`.

        Args:
            connection: for Celery's users, without effect: it has one of its own.
            handlers, since: see there.
        """
        return Receiver(self._app, handlers, since=since)

    def Dispatcher(  # noqa: N802 - Celery's name
        self, connection: Any = None, hostname: str | None = None, enabled: bool = True
    ) -> Dispatcher:
        """Return what sends events of your own; see `umbel.events.dispatcher.Dispatcher`.

        Args:
            connection: for Celery's users, without effect.
            hostname, enabled: see there.
        """
        return Dispatcher(self._app, hostname, enabled)

    default_dispatcher = Dispatcher

    @property
    def pen(self) -> Pen:
        """What writes the events of this process that sends tasks."""
        if self._pen is None:
            self._pen = Pen(self.open, socket.gethostname())
        return self._pen

    def close(self) -> None:
        """Write what is left, and drop the connection."""
        pen, self._pen = self._pen, None
        if pen is not None:
            pen.close()
