"""From a delivery to an outcome: sentences of death, refusals, and the run itself. Called in the thread that runs the task."""

from __future__ import annotations

import logging
import os
from collections.abc import Awaitable, Callable, Container, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, ParamSpec, Protocol, TypeVar

import orjson

from umbel import annotating, failure, states, verdict
from umbel import message as messages
from umbel.broker.base import Delivery, Kind, Outcome
from umbel.broker.tickets import Admission, Ticket
from umbel.clock import wall_ms
from umbel.errors import DecodeError, WorkerLostError
from umbel.execution import run, run_async
from umbel.ids import new_nonce
from umbel.leaving import Leaving, leaving_of
from umbel.limits import Limits, limits_of
from umbel.marks import is_stamped
from umbel.message import ENDED, Message
from umbel.record import Record
from umbel.taskdefaults import TaskDefaults
from umbel.verdict import Execution
from umbel.worker import advances, forks, gate, lastrites, lateends, telling
from umbel.worker.traits import Traits, traits_of

if TYPE_CHECKING:
    from umbel.app import Umbel
    from umbel.awaiting import Steered
    from umbel.context import Request
    from umbel.worker.reporter import Reporter
    from umbel.worker.standing import Standing
    from umbel.workflow.incoming import Incoming

P = ParamSpec("P")
R = TypeVar("R")
log = logging.getLogger("umbel.worker")

#: Deaths of whole workers, among others, from which on a message runs alone in its worker. Not from the first one on: a node
#: that fails takes many long tasks with it, and running each of those alone would cost more than one death more.
ISOLATE_FROM = 2
#: What a dead letter is counted as: its state is that of any failure.
DEAD = "DEAD"


_UNKNOWN = Traits()


class Limit(Protocol):
    """The limits of the run under way in one slot."""

    def arm(self, seconds: float | None) -> None:
        """The user's code begins, with so many seconds until its soft limit."""

    def disarm(self) -> None:
        """The user's code has ended.

        Raises:
            Condemned: it was told to end.
        """


class Child(Protocol):
    """What the runner asks of the child, or of the slot in it, that it works for."""

    @property
    def limit(self) -> Limit: ...
    def mark(self, delivery: Delivery, time_limit: float | None, exclusive: bool = False) -> None: ...
    def isolate(self) -> bool: ...
    def admit(self, delivery: Delivery, ticket: Ticket) -> Admission: ...
    def begin(self, delivery: Delivery) -> bool: ...
    def store(self, task_id: str, record: Record, ttl: float, reply_to: str | None = None) -> bool: ...
    def now(self) -> float: ...
    def max_deliveries(self, queue: str) -> int: ...
    def leave(self, asked: Leaving) -> None: ...


class Aside(Protocol):
    """Runs in a thread what may take long, where an event loop must not wait for it."""

    def __call__(self, call: Callable[P, R], /, *arguments: P.args, **named: P.kwargs) -> Awaitable[R]: ...


class Runner:
    """See the module.

    Args:
        app: whose tasks run.
        hostname: shown to the task and in records.
    """

    def __init__(self, app: Umbel, hostname: str) -> None:
        self.revoked: Container[str] = ()
        #: Counts the end of a delivery: task, state, seconds that it ran.
        self.counted: Callable[[str, str, float], None] = lambda task, state, seconds: None
        self.standing: Standing | None = None
        #: Tells of tasks by events; None while nobody wants them.
        self.reporter: Reporter | None = None
        #: What queues give to tasks that have no options of their own, by queue; empty where none does.
        self.defaults: Mapping[str, TaskDefaults] = {}
        annotating.apply(app)
        self._app = app
        self._hostname = hostname
        self._ttl = app.conf.result_ttl
        self._sets_ttl = app.conf.is_set("result_expires")
        self._traits: dict[str, Traits] = {}
        self._told_rates: dict[str, tuple[str | float, Limits | None]] = {}

    def run(self, delivery: Delivery, child: Child) -> Outcome | None:
        """Return how the delivery ended; None if it is no longer this child's."""
        message = self._read(delivery)
        if isinstance(message, Outcome):
            return message
        if message.suspect >= ISOLATE_FROM and not child.isolate():
            return Outcome(delivery.tag, Kind.GIVE_BACK)
        ended = self._sentence(delivery, message, child)
        traits = self._traits_of(message)
        limits = self._limits_of(message, traits)
        has_place = False
        if gate.has_gate(message, limits, ended):
            may_go, ended, has_place = self._pass(delivery, message, limits, ended, child)
            if not may_go:
                return None
        begins = ended is None and not traits.acks_late
        if ended is None:
            incoming: Incoming | None = None
            if "w" in message.headers:
                given = advances.incoming(self._app, message, self._hostname)
                if isinstance(given, Execution):
                    return self._report(delivery, given, child, has_place)
                incoming = given
            if begins and not child.begin(delivery):
                return None
            ended = self._execute(delivery, message, child, traits, incoming)
        elif self._has_mourners(message, ended, child, delivery):
            self._mourn(delivery, ended, traits, child)
        return self._report(delivery, ended, child, has_place, begun=begins)

    async def run_async(
        self, delivery: Delivery, child: Child, begin: Callable[[], Steered], aside: Aside
    ) -> Outcome | None:
        """Run a delivery in a loop that runs others too: a coroutine there, all that may block aside. Returns as `run`.

        Args:
            delivery: to run.
            child: its slot.
            begin: called before a coroutine begins; returns what drives it.
            aside: see there.
        """
        message = self._read(delivery)
        if isinstance(message, Outcome):
            return message
        traits = self._traits_of(message)
        if not traits.is_async:
            return await aside(self.run, delivery, child)
        if message.suspect >= ISOLATE_FROM and not await aside(child.isolate):
            return Outcome(delivery.tag, Kind.GIVE_BACK)
        ended = self._sentence(delivery, message, child)
        limits = self._limits_of(message, traits)
        has_place = False
        if gate.has_gate(message, limits, ended):
            may_go, ended, has_place = await aside(self._pass, delivery, message, limits, ended, child)
            if not may_go:
                return None
        begins = ended is None and not traits.acks_late
        if ended is None:
            incoming: Incoming | None = None
            if "w" in message.headers:
                given = await aside(advances.incoming, self._app, message, self._hostname)
                if isinstance(given, Execution):
                    return await aside(self._report, delivery, given, child, has_place)
                incoming = given
            if begins and not await aside(child.begin, delivery):
                return None
            ended = await self._execute_async(delivery, message, child, traits, begin(), incoming)
        elif self._has_mourners(message, ended, child, delivery):
            await aside(self._mourn, delivery, ended, traits, child)
        if ended.kind is Kind.DEAD or "w" in message.headers or ended.state == states.IGNORED:
            return await aside(self._report, delivery, ended, child, has_place, begun=begins)
        return self._report(delivery, ended, child, has_place, begun=begins)

    # Before it runs

    def _read(self, delivery: Delivery) -> Message | Outcome:
        try:
            return messages.decode(delivery.payload)
        except DecodeError as error:
            log.error("message.unreadable", extra={"queue": delivery.queue, "error": str(error)})
            self.counted("", DEAD, 0.0)
            return Outcome(delivery.tag, Kind.DEAD, reason={"reason": "Unreadable", "message": str(error)})

    def _sentence(self, delivery: Delivery, message: Message, child: Child) -> Execution | None:
        """Return the end of a message that is not to run, None if it may."""
        bound = child.max_deliveries(delivery.queue)
        if message.flags & ENDED:
            limit = self._time_limit(delivery.queue, self._traits_of(message))
            return lateends.end_of(self._app, message, limit, hostname=self._hostname)
        if message.lost and message.lost >= bound:
            why = lost_too_often(message.lost, bound)
            return verdict.dead(self._app, message, why, "MaxDeliveries", hostname=self._hostname)
        headers = message.headers
        if (
            headers["id"] in self.revoked
            or ("w" in headers and advances.is_revoked(message, self.revoked))
            or ("stamps" in headers and is_stamped(headers, self.revoked))
        ):
            return verdict.revoked(self._app, message, "revoked", hostname=self._hostname)
        return None

    def _pass(
        self, delivery: Delivery, message: Message, limits: Limits | None, ended: Execution | None, child: Child
    ) -> tuple[bool, Execution | None, bool]:
        """Ask at the gate; return whether this child goes on with it, how it has ended if it has, and whether it has a place."""
        try:
            admission, has_place = gate.ask(message, limits, delivery, child)
        except Exception as error:
            trace = failure.traceback_of(error)
            ended = verdict.failed(self._app, message, error, hostname=self._hostname, trace=trace)
            return True, ended, False
        if admission is Admission.REPLACED:
            ended = verdict.revoked(self._app, message, "replaced", hostname=self._hostname)
            return True, ended, has_place
        return admission is Admission.GO, ended, has_place

    def _has_mourners(self, message: Message, ended: Execution, child: Child, delivery: Delivery) -> bool:
        """Whether the task has handlers that hear of its end though its code did not run now: it was killed, or died too often."""
        told = bool(message.flags & ENDED) or ended.kind is Kind.DEAD
        return told and lateends.has_handlers(self._app, message, child.max_deliveries(delivery.queue))

    def _mourn(self, delivery: Delivery, ended: Execution, traits: Traits, child: Child) -> None:
        """Call these handlers, under the eye of the supervisor: they are the user's code."""
        child.mark(delivery, self._time_limit(delivery.queue, traits) or lateends.HANDLERS_LIMIT)
        lateends.call_handlers(self._app, ended, self._hostname, delivery.queue)

    def _limits_of(self, message: Message, traits: Traits) -> Limits | None:
        """Return the limits of the message's task, with the rate that the worker was told to keep."""
        standing = self.standing
        if standing is None or not standing.rates:
            return traits.limits
        name = message.headers["task"]
        rate, task = standing.rates.get(name), self._app.tasks.get(name)
        if rate is None or task is None:
            return traits.limits
        known = self._told_rates.get(name)
        if known is None or known[0] != rate:
            known = self._told_rates[name] = (rate, limits_of(task, rate))
        return known[1]

    # The run

    def _execute(
        self, delivery: Delivery, message: Message, child: Child, traits: Traits, incoming: Incoming | None
    ) -> Execution:
        """Run the task, marked for the supervisor and under its limits."""
        ended = run(
            self._app,
            message,
            now=child.now(),
            hostname=self._hostname,
            queue=delivery.queue,
            on_started=self._started(delivery, message, child, traits),
            on_ended=child.limit.disarm,
            incoming=incoming,
        )
        if forks.forked:
            os._exit(0)  # the task forked and came back in both processes: this one is not the worker's
        return ended

    async def _execute_async(
        self,
        delivery: Delivery,
        message: Message,
        child: Child,
        traits: Traits,
        steered: Steered,
        incoming: Incoming | None,
    ) -> Execution:
        ended = await run_async(
            self._app,
            message,
            now=child.now(),
            hostname=self._hostname,
            queue=delivery.queue,
            on_started=self._started(delivery, message, child, traits),
            on_ended=child.limit.disarm,
            steered=steered,
            incoming=incoming,
        )
        if forks.forked:
            os._exit(0)
        return ended

    def _started(self, delivery: Delivery, message: Message, child: Child, traits: Traits) -> Callable[[Request], None]:
        def started(request: Request) -> None:
            given = message.headers.get("timelimit") or (None, None)
            hard, soft = given[0] or traits.time_limit, given[1] or traits.soft_time_limit
            if self.defaults:
                hard = hard or self._time_limit(delivery.queue, traits)
                self._give_retries(delivery.queue, traits, request)
            if self.standing is not None and message.headers["task"] in self.standing.limits:
                soft, hard = self.standing.limits[message.headers["task"]]
            child.mark(delivery, hard, traits.exclusive)
            if traits.track_started:
                meta = {"pid": os.getpid(), "hostname": self._hostname}
                record = Record(states.STARTED, orjson.dumps(meta), message.attempt, wall_ms())
                child.store(message.headers["id"], record, self._ttl_of(delivery.queue))
            if self.reporter is not None:
                self.reporter.started(request)
            child.limit.arm(soft)

        return started

    # What the queue gives to tasks without options of their own

    def _time_limit(self, queue: str, traits: Traits) -> float | None:
        given = self.defaults.get(queue)
        return traits.time_limit if traits.time_limit or given is None else given.time_limit

    def _give_retries(self, queue: str, traits: Traits, request: Request) -> None:
        given = self.defaults.get(queue)
        if given is not None and given.max_retries is not None and not traits.sets_retries:
            request.limit_retries(given.max_retries)

    def _ttl_of(self, queue: str) -> float:
        if not self.defaults or self._sets_ttl:
            return self._ttl
        given = self.defaults.get(queue)
        return self._ttl if given is None else given.result_ttl or self._ttl

    # After it ran

    def _report(
        self, delivery: Delivery, ended: Execution, child: Child, has_place: bool, *, begun: bool = False
    ) -> Outcome:
        """Log how a delivery ended, and return that for the broker.

        Args:
            begun: its message was marked before it ran (``acks_late=False``): as it is, it must not go back.
        """
        if ended.kind is Kind.DEAD:
            told = lastrites.prepare(self._app, delivery, ended, now=child.now())
            ended = (
                told if told.kind is not Kind.GIVE_BACK or not begun else ended
            )  # else a dead letter without its story
        if "w" in ended.message.headers or ended.state == states.IGNORED:
            ended = advances.advance(self._app, ended, self._ttl_of(delivery.queue), begun=begun)
        if isinstance(ended.exception, SystemExit):
            asked = leaving_of(ended.exception)
            if asked is not None:
                child.leave(asked)
        self._tell(ended)
        if self.reporter is not None:
            self.reporter.ended(ended, delivery.queue)
        if begun and ended.kind is Kind.GIVE_BACK:  # the task asked for another run: one that has not begun
            ended = replace(ended, kind=Kind.RETRY, retry=replace(ended.message, nonce=new_nonce()))
        outcome = ended.outcome(delivery.tag, self._ttl_of(delivery.queue))
        outcome.place = has_place
        return outcome

    def _traits_of(self, message: Message) -> Traits:
        """Return the options of the message's task, where the app's settings are filled in."""
        traits = self._traits.get(message.headers["task"])
        if traits is None:
            task = self._app.tasks.get(message.headers["task"])
            if task is None:
                return _UNKNOWN
            traits = self._traits[task.name] = traits_of(self._app, task)
        return traits

    def _tell(self, ended: Execution) -> None:
        """Count the end, and tell of it."""
        if ended.state != states.SUCCESS and (ended.state == states.REVOKED or ended.kind is Kind.DEAD):
            telling.signal_unrun(self._app, self, ended)
        if ended.kind is not Kind.GIVE_BACK or ended.state == states.REJECTED:
            self.counted(ended.message.headers["task"], DEAD if ended.kind is Kind.DEAD else ended.state, ended.runtime)
        telling.write(ended)


def lost_too_often(lost: int, bound: int) -> WorkerLostError:
    """Return the error of a message whose processes died too often."""
    return WorkerLostError(
        f"the process that ran this task died {lost} times (max_deliveries is {bound}): look at the worker's logs for a "
        "crash or for running out of memory"
    )
