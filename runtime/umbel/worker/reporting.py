"""Whether a child tells of its tasks by events: as its supervisor says, also while it works."""

from __future__ import annotations

from typing import TYPE_CHECKING

from umbel.worker.runner import Runner
from umbel.worker.standing import Standing

if TYPE_CHECKING:
    from umbel.app import Umbel
    from umbel.events.pen import Pen


class Reporting:
    """See the module.

    Args:
        app: whose tasks run.
        runner: of the child.
        standing: what the supervisor says.
        hostname: of the worker.
    """

    def __init__(self, app: Umbel, runner: Runner, standing: Standing, hostname: str) -> None:
        self._app = app
        self._runner = runner
        self._standing = standing
        self._hostname = hostname
        self._pen: Pen | None = None
        self._lost = 0  # by pens that are closed
        standing.heard = self.follow
        self.follow()

    def follow(self) -> None:
        """Do as the supervisor has said last."""
        if self._standing.events == (self._pen is not None):
            return
        if self._pen is not None:
            self.close(0.0)
            return
        from umbel.events.pen import Pen
        from umbel.worker.reporter import Reporter

        self._pen = Pen(self._app.events.open, self._hostname)
        self._app.events.told = self._pen
        self._runner.reporter = Reporter(self._app, self._pen)

    def lost(self) -> int:
        """Return how many events could not be written."""
        return self._lost + (self._pen.lost if self._pen is not None else 0)

    def close(self, timeout: float = 2.0) -> None:
        """Write what is left, and tell nothing any more."""
        pen, self._pen, self._runner.reporter = self._pen, None, None
        if pen is not None:
            self._app.events.told = None
            pen.close(timeout)
            self._lost += pen.lost
