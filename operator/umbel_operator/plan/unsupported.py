"""Write the condition Accepted: every field is acted on, or which are not and what happens instead."""

from __future__ import annotations

from umbel_operator.api.broker import Broker
from umbel_operator.api.conditions import Condition, Reason
from umbel_operator.api.gaps import GAPS
from umbel_operator.api.schedule import Schedule
from umbel_operator.api.taskqueue import TaskQueue
from umbel_operator.api.workerpool import WorkerPool
from umbel_operator.plan.conditions import Conditions


def set_accepted(conditions: Conditions, resource: Broker | TaskQueue | WorkerPool | Schedule) -> None:
    """Write the condition of a resource."""
    gaps = [gap for gap in GAPS[resource.kind_name()] if gap.used(resource.spec)]
    if gaps:
        conditions.set(Condition.ACCEPTED, Reason.NOT_YET_SUPPORTED, "; ".join(str(gap) for gap in gaps))
    else:
        conditions.set(Condition.ACCEPTED, Reason.ACCEPTED, "every field is acted on")
