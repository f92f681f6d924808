"""What is told of the end of a delivery: a line in the log, and the signals of tasks that did not run."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

from umbel import signals, states
from umbel.broker.base import Kind
from umbel.verdict import Execution

if TYPE_CHECKING:
    from umbel.app import Umbel

log = logging.getLogger("umbel.worker")

_LEVELS = {Kind.DEAD: logging.ERROR, Kind.GIVE_BACK: logging.WARNING, Kind.RETRY: logging.INFO}
_WORDS = {Kind.DEAD: "dead", Kind.GIVE_BACK: "given_back", Kind.RETRY: "retry"}


def write(ended: Execution) -> None:
    """Log an end: failures and deaths always, the rest at DEBUG."""
    level = _LEVELS.get(ended.kind, logging.DEBUG)
    if ended.state == states.FAILURE and ended.kind is Kind.ACK:
        level = logging.INFO if ended.expected else logging.ERROR
    if not log.isEnabledFor(level):
        return
    headers = ended.message.headers
    extra: dict[str, Any] = {"task": headers["task"], "task_id": headers["id"], "state": ended.state}
    if "shadow" in headers:
        extra["shadow"] = headers["shadow"]
    if ended.exception is not None:
        extra["error"] = repr(ended.exception)
    if ended.runtime:
        extra["runtime"] = round(ended.runtime, 6)
    shown = ended.exception if level == logging.ERROR and ended.kind is Kind.ACK else None
    log.log(level, f"task.{_WORDS.get(ended.kind, ended.state.lower())}", extra=extra, exc_info=shown)


def signal_unrun(app: Umbel, runner: Any, ended: Execution) -> None:
    """Send the signal of a task that was revoked, unknown or rejected, if anybody listens.

    Args:
        runner: the sender.
    """
    if any(signal.has_receivers for signal in (signals.task_revoked, signals.task_unknown, signals.task_rejected)):
        from umbel.middleware import signalling

        signalling.unrun(app, runner, ended)
