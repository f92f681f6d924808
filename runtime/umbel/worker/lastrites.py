"""What a worker does for a message before it reports it dead: tells its story, and forwards it where the queue says so.

A letter that is forwarded is acknowledged, its failure stored; the queue that receives it gets a message of its own. The order
is: forward, which happens once however often it is tried, then report. A worker that dies in between leaves the message
to the next one.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from umbel import execution, failure, states
from umbel.broker.base import Delivery, Kind, PostMortem
from umbel.errors import UmbelError
from umbel.ids import new_nonce
from umbel.message import Message
from umbel.verdict import REQUEUE_PAUSE, Execution

if TYPE_CHECKING:
    from umbel.app import Umbel

log = logging.getLogger("umbel.worker")

#: The last deaths that a letter tells of, and the characters of a traceback and of a text.
DEATHS: Final = 10
TRACEBACK: Final = 4_000
TEXT: Final = 1_000
#: Header of a forwarded message, among the user's own: ``self.request.headers["dead_letter"]``.
HEADER: Final = "dead_letter"
#: Headers that a forwarded message leaves behind: its delay, the run of a schedule and the lock of a unique task, which ended.
_LEFT: Final = ("delay", "schedule", "run", "lock")


def prepare(app: Umbel, delivery: Delivery, ended: Execution, *, now: float) -> Execution:
    """Return the end of a message that is to become a dead letter, with its story; forwarded where its queue says so.

    Args:
        app: whose broker is asked.
        delivery: of the message.
        ended: its end, of kind DEAD.
        now: seconds since the Unix epoch, by the broker's clock.
    """
    try:
        found = app.broker.post_mortem(delivery.queue, delivery.payload)
        told = replace(ended, reason=_story(app, ended, found))
        if found.forward is None:
            return told
        return _forwarded(app, delivery, told, found.forward, now)
    except UmbelError as error:
        # Back to the queue, uncharged: whoever takes it next says the same of it.
        log.warning("dead.put_off", extra={"task_id": ended.message.headers["id"], "error": str(error)})
        return replace(ended, kind=Kind.GIVE_BACK, record=None, delay=REQUEUE_PAUSE)


def _story(app: Umbel, ended: Execution, found: PostMortem) -> dict[str, Any]:
    reason = dict(ended.reason or {})
    reason["message"] = _cut(str(reason.get("message", "")), TEXT)
    if found.deaths:
        reason["deaths"] = [death.as_dict() for death in found.deaths[-DEATHS:]]
    trace = _traceback(app, ended)
    if trace:
        reason["traceback"] = trace if len(trace) <= TRACEBACK else f"…{trace[-TRACEBACK:]}"
    return reason


def _traceback(app: Umbel, ended: Execution) -> str:
    """Return the last traceback that is known: of what ended this run, else of the retry before it."""
    error = ended.exception
    if error is not None and error.__traceback__ is not None:
        return failure.traceback_of(error, skip=(execution.__file__,))
    try:
        before = app.results.get(ended.message.headers["id"])
    except UmbelError:
        return ""  # it would be good to have, no more
    if before is not None and before.state == states.RETRY:
        return str(before.meta.get("traceback", ""))
    return ""


def _forwarded(app: Umbel, delivery: Delivery, ended: Execution, target: str, now: float) -> Execution:
    message = ended.message
    own = message.headers.get("headers")
    before = own.get(HEADER) if isinstance(own, dict) else None
    path = [*(before.get("path", ()) if isinstance(before, dict) else ()), delivery.queue]
    if target in path:
        why = f"not forwarded to {target!r}: it has come from there"
    elif app.broker.forward(target, _message(message, ended.reason or {}, path, now).encode(), delivery.payload):
        log.warning("dead.forwarded", extra={"task_id": message.headers["id"], "queue": target})
        return replace(ended, kind=Kind.ACK, reason=None)
    else:
        why = f"not forwarded to {target!r}: its intake is Reject"
    return replace(ended, reason={**(ended.reason or {}), "kept": why})


def _message(message: Message, reason: dict[str, Any], path: list[str], now: float) -> Message:
    """Return the message for the queue that receives: as if never delivered, with the reason among its headers."""
    headers = {name: value for name, value in message.headers.items() if name not in _LEFT}
    told = {"reason": reason.get("reason"), "message": reason.get("message"), "died": now, "path": path}
    headers["headers"] = {**(headers.get("headers") or {}), HEADER: told}
    return replace(
        message, headers=headers, flags=0, attempt=0, lost=0, suspect=0, requeues=0, nonce=new_nonce(), enqueued_ms=0
    )


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]}…"
