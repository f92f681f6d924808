"""Sends events of your own."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

from umbel.events.pen import Pen

if TYPE_CHECKING:
    from umbel.app import Umbel


class Dispatcher:
    """Sends events: coalesced, a few times a second; at the end of a ``with`` block all of them are written.

    Args:
        app: whose broker gets them.
        hostname: in each event; this machine's unless given.
        enabled: whether anything is sent.
    """

    def __init__(self, app: Umbel, hostname: str | None = None, enabled: bool = True) -> None:
        self.app = app
        self.hostname = hostname or socket.gethostname()
        self.enabled = enabled
        self._pen = Pen(app.events.open, self.hostname)

    def send(self, type: str, **fields: Any) -> None:
        """Send an event: ``dispatcher.send("deploy-begun", version="3")``. What JSON cannot carry is sent as its repr.

        Args:
            type: a word for what it is of, a hyphen, and what happened.
            fields: of the event; ``timestamp`` is now unless given.
        """
        if self.enabled:
            self._pen.put(type, **fields)

    def publish(self, type: str, fields: dict[str, Any]) -> None:
        """Send an event whose fields are a dict."""
        self.send(type, **fields)

    def enable(self) -> None:
        """Send from now on."""
        self.enabled = True

    def disable(self) -> None:
        """Send nothing from now on."""
        self.enabled = False

    def flush(self, timeout: float = 2.0) -> bool:
        """Wait until all is written; return whether it is."""
        return self._pen.flush(timeout)

    @property
    def lost(self) -> int:
        """How many events could not be written."""
        return self._pen.lost

    def close(self) -> None:
        """Write what is left, and end."""
        self._pen.close()

    def __enter__(self) -> Dispatcher:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()
