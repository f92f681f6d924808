"""What subclasses of a task override."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from umbel.app import Umbel

#: What a worker calls around the function, and the call of the function itself.
HANDLERS = ("before_start", "on_success", "on_retry", "on_failure", "after_return", "__call__")


class TaskHandlers:
    """See the module. `umbel.Task` has them; none of them does anything."""

    @classmethod
    def on_bound(cls, app: Umbel) -> None:
        """Override to do something when a task of this class is attached to an app."""

    def shadow_name(self, args: Sequence[Any], kwargs: Mapping[str, Any], options: Mapping[str, Any]) -> str | None:
        """Override to give calls another name in logs, events and ``request.shadow``; None for the task's own."""
        return None

    def before_start(self, task_id: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        """Override to do something before the task runs."""

    def on_success(self, retval: Any, task_id: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
        """Override to do something after the task returned."""

    def on_retry(
        self, exc: BaseException, task_id: str, args: Sequence[Any], kwargs: Mapping[str, Any], einfo: str
    ) -> None:
        """Override to do something when the task is to be run again; ``einfo`` is the traceback as text."""

    def on_failure(
        self, exc: BaseException, task_id: str, args: Sequence[Any], kwargs: Mapping[str, Any], einfo: str
    ) -> None:
        """Override to do something after the task failed."""

    def after_return(
        self, status: str, retval: Any, task_id: str, args: Sequence[Any], kwargs: Mapping[str, Any], einfo: str | None
    ) -> None:
        """Override to do something after the task ended in whatever way."""
