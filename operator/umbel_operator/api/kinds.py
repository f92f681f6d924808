"""List the kinds, in the order in which a reader meets them."""

from __future__ import annotations

from typing import Final

from umbel_operator.api.base import Resource
from umbel_operator.api.broker import Broker
from umbel_operator.api.schedule import Schedule
from umbel_operator.api.taskqueue import TaskQueue
from umbel_operator.api.workerpool import WorkerPool

AnyKind = Broker | TaskQueue | WorkerPool | Schedule

KINDS: Final[tuple[type[Broker] | type[TaskQueue] | type[WorkerPool] | type[Schedule], ...]] = (
    Broker,
    TaskQueue,
    WorkerPool,
    Schedule,
)
BY_NAME: Final = {kind.kind_name(): kind for kind in KINDS}
BY_PLURAL: Final = {kind.plural: kind for kind in KINDS}


def plural_of(kind: str) -> str:
    """Return the resource name of one of our kinds, e.g. `brokers`."""
    found: type[Resource] = BY_NAME[kind]
    return found.plural
