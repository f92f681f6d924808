"""Run a message as a worker does."""

from __future__ import annotations

from typing import Any

from umbel import Task, Umbel
from umbel.execution import Execution, run
from umbel.message import Message
from umbel.result import exception_of

NOW = 1_800_000_000.0


def execute(app: Umbel, message: Message, now: float | None = None, **more: Any) -> Execution:
    """Run a message as a worker does, at the time when it was sent unless said otherwise."""
    if now is None:
        now = message.enqueued_ms / 1000
    return run(app, message, now=now, hostname="w1", queue="default", **more)


def error_of(ended: Execution) -> BaseException:
    """Return the stored exception."""
    assert ended.record is not None
    return exception_of(ended.record)


def make_flaky(app: Umbel, **options: Any) -> Task[..., Any]:
    """Return a task that asks to be tried again, however it is told to."""

    @app.task(name="flaky", bind=True, **options)  # type: ignore[arg-type]
    def flaky(self: Task[..., Any], **how: Any) -> str:
        raise self.retry(**how)

    return flaky
