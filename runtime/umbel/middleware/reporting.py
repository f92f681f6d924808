"""What tells by an event that a task was sent (``task_send_sent_event``)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from umbel.events.shown import MOST, shown
from umbel.middleware.base import Call, Middleware


class SentEvents(Middleware):
    """Writes ``task-sent`` once the broker has the task."""

    def publish(self, call: Call) -> AbstractContextManager[None]:
        """See `Middleware.publish`."""
        return self._around(call)

    @contextmanager
    def _around(self, call: Call) -> Iterator[None]:
        yield
        if call.task is not None and not call.task.send_events:
            return
        headers, options = call.message.headers, call.options
        longest = MOST if call.task is None else call.task.resultrepr_maxsize
        call.app.events.pen.put(
            "task-sent",
            uuid=call.id,
            name=headers.get("shadow") or call.name,
            args=headers.get("argsrepr") or shown(tuple(call.args), longest),
            kwargs=headers.get("kwargsrepr") or shown(call.kwargs, longest),
            retries=headers.get("retries", 0),
            eta=_text(options.get("eta")),
            expires=_text(options.get("expires")),
            queue=call.queue,
            exchange="",
            routing_key=call.queue,
            root_id=headers.get("root_id", call.id),
            parent_id=headers.get("parent_id"),
        )


def _text(when: object) -> str | None:
    return None if when is None else when.isoformat() if hasattr(when, "isoformat") else str(when)
