"""Choose the planner of a resource."""

from __future__ import annotations

from typing import Any, cast

from umbel_operator.api.broker import Broker
from umbel_operator.api.schedule import Schedule
from umbel_operator.api.taskqueue import TaskQueue
from umbel_operator.api.workerpool import WorkerPool
from umbel_operator.plan.broker import plan_broker
from umbel_operator.plan.model import Plan, State
from umbel_operator.plan.pool import plan_pool
from umbel_operator.plan.queue import plan_queue
from umbel_operator.plan.schedule import plan_schedule


def make_plan(state: State[Any]) -> Plan:
    """Plan any of the four kinds."""
    match state.resource:
        case Broker():
            return plan_broker(cast("State[Broker]", state))
        case TaskQueue():
            return plan_queue(cast("State[TaskQueue]", state))
        case WorkerPool():
            return plan_pool(cast("State[WorkerPool]", state))
        case Schedule():
            return plan_schedule(cast("State[Schedule]", state))
        case other:
            raise TypeError(f"no planner for {type(other).__name__}")
