"""Which runner an app needs: only where it has Broadcast queues does each delivery pay for a look at its queue."""

from __future__ import annotations

from typing import TYPE_CHECKING

from umbel.ownqueues import broadcasts
from umbel.worker.runner import Runner

if TYPE_CHECKING:
    from umbel.app import Umbel


def make_runner(app: Umbel, hostname: str) -> Runner:
    """Return the runner of a child.

    Args:
        app: whose tasks it runs.
        hostname: of the worker.
    """
    copied = broadcasts(app.conf)
    if not copied:
        return Runner(app, hostname)
    from umbel.worker.copying import CopyingRunner

    return CopyingRunner(app, hostname, copied)
