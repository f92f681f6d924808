"""States of WorkerPools, for the tests of their planner."""

from __future__ import annotations

from typing import Any

from tests.operator.resources import (
    broker,
    live_deployment,
    pool,
    queue,
    ready_broker,
    state,
)

from umbel_operator.api.workerpool import WorkerPool
from umbel_operator.build.deployment import build_worker_deployment
from umbel_operator.plan.model import Failure, Ref, State

DEPLOYMENT = Ref("apps/v1", "Deployment", "shop", "mailers-worker")
IMAGE = {"reason": "ImagePullBackOff", "message": "Back-off pulling image"}


def built(made: WorkerPool) -> dict[str, Any]:
    return build_worker_deployment(made, broker(), [("mail", 1)])


def working(
    made: WorkerPool | None = None, *others: Any, live: dict[str, Any] | None = None, **more: Any
) -> State[Any]:
    """Return the state of a pool whose Deployment is rolled out, unless `live` changes it."""
    made = made or pool()
    deployment = live_deployment(built(made), **(live or {}))
    return state(made, ready_broker(), queue(), *others, children=[deployment], **more)


def failed(reason: Any, generation: int = 1) -> tuple[Failure, ...]:
    return (Failure(DEPLOYMENT, reason, "the API server said so", generation),)
