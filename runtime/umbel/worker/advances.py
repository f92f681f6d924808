"""What a worker does for a task that belongs to a workflow, before it runs and after it has ended.

Imported by every worker, and light: what it needs for a workflow is imported with the first one.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Container
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from umbel import failure, states, verdict
from umbel.broker.base import Kind
from umbel.errors import BackendError, ChordError, DecodeError, OperationalError, SecurityError, UmbelError
from umbel.result import value_of
from umbel.verdict import Execution

if TYPE_CHECKING:
    from umbel.app import Umbel
    from umbel.message import Message
    from umbel.workflow.incoming import Incoming

log = logging.getLogger("umbel.worker")

#: Seconds to go on trying where the broker is away at the end of a task; then the message goes back, and its task runs again.
PATIENCE: Final = 30.0
#: Seconds that a message waits which could not be advanced, or whose values could not be read.
PAUSE: Final = 1.0


def is_revoked(message: Message, revoked: Container[str]) -> bool:
    """Return whether a workflow that the message belongs to was revoked."""
    from umbel.workflow.advancing import outers_of

    return any(workflow in revoked for workflow in outers_of(message.headers["w"]))


def incoming(app: Umbel, message: Message, hostname: str) -> Incoming | Execution | None:
    """Return what the task gets that its message does not carry, None for nothing; an end where that cannot be had."""
    header: dict[str, Any] = message.headers["w"]
    if "t" not in header and "e" not in header:
        return None
    from umbel.workflow.incoming import incoming as read

    try:
        return read(app, message)
    except SecurityError as error:
        return verdict.dead(app, message, error, verdict.word_of(error), hostname=hostname)
    except (ChordError, DecodeError) as error:
        ended = _has_ended(app, message)
        if ended is not None:
            return ended
        return verdict.failed(app, message, error, hostname=hostname, trace=failure.traceback_of(error))
    except UmbelError as error:
        log.warning("workflow.unread", extra={"task_id": message.headers["id"], "error": str(error)})
        return Execution(message, states.PENDING, Kind.GIVE_BACK, delay=PAUSE)


def advance(app: Umbel, ended: Execution, ttl: float, *, begun: bool) -> Execution:
    """Advance the workflow of a delivery that has ended, before it is acknowledged; return the end to report.

    Args:
        app: whose broker is asked.
        ended: the end.
        ttl: seconds to keep records.
        begun: the task may not run again: its workflow stays where it is, should the broker be away for too long.
    """
    from umbel.workflow.reporting import ends_node, report

    instead = getattr(ended.exception, "instead", None)
    if instead is None and ("w" not in ended.message.headers or not ends_node(ended)):
        return ended
    until = time.monotonic() + PATIENCE
    while True:
        try:
            if instead is not None:
                return _replace(app, ended, instead, ttl)
            report(app, ended, ttl)
            return ended
        except (OperationalError, BackendError) as error:
            extra = {"task_id": ended.message.headers["id"], "error": str(error)}
            if time.monotonic() < until:
                log.warning("workflow.put_off", extra=extra)
                time.sleep(PAUSE)
                continue
            log.error("workflow.stuck" if begun else "workflow.given_back", extra=extra)
            return ended if begun else replace(ended, kind=Kind.GIVE_BACK, record=None, reason=None, delay=PAUSE)


def _replace(app: Umbel, ended: Execution, instead: Any, ttl: float) -> Execution:
    """Let a signature run in the place of a task; one that cannot be sent is the task's failure."""
    from umbel.workflow import reporting, standing

    try:
        standing.replace(app, ended.message, instead)
    except OperationalError:
        raise
    except Exception as error:
        trace = failure.traceback_of(error)
        failed = verdict.failed(app, ended.message, error, hostname="", trace=trace)
        if "w" in ended.message.headers:
            reporting.report(app, failed, ttl)
        return failed
    return ended


def _has_ended(app: Umbel, message: Message) -> Execution | None:
    """Return the end that a task has come to before: who ran it died before the acknowledgement, and its values are gone since."""
    record = app.results.get(message.headers["id"])
    if record is None or record.state not in states.READY_STATES:
        return None
    value = value_of(record, app.AsyncResult(message.headers["id"]))
    error = value if isinstance(value, BaseException) else None
    return Execution(message, record.state, Kind.ACK, record, exception=error, value=value)
