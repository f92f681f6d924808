"""What one child tells of its tasks, as events. It only appends; `umbel.events.pen` writes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from umbel import failure, states
from umbel.broker.base import Kind
from umbel.errors import Reject
from umbel.events.shown import MOST, shown

if TYPE_CHECKING:
    from umbel.app import Umbel
    from umbel.context import Request
    from umbel.events.pen import Pen
    from umbel.task import Task
    from umbel.verdict import Execution

#: Longest traceback in an event, in characters: its end.
TRACEBACK: Final = 8_000


class Reporter:
    """See the module.

    Args:
        app: whose tasks run.
        pen: writes.
    """

    def __init__(self, app: Umbel, pen: Pen) -> None:
        self.pen = pen
        self._tasks = app.tasks

    def started(self, request: Request) -> None:
        """A task is about to run."""
        task = request.task
        if task is None or not task.send_events:
            return
        self._received(request, task)
        self.pen.put("task-started", uuid=request.id)

    def _received(self, request: Request, task: Task[..., Any]) -> None:
        eta, expires = request.eta, request.expires
        self.pen.put(
            "task-received",
            uuid=request.id,
            name=request.shadow or task.name,
            args=request.argsrepr,
            kwargs=request.kwargsrepr,
            retries=request.retries,
            root_id=request.root_id,
            parent_id=request.parent_id,
            eta=None if eta is None else eta.isoformat(),
            expires=None if expires is None else expires.isoformat(),
            queue=request.queue,
        )

    def ended(self, end: Execution, queue: str) -> None:
        """A delivery has ended."""
        headers = end.message.headers
        task = self._tasks.get(headers["task"])
        if task is not None and not task.send_events:
            return
        if not end.runtime and end.state != states.SUCCESS:  # it has not run, so nobody has said that it was received
            self.unrun(end, queue)
        uuid, error = headers["id"], end.exception
        if end.state == states.SUCCESS:
            longest = MOST if task is None else task.resultrepr_maxsize
            self.pen.put("task-succeeded", uuid=uuid, result=shown(end.value, longest), runtime=end.runtime)
        elif end.state == states.RETRY:
            self.pen.put("task-retried", uuid=uuid, exception=shown(error), traceback=_trace(end))
        elif isinstance(error, Reject):
            self.pen.put("task-rejected", uuid=uuid, requeue=end.kind is Kind.GIVE_BACK)
        elif end.state == states.FAILURE:
            self.pen.put(
                "task-failed", uuid=uuid, exception=shown(error), traceback=_trace(end), runtime=end.runtime or None
            )
        elif end.state == states.REVOKED:
            why = str(error)
            terminated, expired = why == "terminated", why == "expired"
            self.pen.put("task-revoked", uuid=uuid, terminated=terminated, signum=None, expired=expired)

    def unrun(self, end: Execution, queue: str) -> None:
        """Tell that a task was received whose code does not run here."""
        headers = end.message.headers
        if end.kind is not Kind.GIVE_BACK:
            names = ("retries", "root_id", "parent_id")
            told = {name: headers.get(name) for name in names}
            self.pen.put("task-received", uuid=headers["id"], name=headers["task"], queue=queue, **told)


def _trace(end: Execution) -> str:
    found = end.record.meta.get("traceback", "") if end.record is not None else ""
    if not found and end.exception is not None:
        found = failure.traceback_of(end.exception)
    text: Any = found
    return str(text)[-TRACEBACK:]
