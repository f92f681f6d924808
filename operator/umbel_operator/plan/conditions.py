"""Collect the conditions of a resource, and the events that tell of their changes."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from umbel_operator.api import base
from umbel_operator.api.conditions import CONDITIONS, Condition, Reason
from umbel_operator.plan.model import Event

_MAX_MESSAGE = 4096

#: Reasons of which a Warning event tells too, under its own name.
_TOLD = frozenset(
    {
        Reason.NOT_YET_SUPPORTED,
        Reason.UNREADABLE,
        Reason.NAME_CONFLICT,
        Reason.RESOURCE_CONFLICT,
        Reason.TEMPLATE_INVALID,
        Reason.BROKER_NOT_FOUND,
        Reason.QUEUE_NOT_FOUND,
        Reason.QUEUE_OTHER_BROKER,
        Reason.QUOTA_EXCEEDED,
        Reason.IMAGE_PULL_FAILING,
        Reason.PROGRESS_DEADLINE_EXCEEDED,
        Reason.INVALID_SCHEDULE,
        Reason.UNKNOWN_TIME_ZONE,
        Reason.PAYLOAD_TOO_LARGE,
        Reason.LOAD_FAILED,
        Reason.IN_USE,
    }
)
#: Conditions and reasons whose event has a name of its own.
_RENAMED = {
    (Condition.REACHABLE, Reason.CONNECTION_REFUSED): "BrokerUnreachable",
    (Condition.REACHABLE, Reason.AUTH_FAILED): "BrokerUnreachable",
    (Condition.REACHABLE, Reason.TLS_FAILED): "BrokerUnreachable",
    (Condition.STOPPED, Reason.STOP_REACHED): "ScheduleStopped",
}


class Conditions:
    """The conditions that one planning finds, each written once."""

    def __init__(self, kind: str, generation: int, previous: Iterable[base.Condition], now: datetime) -> None:
        self._table = CONDITIONS[kind]
        self._generation = generation
        self._previous = {condition.type: condition for condition in previous}
        self._now = now.replace(microsecond=0)
        self._found: dict[Condition, base.Condition] = {}

    def set(self, type: Condition, reason: Reason, message: str) -> None:
        """Write a condition; its status follows from the reason."""
        meaning = self._table[type][reason]
        old = self._previous.get(type)
        since = old.last_transition_time if old is not None and old.status == meaning.status else self._now
        self._found[type] = base.Condition(
            type=type.value,
            status=meaning.status,
            observed_generation=self._generation,
            last_transition_time=since,
            reason=reason.value,
            message=message[:_MAX_MESSAGE],
        )

    def get(self, type: Condition) -> base.Condition:
        """Return a condition that was written."""
        return self._found[type]

    def previous(self, type: Condition) -> base.Condition | None:
        """Return a condition as it was before."""
        return self._previous.get(type)

    def to_json(self) -> list[dict[str, Any]]:
        """Return the whole list, in the order of the documentation."""
        return [self._found[type].to_json() for type in self._table if type in self._found]

    def events(self) -> tuple[Event, ...]:
        """Return an event for each condition that has newly got a reason which users must hear of, or a new message."""
        events: dict[tuple[str, str], Event] = {}
        for type, condition in self._found.items():
            old = self._previous.get(type)
            if old is not None and (old.reason, old.message) == (condition.reason, condition.message):
                continue
            reason = Reason(condition.reason)
            name = _RENAMED.get((type, reason), reason.value if reason in _TOLD else None)
            if name is not None and (name, condition.message) not in events:
                kind = "Normal" if reason is Reason.STOP_REACHED else "Warning"
                events[name, condition.message] = Event(kind, name, condition.message)  # type: ignore[arg-type]
        return tuple(events.values())
