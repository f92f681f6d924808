"""Runs the tasks of Broadcast queues: who fetches such a message copies it to each living worker, and runs only his own copy.

A message is copied before it is acknowledged, under the nonce of its publication. To whom is agreed upon with the first try, and
each own queue takes a copy once: so whoever gets the message again, since the one before died, makes no second copy of it.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Container, Sequence
from typing import TYPE_CHECKING, Any, Final

import orjson

from umbel import bodies, failure, serialization, states, verdict
from umbel.broker.base import ConnectionLost, Delivery, Kind, Outcome, Outgoing
from umbel.clock import wall_ms
from umbel.context import MOST_CHILDREN
from umbel.errors import DecodeError, LayoutError, OperationalError, SecurityError, TaskRevokedError
from umbel.message import Message
from umbel.ownqueues import COPY_OF, own_queue
from umbel.record import Record
from umbel.verdict import Execution
from umbel.worker import advances
from umbel.worker.runner import Runner

if TYPE_CHECKING:
    from umbel.app import Umbel
    from umbel.awaiting import Steered
    from umbel.worker.runner import Aside, Child

log = logging.getLogger("umbel.worker")

#: Seconds that is remembered to whom a message was copied.
REMEMBERED: Final = 86400.0
#: Characters of an id that every result backend can keep.
LONGEST_ID: Final = 250
#: Seconds that a message waits which could not be copied: nobody is there to run it, or the broker is away.
PAUSE: Final = 1.0
#: What belongs to the one message that was sent, and not to its copies: they stand in no workflow and for no run of a schedule.
_NOT_COPIED: Final = frozenset(
    {"w", "lock", "schedule", "run", "reply_to", "delay", "expires", "g", "group_id", "group_index", "retries"}
)


class CopyingRunner(Runner):
    """See the module.

    Args:
        app: whose tasks run.
        hostname: shown to the task and in records.
        copied: the queues whose messages are copied.
    """

    def __init__(self, app: Umbel, hostname: str, copied: Container[str]) -> None:
        super().__init__(app, hostname)
        self._copied = copied

    def run(self, delivery: Delivery, child: Child) -> Outcome | None:
        """Copy a delivery, or run it; see `Runner.run`."""
        if delivery.queue not in self._copied:
            return super().run(delivery, child)
        message = self._read(delivery)
        if isinstance(message, Outcome):
            return message
        ended = self._sentence(delivery, message, child) or self._copy(delivery, message, child)
        return self._report(delivery, ended, child, False)

    async def run_async(
        self, delivery: Delivery, child: Child, begin: Callable[[], Steered], aside: Aside
    ) -> Outcome | None:
        """As `run`, in a loop that runs others too."""
        if delivery.queue in self._copied:
            return await aside(self.run, delivery, child)
        return await super().run_async(delivery, child, begin, aside)

    def _sentence(self, delivery: Delivery, message: Message, child: Child) -> Execution | None:
        """As `Runner._sentence`; a copy ends with what it is a copy of."""
        if any(name in self.revoked for name in message.headers.get(COPY_OF, ())):
            return verdict.revoked(self._app, message, "revoked", hostname=self._hostname)
        return super()._sentence(delivery, message, child)

    def _copy(self, delivery: Delivery, message: Message, child: Child) -> Execution:
        """Copy a message to each living worker, and say how it ended."""
        app, headers = self._app, message.headers
        began, now = time.perf_counter(), child.now()
        expires = headers.get("expires")
        if expires is not None and now > message.enqueued_ms / 1000 + expires:
            return verdict.revoked(app, message, "expired", hostname=self._hostname)
        try:
            found = self._body(message)
            if isinstance(found, Execution):
                return found
            workers = self._agreed(delivery.queue, message)
            above = _workflows(message)
            copies = {worker: copy_of(message, worker, found, now, above) for worker in workers}
            self._publish(copies, message, child)
        except (OperationalError, ConnectionLost, LayoutError) as error:
            return self._put_off(message, str(error))
        except Exception as error:
            trace = failure.traceback_of(error)
            return verdict.failed(app, message, error, hostname=self._hostname, trace=trace)
        if not copies:
            return self._put_off(message, "no worker that consumes its queue is there to run it")
        log.info("task.copied", extra={"task": headers["task"], "task_id": headers["id"], "workers": len(copies)})
        ended = self._ended(delivery, message, {worker: copy.headers["id"] for worker, copy in copies.items()})
        ended.runtime = time.perf_counter() - began
        if self.reporter is not None:
            self.reporter.unrun(ended, delivery.queue)
        return ended

    def _body(self, message: Message) -> tuple[dict[str, Any], bytes] | Execution:
        """Return headers and body for the copies, with the arguments that a workflow's message does not carry; an end where
        these cannot be had, or were signed by nobody who is trusted: the copies are signed here."""
        headers = {name: value for name, value in message.headers.items() if name not in _NOT_COPIED}
        given = advances.incoming(self._app, message, self._hostname) if "w" in message.headers else None
        if isinstance(given, Execution):
            return given
        if given is None and headers.get("content_type") != serialization.SIGNED:
            return headers, message.body
        try:
            args, kwargs = bodies.read(self._app.conf, message.headers, message.body)
        except (DecodeError, SecurityError) as error:
            return verdict.dead(self._app, message, error, verdict.word_of(error), hostname=self._hostname)
        if given is None:
            return headers, message.body
        codec = serialization.by_content_type(headers.get("content_type"))
        call = ([*given.args, *args[given.replaces :]], kwargs)
        return headers, bodies.packed(headers, codec, call, headers.get("compression"))

    def _agreed(self, queue: str, message: Message) -> list[str]:
        """Return the workers that run the message: those that live now, or lived when it was copied before."""
        own_queues = self._app.broker.own_queues
        workers = own_queues.workers(queue)
        if not workers:
            return []
        name = message.nonce.hex()
        kept = own_queues.agree(queue, name, orjson.dumps(workers), REMEMBERED)
        return [str(worker) for worker in orjson.loads(kept)]

    def _publish(self, copies: dict[str, Message], message: Message, child: Child) -> None:
        """Publish the copies, each once; tell those who wait for one that its queue does not take."""
        outgoing = [(own_queue(worker), Outgoing(copy.encode(), copy.headers["id"])) for worker, copy in copies.items()]
        refused = self._app.broker.own_queues.publish(message.nonce.hex(), outgoing, REMEMBERED)
        for queue, one in outgoing:
            if queue in refused:
                error = TaskRevokedError(f"the queue {queue!r} takes no tasks: its intake is Reject")
                record = Record(states.REVOKED, failure.encode(error), 0, wall_ms(), {"worker": self._hostname})
                child.store(one.task_id, record, self._ttl_of(queue))

    def _put_off(self, message: Message, why: str) -> Execution:
        extra = {"task": message.headers["task"], "task_id": message.headers["id"], "why": why}
        log.warning("task.copied_later", extra=extra)
        return Execution(message, states.PENDING, Kind.GIVE_BACK, delay=PAUSE)

    def _ended(self, delivery: Delivery, message: Message, value: dict[str, str]) -> Execution:
        """Return the end of a message that was copied: its value names the workers, and the ids of their copies."""
        if message.headers.get("ignore_result"):
            return Execution(message, states.SUCCESS, Kind.ACK, value=value)
        codec = serialization.by_name(self._app.conf.result_serializer)
        raw = codec.encode_result(message.headers["id"], value) if serialization.signs(codec) else codec.encode(value)
        meta: dict[str, Any] = {"worker": self._hostname, "children": list(value.values())[:MOST_CHILDREN]}
        if codec.content_type != serialization.JSON:
            meta["content_type"] = codec.content_type
        if self._app.conf.result_extended:
            meta |= verdict.extended(self._app, message, self._hostname, delivery.queue)
        record = Record(states.SUCCESS, raw, message.attempt, wall_ms(), meta)
        return Execution(message, states.SUCCESS, Kind.ACK, record, value=value)


def copy_of(
    message: Message, worker: str, found: tuple[dict[str, Any], bytes], now: float, above: Sequence[str]
) -> Message:
    """Return the copy of a message for one worker. Pure, but for its nonce.

    Args:
        message: that was sent.
        worker: its name.
        found: headers and body of the copies.
        now: seconds since the epoch, by the broker's clock.
        above: workflows that the message belongs to.
    """
    headers, body = found
    task_id: str = message.headers["id"]
    own = {
        **headers,
        "id": copy_id(task_id, worker),
        "parent_id": task_id,
        "root_id": message.headers.get("root_id") or task_id,
        COPY_OF: [task_id, *above],
    }
    expires = message.headers.get("expires")
    if expires is not None:
        own["expires"] = max(0.0, message.enqueued_ms / 1000 + expires - now)
    copy = Message(own, bodies.resealed(own, body), message.priority)
    bodies.seal(copy)
    return copy


def copy_id(task_id: str, worker: str) -> str:
    """Return the id of a worker's copy of a task: the same one each time."""
    name = f"{task_id}.{worker}"
    return name if len(name) <= LONGEST_ID else str(uuid.uuid5(uuid.NAMESPACE_OID, name))


def _workflows(message: Message) -> list[str]:
    """Return the workflows that a message belongs to: who revokes one of them means the copies too."""
    if "w" not in message.headers:
        return []
    from umbel.workflow.advancing import outers_of

    return list(outers_of(message.headers["w"]))
