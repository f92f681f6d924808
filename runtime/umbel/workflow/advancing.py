"""What follows from the end of a task of a workflow: made before its acknowledgement, in steps that each may be repeated.

First the end is noted, and the store says what is due. Then that is published, each node once, however often it is tried. Then
those are told who wait for what will not run. Whoever dies in between leaves the message with its owner: the next one repeats it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from umbel import bodies, failure, rebuilding, states
from umbel import message as messages
from umbel import record as records
from umbel.broker.data import Outgoing
from umbel.errors import ChordError, DecodeError, EncodeError, QueueClosed, SecurityError
from umbel.message import HEAD_SIZE
from umbel.record import Record
from umbel.serialization import json
from umbel.workflow import values
from umbel.workflow.base import FAILED, REVOKED, Ending, Step, Workflows
from umbel.workflow.graph import Template, read_template

if TYPE_CHECKING:
    from umbel.config import Settings

#: Nodes that are made ready for publishing at a time.
CHUNK: Final = 500
#: Bytes of the message that failed which an errback gets to see; of a larger one it does not see the arguments.
NOTED: Final = 65_536


@dataclass(frozen=True, slots=True)
class Place:
    """Where a task stands in a workflow, as its message says.

    ``slot`` is (join, place) of a member without a row; ``takes`` the join whose values it gets; ``errback`` what it is told of;
    ``outers`` the places that its end fills too, the innermost first.
    """

    workflow: str
    node: int
    slot: tuple[int, int] | None = None
    takes: int | None = None
    errback: Mapping[str, Any] | None = None
    outers: tuple[Place, ...] = ()


def place_of(header: Mapping[str, Any]) -> Place:
    """Read the header of a message."""
    slot = header.get("p")
    outers = tuple(place_of(outer) for outer in header.get("o", ()))
    return Place(
        header["i"], header["n"], None if slot is None else (slot[0], slot[1]), header.get("t"), header.get("e"), outers
    )


@dataclass(frozen=True, slots=True)
class End:
    """How a task ended. ``value`` as it travels (`umbel.workflow.values`), or the note of a failure; ``stores`` its record."""

    task_id: str
    kind: str
    value: bytes
    runtime: float = 0.0
    stores: bool = False


def advance(store: Workflows, place: Place, end: End, ttl: float, conf: Settings | None = None) -> None:
    """Make what follows from the end of a task.

    Args:
        store: of the workflow.
        place: of the task.
        end: how it ended.
        ttl: seconds to keep the records of what will not run.
        conf: the settings of the app; None where there is no app: then only failures can be carried on.

    Raises:
        OperationalError: the store is away: repeat it all.
    """
    ending = Ending(place.node, end.kind, end.value, place.slot, int(time.time() * 1000), int(end.runtime * 1000))
    step = store.end(place.workflow, ending)
    if step is not None:
        if step.kind != end.kind or step.value != end.value:
            end = replace(end, kind=step.kind, value=step.value)
        _follow(store, place, step, end, ttl, conf)
    for outer in place.outers:
        advance(store, outer, end, ttl, conf)


def _follow(store: Workflows, place: Place, step: Step, end: End, ttl: float, conf: Settings | None) -> None:
    if end.stores and (step.due or step.told):  # before errbacks that look at it, and those who are told of it
        store.tell(end.task_id, values.read_failure(end.value)[0], ttl, None)
    for due in step.due:
        for start in range(due.first, due.last + 1, CHUNK):
            nodes = range(start, min(start + CHUNK, due.last + 1))
            _publish(store, place, nodes, due.how, step, end, ttl, conf)
    for first, last, through in step.told:
        for start in range(first, last + 1, CHUNK):
            nodes = range(start, min(start + CHUNK, last + 1))
            _tell(store, place.workflow, nodes, end, through, ttl)
    if step.told:
        store.close(place.workflow, str(place.node))


# Publishing


def _publish(
    store: Workflows,
    place: Place,
    nodes: Sequence[int],
    how: str,
    step: Step,
    end: End,
    ttl: float,
    conf: Settings | None,
) -> None:
    """Publish nodes; one that cannot be published has failed."""
    failed_id, failed_row = end.task_id, None
    if how.startswith("e") and len(how) > 1:  # the body of a join that failed is what failed, for its errbacks
        (failed_row,) = store.rows(place.workflow, [int(how[1:])])
        failed_id = end.task_id if failed_row is None else read_template(failed_row).task_id
    queues: dict[str, list[tuple[int, Outgoing]]] = {}
    for node, row in zip(nodes, store.rows(place.workflow, nodes), strict=True):
        if row is None:
            continue
        template = read_template(row)
        try:
            if how == "v":
                payload = _with_first(template, end.value, conf)
            elif how == "j":
                payload = template.payload
            else:
                payload = _errback(template, place.node, failed_id, failed_row is not None, conf)
        except (DecodeError, EncodeError, SecurityError) as error:
            _fail(store, place.workflow, node, template, error, ttl)
            continue
        delay = max(0.0, template.due - time.time()) if template.due else template.delay
        queues.setdefault(template.queue, []).append((node, Outgoing(payload, template.task_id, delay)))
    for queue, numbered in queues.items():
        lives = step.ttl / 1000 + max(outgoing.delay for _, outgoing in numbered)
        try:
            store.publish(place.workflow, queue, lives, numbered)
        except QueueClosed as error:
            for node, row in zip(nodes, store.rows(place.workflow, nodes), strict=True):
                if row is not None and (template := read_template(row)).queue == queue:
                    _fail(store, place.workflow, node, template, error, ttl)


def _with_first(template: Template, value: bytes, conf: Settings | None) -> bytes:
    if not template.takes:
        return template.payload
    if conf is not None and bodies.signs_results(conf):
        values.check_signed(value)
    head, headers, body = _split(template.payload)
    if b'"content_type"' not in headers and b'"compression"' not in headers and value[:1] != b"\x01":
        return head + headers + values.put_first({}, body, value, None)
    message = messages.decode(template.payload)
    message.body = values.put_first(message.headers, message.body, value, conf)
    return message.encode()


def _split(payload: bytes) -> tuple[bytes, bytes, bytes]:
    end = HEAD_SIZE + int.from_bytes(payload[HEAD_SIZE - 2 : HEAD_SIZE])
    return payload[:HEAD_SIZE], payload[HEAD_SIZE:end], payload[end:]


def _errback(template: Template, node: int, failed_id: str, chord: bool, conf: Settings | None) -> bytes:
    message = messages.decode(template.payload)
    message.headers["w"]["e"] = {"n": node, "id": failed_id, "chord": chord}
    if template.takes:
        message.body = values.put_first(message.headers, message.body, json.encode(failed_id), conf)
    return message.encode()


def _fail(store: Workflows, workflow: str, node: int, template: Template, error: Exception, ttl: float) -> None:
    """End a node that could not be sent."""
    message = messages.decode(template.payload)
    record = Record(states.FAILURE, failure.encode(error), 0, int(time.time() * 1000), {})
    note = values.failure_note(record.encode(), template.payload)
    store_end(store, message.headers, record, ttl)
    advance(store, place_of(message.headers["w"]), End(template.task_id, FAILED, note), ttl)


# Telling


def _tell(store: Workflows, workflow: str, nodes: Sequence[int], end: End, through: bool, ttl: float) -> None:
    """Tell those who wait for exits that these will not run."""
    try:
        cause = values.read_failure(end.value)[1]
    except DecodeError:
        cause = None
    end_unrun(store, workflow, nodes, failed_record(end, through), ttl, cause)


def end_unrun(
    store: Workflows, workflow: str, nodes: Sequence[int], record: Record, ttl: float, cause: bytes | None = None
) -> None:
    """Let nodes that will not run end with a record, and with them what they stand for.

    Args:
        store: of the workflow.
        workflow: its id.
        nodes: numbers; those without a row are passed over.
        record: failed or revoked.
        ttl: seconds to keep it.
        cause: the message of the task that is to blame; each node's own unless given.
    """
    kind = REVOKED if record.state == states.REVOKED else FAILED
    for row in store.rows(workflow, nodes):
        if row is None:
            continue
        template = read_template(row)
        headers = messages.decode(template.payload).headers
        store_end(store, headers, record, ttl)
        for outer in place_of(headers["w"]).outers:
            note = values.failure_note(record.encode(), template.payload if cause is None else cause)
            advance(store, outer, End(template.task_id, kind, note), ttl)


def store_end(store: Workflows, headers: Mapping[str, Any], record: Record, ttl: float) -> None:
    """Store the record of a task that will not run, and tell who waits for it."""
    if not headers.get("ignore_result"):
        store.tell(headers["id"], record.encode(), ttl, headers.get("reply_to"))


def failed_record(end: End, through: bool) -> Record:
    """Return the record of an exit that will not run, since a task before it has failed.

    Args:
        end: of the task that failed.
        through: whether that was a member of a chord's header.
    """
    try:
        cause = records.decode(values.read_failure(end.value)[0])
    except DecodeError:
        cause = Record(states.FAILURE, failure.encode(ChordError(f"task {end.task_id} failed")), 0, 0, {})
    meta = {**cause.meta, "failed": end.task_id}
    now = int(time.time() * 1000)
    if not through:
        state = cause.state if cause.state in states.PROPAGATE_STATES else states.FAILURE
        return Record(state, cause.value, 0, now, meta)
    error = ChordError(f"Dependency {end.task_id} raised {_shown(cause)}")
    return Record(states.FAILURE, failure.encode(error), 0, now, meta)


def _shown(cause: Record) -> str:
    return repr(rebuilding.decode(cause.value)) if cause.value else cause.state


def outers_of(header: Mapping[str, Any]) -> Iterator[str]:
    """Yield the ids of all workflows that a task belongs to: its own, and those that its workflow stands in."""
    yield header["i"]
    for outer in header.get("o", ()):
        yield from outers_of(outer)
