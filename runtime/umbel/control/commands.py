"""Commands to workers: ``app.control``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from umbel.control.inspect import PING_TIMEOUT, Inspect

if TYPE_CHECKING:
    from umbel.app import Umbel


class Control:
    """What can be asked of, and told to, the workers of an app.

    Args:
        app: whose broker carries the commands.
    """

    def __init__(self, app: Umbel) -> None:
        self._app = app

    def inspect(self, destination: Iterable[str] | None = None) -> Inspect:
        """Return questions about all workers, or about those of these names."""
        return Inspect(self._app, destination)

    def ping(self, destination: Iterable[str] | None = None, timeout: float = PING_TIMEOUT) -> list[dict[str, Any]]:
        """Return ``[{worker: {"ok": "pong"}}, …]`` of the workers that gave a heartbeat in time."""
        return [{name: answer} for name, answer in Inspect(self._app, destination).ping(timeout).items()]

    def revoke(self, task_id: str | Iterable[str], *, terminate: bool = False) -> int:
        """Keep tasks from running, for a day.

        Args:
            task_id: one id or several.
            terminate: also end those that run already, by killing their process.

        Returns: how many workers heard it at once; the others learn of it when they start or within 30 s.

        Raises:
            OperationalError: the broker cannot be reached.
        """
        ids = [task_id] if isinstance(task_id, str) else [str(one) for one in task_id]
        return self._app.broker.revoke(ids, terminate=terminate) if ids else 0

    def terminate(self, task_id: str | Iterable[str]) -> int:
        """Keep tasks from running, and end those that run."""
        return self.revoke(task_id, terminate=True)

    def shutdown(self, destination: Iterable[str] | None = None) -> int:
        """Have workers finish what they run, give the rest back, and end, as on SIGTERM.

        Args:
            destination: names of workers; all unless given.

        Returns: how many workers heard it.
        """
        names = None if destination is None else sorted(destination)
        return self._app.broker.control({"command": "shutdown", "destination": names})

    def purge(self, queues: Iterable[str] | None = None) -> int:
        """Drop all waiting and delayed tasks of queues; return how many. Running tasks are not touched.

        Args:
            queues: their names; those that the app's settings and tasks name unless given.
        """
        names = self._app.queue_names() if queues is None else queues
        return sum(self._app.broker.purge(name) for name in sorted(names))

    discard_all = purge
