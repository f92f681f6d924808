"""From a stored record to what its task returned or raised."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from umbel import bodies, rebuilding, serialization, states
from umbel.errors import RemoteError
from umbel.serialization.compression import decompress

if TYPE_CHECKING:
    from umbel.record import Record
    from umbel.result.stored import StoredResult


def value_of(record: Record, reader: StoredResult[Any] | None = None) -> Any:
    """Return what a record holds: a value, or an exception for a state that has one.

    Args:
        record: to be read.
        reader: whose app's ``result_accept_content`` applies, and whose id a signed value must have been signed for.

    Raises:
        ContentDisallowed: a value that this app does not accept; nothing of it was read.
        SecurityError: it should be signed by somebody who is trusted, and is not.
    """
    if record.state in states.EXCEPTION_STATES:
        return exception_of(record)
    meta = record.meta
    if reader is not None and ("content_type" in meta or _is_forged(record, reader)):
        return bodies.read_result(reader.app.conf, meta, record.value, reader.id)
    if not record.value:
        return None
    return serialization.by_content_type(meta.get("content_type")).decode(
        decompress(meta.get("compression"), record.value)
    )


def _is_forged(record: Record, reader: StoredResult[Any]) -> bool:
    """Tell whether a record says that its task has returned what nobody has signed, where that should be."""
    return record.state == states.SUCCESS and not bodies.accepts_json_results(reader.app.conf)


def exception_of(record: Record) -> BaseException:
    """Return the exception that a record holds, with the worker's traceback as a note."""
    if not record.value:
        return RemoteError(record.state, "nothing was stored with it")
    error = rebuilding.decode(record.value, serialization.by_content_type(record.meta.get("content_type")))
    trace = record.meta.get("traceback")
    if trace:
        error.add_note(f"\nIn the worker{' ' + record.meta['worker'] if record.meta.get('worker') else ''}:\n{trace}")
    return error


def done_at(record: Record) -> datetime | None:
    """Return when the task of a record ended, None if it has not."""
    if record.state not in states.READY_STATES:
        return None
    return datetime.fromtimestamp(record.done_ms / 1000, timezone.utc)  # noqa: UP017 - as elsewhere


def meta_of(task_id: str, record: Record | None, reader: StoredResult[Any] | None = None) -> dict[str, Any]:
    """Return a record in the form that Celery's backends give to callbacks."""
    if record is None:
        return {"task_id": task_id, "status": states.PENDING, "result": None, "traceback": None, "children": []}
    return {
        "task_id": task_id,
        "status": record.state,
        "result": value_of(record, reader),
        "traceback": record.meta.get("traceback"),
        "children": record.meta.get("children", []),
        "date_done": done_at(record),
    }
