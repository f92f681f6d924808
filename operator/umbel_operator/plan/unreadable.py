"""Plan an object that this release cannot read: say so, and leave alone what was built for it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from pydantic import ValidationError

from umbel_operator.api import base
from umbel_operator.api.conditions import Condition, Reason
from umbel_operator.api.parse import Unreadable
from umbel_operator.plan.conditions import Conditions
from umbel_operator.plan.model import Plan


def plan_unreadable(found: Unreadable, now: datetime) -> Plan:
    """Return the plan; the rest of the status stays as it is, since nothing new is known."""
    if found.metadata.deletion_timestamp is not None:
        return Plan()
    conditions = Conditions(found.kind, found.metadata.generation, _previous(found), now)
    text = f"this release cannot read the object: {found.problem}"
    conditions.set(Condition.ACCEPTED, Reason.UNREADABLE, text)
    conditions.set(Condition.READY, Reason.UNREADABLE, text)
    kept = {key: value for key, value in found.status.items() if key != "conditions"}
    status = {**kept, "observedGeneration": found.metadata.generation, "conditions": conditions.to_json()}
    return Plan(status=status, events=conditions.events())


def _previous(found: Unreadable) -> Iterator[base.Condition]:
    for entry in found.status.get("conditions") or ():
        try:
            yield base.Condition.model_validate(entry)
        except ValidationError:
            # A condition that cannot be read counts as never written; it is written anew.
            continue
