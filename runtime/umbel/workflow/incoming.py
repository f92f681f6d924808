"""What a task of a workflow gets that its message does not carry: the values of a join, and what an errback is told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from umbel import bodies, states
from umbel import message as messages
from umbel import record as records
from umbel.canvas.errbacks import takes_failure
from umbel.context import Request
from umbel.errors import ChordError, UmbelError
from umbel.result import exception_of
from umbel.workflow import values
from umbel.workflow.advancing import End, failed_record, place_of

if TYPE_CHECKING:
    from umbel.app import Umbel
    from umbel.message import Message
    from umbel.record import Record
    from umbel.workflow.advancing import Place


@dataclass(frozen=True, slots=True)
class Incoming:
    """Arguments to put before those of the message, in place of so many of them."""

    args: list[Any]
    replaces: int = 0


def incoming(app: Umbel, message: Message) -> Incoming | None:
    """Return what a message of a workflow does not carry itself; None for nothing.

    Raises:
        ChordError: values are gone.
        OperationalError: the broker is away.
    """
    header = message.headers["w"]
    if "t" in header:
        return Incoming([joined(app, place_of(header))])
    if "e" in header and takes_failure(app.tasks.get(message.headers["task"])):
        return _error(app, message, place_of(header))
    return None


def joined(app: Umbel, place: Place) -> list[Any]:
    """Return the list that the members of a header have filled, in their order: what ends in a group as a list in it."""
    assert place.takes is not None
    found = app.broker.workflows.values(place.workflow, place.takes)
    if found is None:
        raise ChordError(
            f"the workflow {place.workflow} is gone, and with it the results of the header: it went without a step for longer than "
            "the setting workflow_expires allows, or Redis lost it"
        )
    missing = [index for index, value in enumerate(found.places) if value is None]
    if missing:
        raise ChordError(
            f"{len(missing)} of {len(found.places)} results of the header of workflow {place.workflow} are gone (the first is "
            f"number {missing[0]}): Redis lost them"
        )
    there = [value for value in found.places if value is not None]
    if bodies.signs_results(app.conf):
        for value in there:
            values.check_signed(value)
    flat = values.unpack_all(there)
    return flat if found.nested is None else values.nest(flat, orjson.loads(found.nested))


def _error(app: Umbel, message: Message, place: Place) -> Incoming | None:
    """Return request, exception and traceback of what failed."""
    told = place.errback
    assert told is not None
    noted = app.broker.workflows.failure(place.workflow, told["n"])
    if noted is None:
        return _recorded(app, message, told["id"])
    raw, payload = values.read_failure(noted)
    failed = messages.decode(payload)
    record = records.decode(raw)
    if told["chord"]:
        record = failed_record(End(failed.headers["id"], "F", noted), through=True)
        failed = messages.Message({**failed.headers, "id": told["id"]}, b"")
    return _told(app, message, failed, record)


def _recorded(app: Umbel, message: Message, task_id: str) -> Incoming | None:
    """Return what the record of the task that failed tells, once its workflow is gone: who ran the errback died after its end."""
    record = app.results.get(task_id)
    if record is None or record.state not in states.PROPAGATE_STATES:
        return None
    return _told(app, message, messages.Message({"id": task_id, "task": record.meta.get("name", "")}, b""), record)


def _told(app: Umbel, message: Message, failed: Message, record: Record) -> Incoming:
    args, kwargs = _arguments(app, failed)
    request = Request(app, app.tasks.get(failed.headers["task"]), failed, args, kwargs)
    return Incoming([request, exception_of(record), record.meta.get("traceback")], 1 if _takes(app, message) else 0)


def _takes(app: Umbel, message: Message) -> bool:
    """Return whether the id of the task that failed stands before the arguments."""
    args, _ = bodies.read(app.conf, message.headers, message.body)
    return bool(args) and args[0] == message.headers["w"]["e"]["id"]


def _arguments(app: Umbel, message: Message) -> tuple[list[Any], dict[str, Any]]:
    if not message.body:
        return [], {}
    try:
        args, kwargs = bodies.read(app.conf, message.headers, message.body)
    except (UmbelError, ValueError, TypeError):
        return [], {}
    return args, kwargs
