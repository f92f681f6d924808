"""A broker whose tasks' results are kept elsewhere: each is stored there first, and only then is its message acknowledged.

Who dies in between leaves the message with its owner, so the task runs again, and its result is written again. Where the backend
is away nothing is acknowledged and nothing fetched: the worker tries again until it is back.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, cast

from umbel import failure, states
from umbel import message as messages
from umbel import record as records
from umbel.broker.base import (
    Batch,
    Broker,
    ConnectionLost,
    Consumer,
    DeadLetter,
    Liveness,
    Outcome,
    OwnerInfo,
)
from umbel.errors import BackendError, DecodeError, OperationalError
from umbel.record import Record
from umbel.results.base import End, Results

log = logging.getLogger("umbel.results")

GetResults = Callable[[], Results]


def store_elsewhere(broker: Broker, results: GetResults) -> Broker:
    """Return a broker that keeps its tasks' records in a result backend of their own."""
    return cast(Broker, _Broker(broker, results))


class _Wrapped:
    """Passes on what is not about records."""

    def __init__(self, inner: Any, results: GetResults) -> None:
        self._inner = inner
        self._results = results

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class _Broker(_Wrapped):
    def consumer(self, owner: OwnerInfo) -> Consumer:
        return cast(Consumer, _Consumer(self._inner.consumer(owner), self._results))

    def liveness(self) -> Liveness:
        return cast(Liveness, _Liveness(self._inner.liveness(), self._results))

    @property
    def workflows(self) -> Any:
        """The store of workflows; the ends of tasks that did not run go to the result backend."""
        return _Workflows(self._inner.workflows, self._results)

    @property
    def own_queues(self) -> Any:
        """What queues of single workers need; the ends of tasks that did not run go to the result backend."""
        return _OwnQueues(self._inner.own_queues, self._results)

    def settle_dropped(self, queue: str, outcomes: Sequence[Outcome]) -> None:
        """See the port."""
        self._inner.settle_dropped(queue, store_ends(self._results(), outcomes))

    def retry_dead(self, queue: str, letters: Sequence[DeadLetter]) -> int:
        """See the port. The records go first: who waits from now on waits for the new end."""
        for letter in letters:
            try:
                task_id = messages.decode(letter.payload).headers["id"]
            except DecodeError:
                continue
            self._results().forget(task_id)
        return int(self._inner.retry_dead(queue, letters))


class _Consumer(_Wrapped):
    def cycle(self, queue: str, outcomes: Sequence[Outcome], want: int) -> Batch:
        """See the port."""
        with _AsLost():
            outcomes = store_ends(self._results(), outcomes)
        return cast(Batch, self._inner.cycle(queue, outcomes, want))

    def store(self, task_id: str, record: Record, ttl: float, reply_to: str | None = None) -> bool:
        """See the port."""
        with _AsLost():
            return self._results().store(task_id, record, ttl)


class _Liveness(_Wrapped):
    def store(self, task_id: str, record: Record, ttl: float, reply_to: str | None = None) -> bool:
        """See the port."""
        with _AsLost():
            return self._results().store(task_id, record, ttl)

    def settle(self, owner: str, queue: str, outcome: Outcome) -> bool:
        """See the port."""
        if outcome.record is not None:
            if outcome.tag not in self._inner.held(owner).get(queue, {}):
                return False
            with _AsLost():
                self._results().store(outcome.task_id, records.decode(outcome.record), outcome.ttl)
        return bool(self._inner.settle(owner, queue, replace(outcome, record=None, reply_to=None)))


class _Workflows(_Wrapped):
    def tell(self, task_id: str, record: bytes, ttl: float, reply_to: str | None) -> bool:
        """See the port."""
        return self._results().store(task_id, records.decode(record), ttl)


class _OwnQueues(_Wrapped):
    def settle(self, queue: str, outcomes: Sequence[Outcome]) -> None:
        """See the port."""
        self._inner.settle(queue, store_ends(self._results(), outcomes))


#: Seconds between two lines of a log that say that the backend is away: a worker tries again a few times a second.
SAY_EVERY = 10.0
_said = float("-inf")


class _AsLost:
    """A backend that is away is to a worker what a broker is that is away: it looks up where it stands, and tries again."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: Any, error: BaseException | None, trace: object) -> None:
        if isinstance(error, OperationalError):
            _say_away(error)
            raise ConnectionLost(f"the result backend: {error}") from error


def _say_away(error: OperationalError) -> None:
    global _said
    now = time.monotonic()
    if now - _said >= SAY_EVERY:
        _said = now
        log.warning("results.away", extra={"error": str(error)})


def store_ends(results: Results, outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Store the records of outcomes, and return the outcomes without them.

    Raises:
        OperationalError: the backend is away; some may be stored. It may be called again.
    """
    ends = [
        End(outcome.task_id, records.decode(outcome.record), outcome.ttl, outcome.reply_to)
        for outcome in outcomes
        if outcome.record is not None
    ]
    if ends:
        try:
            results.store_ends(ends)
        except BackendError:
            for end in ends:  # one of them is not to be stored, as it is: find out which
                _store_alone(results, end)
    return [outcome if outcome.record is None else replace(outcome, record=None, reply_to=None) for outcome in outcomes]


def _store_alone(results: Results, end: End) -> None:
    """Store one end; where the backend refuses it, a failure that says so, since a message must not wait for ever."""
    try:
        results.store_ends([end])
    except BackendError as error:
        log.error("results.refused", extra={"task_id": end.task_id, "error": str(error)})
        told = BackendError(
            f"the task ended with {end.record.state}, and the result backend did not take its result: {error}"
        )
        record = Record(states.FAILURE, failure.encode(told), end.record.attempt, int(time.time() * 1000))
        try:
            results.store_ends([end._replace(record=record)])
        except BackendError as again:
            log.error("results.lost", extra={"task_id": end.task_id, "error": str(again)})
