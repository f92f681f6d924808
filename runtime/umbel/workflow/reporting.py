"""How the end of a delivery becomes the end of a node: what a worker reports, and what nobody ran."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from umbel import failure, serialization, states
from umbel.broker.base import Kind
from umbel.clock import wall_ms
from umbel.errors import EncodeError, Ignore, TaskRevokedError
from umbel.message import Message
from umbel.record import Record
from umbel.workflow import values
from umbel.workflow.advancing import NOTED, End, advance, place_of
from umbel.workflow.base import FAILED, IGNORED, REVOKED, SUCCEEDED, Workflows

if TYPE_CHECKING:
    from umbel.app import Umbel
    from umbel.verdict import Execution

_KINDS: Final = {
    states.SUCCESS: SUCCEEDED,
    states.FAILURE: FAILED,
    states.REVOKED: REVOKED,
    states.IGNORED: IGNORED,
}


def ends_node(ended: Execution) -> bool:
    """Return whether a delivery ended in a way that its workflow has to hear of."""
    if ended.kind is not Kind.ACK and ended.kind is not Kind.DEAD:
        return False
    return ended.state in _KINDS and getattr(ended.exception, "instead", None) is None


def report(app: Umbel, ended: Execution, ttl: float) -> None:
    """Advance the workflow of a delivery that has ended.

    Raises:
        OperationalError: the broker is away: repeat it.
    """
    message = ended.message
    end = _end_of(app, ended)
    if "t" in message.headers["w"] and end.kind == SUCCEEDED and ended.record is not None:
        # Its values may go with this step: whoever gets the message again finds what it returned.
        app.broker.workflows.tell(end.task_id, ended.record.encode(), ttl, message.headers.get("reply_to"))
    advance(app.broker.workflows, place_of(message.headers["w"]), end, ttl, app.conf)


def _end_of(app: Umbel, ended: Execution) -> End:
    message, record = ended.message, ended.record
    task_id: str = message.headers["id"]
    kind = _KINDS[ended.state]
    error = ended.exception or Ignore("the task ended without a result")
    if kind == SUCCEEDED:
        try:
            return End(task_id, kind, _value_of(app, ended), ended.runtime)
        except EncodeError as unencodable:
            kind, record, error = FAILED, None, unencodable
    stores = record is not None
    if record is None:
        state = states.REVOKED if kind == REVOKED else states.FAILURE
        record = Record(state, failure.encode(error), message.attempt, wall_ms(), {})
    return End(task_id, kind, note(record, message), ended.runtime, stores)


def _value_of(app: Umbel, ended: Execution) -> bytes:
    record = ended.record
    if record is not None and record.meta.keys() <= {"content_type"}:
        return values.pack(record.value, record.meta.get("content_type"))
    codec = serialization.by_name(app.conf.result_serializer)
    return values.pack(codec.encode(ended.value), codec.content_type)


def note(record: Record, message: Message) -> bytes:
    """Return what is to be known of a failure."""
    payload = message.encode()
    if len(payload) > NOTED:
        payload = payload[: len(payload) - len(message.body)]
    return values.failure_note(record.encode(), payload)


def report_unrun(store: Workflows, message: Message, error: BaseException, ttl: float) -> None:
    """Advance the workflow of a message that nobody will run.

    Raises:
        OperationalError: the broker is away: repeat it.
    """
    kind, state = (REVOKED, states.REVOKED) if isinstance(error, TaskRevokedError) else (FAILED, states.FAILURE)
    record = Record(state, failure.encode(error), message.attempt, wall_ms(), {})
    headers: dict[str, Any] = message.headers
    advance(store, place_of(headers["w"]), End(headers["id"], kind, note(record, message)), ttl)
