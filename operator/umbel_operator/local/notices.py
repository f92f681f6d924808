"""Choose which conditions people should see: what is not ready, once it is more than a moment of every start."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from umbel_operator.api.base import Resource
from umbel_operator.api.conditions import Condition, Reason
from umbel_operator.local.controller import conditions_of
from umbel_operator.local.naming import shown_name

#: Reasons that every start passes through, and the seconds after which they are worth a line.
_PASSING: Final = frozenset(
    {
        Reason.BROKER_NOT_READY,
        Reason.BEAT_NOT_READY,
        Reason.CONFIG_PENDING,
        Reason.MINIMUM_REPLICAS_UNAVAILABLE,
        Reason.NO_LEADER,
        Reason.PENDING,
        Reason.STATUS_STALE,
    }
)
PATIENCE: Final = 5.0
#: Reasons for which the user asked.
_WISHED: Final = frozenset({Reason.SUSPENDED, Reason.SCALED_TO_ZERO})


@dataclass(frozen=True, slots=True)
class Notice:
    """A condition that does not hold."""

    kind: str
    namespace: str
    name: str
    type: str
    reason: str
    message: str

    @property
    def is_trouble(self) -> bool:
        """Tell whether it is more than what the user asked for, or a field that is not acted on."""
        return self.type == Condition.READY and self.reason not in _WISHED

    def __str__(self) -> str:
        return f"{self.kind} {shown_name(self.namespace, self.name)}: {self.reason}: {self.message}"


class Notices:
    """Remembers since when each condition does not hold.

    clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._since: dict[tuple[str, str, str, str, str], float] = {}
        self._told: set[Notice] = set()
        self._told_ready: set[tuple[str, str, str]] = set()

    def look(self, resources: Iterable[Resource]) -> tuple[list[Notice], list[str]]:
        """Return the notices that hold now, and lines about those that are new or over."""
        now, since = self._clock(), {}
        held, ready = [], set()
        for resource in resources:
            for notice in failing(resource):
                key = (notice.kind, notice.namespace, notice.name, notice.type, notice.reason)
                since[key] = self._since.get(key, now)
                if notice.reason not in _PASSING or now - since[key] >= PATIENCE:
                    held.append(notice)
            whole = conditions_of(resource).get(Condition.READY)
            if whole is not None and whole.status == "True":
                ready.add((resource.kind_name(), resource.namespace, resource.name))
        lines = [f"not ready: {notice}" for notice in held if notice not in self._told]
        lines += [
            f"{kind} {shown_name(namespace, name)} is ready"
            for kind, namespace, name in sorted(ready - self._told_ready)
        ]
        # A lapse of which nothing was said, since it was short, has no end to be told either.
        lapsed = {(notice.kind, notice.namespace, notice.name) for notice in held if notice.is_trouble}
        self._told_ready = (self._told_ready | ready) - lapsed
        self._since, self._told = since, set(held)
        return held, lines


def failing(resource: Resource) -> list[Notice]:
    """Return what is not as it should be with a resource: it is not ready, or a field is not acted on."""
    found = conditions_of(resource)
    wanted = (found.get(Condition.READY), found.get(Condition.ACCEPTED))
    return [
        Notice(resource.kind_name(), resource.namespace, resource.name, c.type, c.reason, c.message)
        for c in wanted
        if c is not None and c.status != "True"
    ]
