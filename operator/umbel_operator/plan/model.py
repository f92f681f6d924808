"""What a planner takes and gives.

The caller observes, plans, executes and plans again where execution taught it something::

    state = State(resource=..., view=..., now=...)
    plan = plan_of(state)
    failures = await execute(plan.actions)
    if failures != state.failures:
        plan = plan_of(replace(state, failures=failures))   # same actions; status and events now tell of the failures
    await write(merge_patch(live_status, plan.status))

Everything here is immutable, and nothing here reads a clock: `now` is handed in.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, Literal, TypeVar

from umbel_operator.api.base import Resource
from umbel_operator.api.broker import Broker
from umbel_operator.api.schedule import Schedule
from umbel_operator.api.taskqueue import TaskQueue
from umbel_operator.api.workerpool import WorkerPool
from umbel_operator.build.config import RenderedConfig
from umbel_operator.build.entries import Rendered
from umbel_operator.build.queues import winners
from umbel_operator.build.settings import Settings
from umbel_operator.plan.sample import Sample
from umbel_operator.plan.scaling import Memory

Manifest = Mapping[str, Any]
R = TypeVar("R", bound=Resource)


@dataclass(frozen=True, slots=True, order=True)
class Ref:
    """The address of an object."""

    api_version: str
    kind: str
    namespace: str
    name: str

    @classmethod
    def of(cls, manifest: Manifest) -> Ref:
        """Return the address of a manifest."""
        metadata = manifest["metadata"]
        return cls(manifest["apiVersion"], manifest["kind"], metadata["namespace"], metadata["name"])


@dataclass(frozen=True, slots=True)
class Event:
    """Something to tell the user beside the resource; aggregated by the recorder on (object, reason, message)."""

    type: Literal["Normal", "Warning"]
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Apply:
    """Server-side apply a child; where that changes anything, record `event` on the resource."""

    manifest: Manifest
    event: Event | None = None

    @property
    def ref(self) -> Ref:
        """Return the address of the child."""
        return Ref.of(self.manifest)


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete a child, in the background, and only this incarnation of it."""

    ref: Ref
    uid: str


@dataclass(frozen=True, slots=True)
class Patch:
    """Merge-patch an object. A `resourceVersion` in the body's metadata makes the API server refuse a stale patch.

    An object that is gone (404) is no failure; a conflict (409) is: the newer object is planned again.
    """

    ref: Ref
    body: Mapping[str, Any]
    subresource: str | None = None
    #: Recorded on the resource that was planned once the patch is written.
    event: Event | None = None


Action = Apply | Delete | Patch


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do now, in this order; an action that fails does not stop those after it."""

    actions: tuple[Action, ...] = ()
    #: The whole status as it should be; None writes nothing. `merge_patch` makes the patch.
    status: Mapping[str, Any] | None = None
    #: Events beside those of the actions: each tells of a change of a condition, so none is repeated.
    events: tuple[Event, ...] = ()
    #: Look again after so many seconds at the latest, even if nothing is reported; None: at the next resync.
    requeue_after: float | None = None
    #: What the built-in scaler is to remember of a WorkerPool; None: nothing.
    scaling: Memory | None = None


FailureReason = Literal["ResourceConflict", "TemplateInvalid", "QuotaExceeded", "Forbidden", "Unavailable"]


@dataclass(frozen=True, slots=True)
class Failure:
    """An action of the last execution that did not succeed.

    `ResourceConflict`: an object of that name exists and is not ours. `TemplateInvalid`: the API server refuses the
    manifest for good (a 4xx, or the 500 "field not declared in schema"); keep it until the generation or the manifest
    changes, the planner leaves the apply out meanwhile. `QuotaExceeded`: refused by a quota. `Forbidden`: the operator lacks a
    right. `Unavailable`: anything that a later try may cure.
    """

    ref: Ref
    reason: FailureReason
    message: str
    #: Generation of the resource for which the action was planned.
    generation: int = 0
    #: `short_hash` of the manifest that was refused: other resources have a part in it. None stands for any.
    manifest_hash: str | None = None


@dataclass(frozen=True, slots=True)
class View:
    """The parsed resources of one namespace, by name, as the cache holds them; unreadable ones are left out."""

    brokers: Mapping[str, Broker] = field(default_factory=dict)
    queues: Mapping[str, TaskQueue] = field(default_factory=dict)
    pools: Mapping[str, WorkerPool] = field(default_factory=dict)
    schedules: Mapping[str, Schedule] = field(default_factory=dict)
    #: Whether the namespace is being deleted: every finalizer is released then.
    terminating: bool = False
    #: Who serves whom, by names: whoever holds the resources empties it when one comes, goes or is edited. With thousands of
    #: resources nobody may look through all of them for each of them.
    index: dict[str, dict[tuple[str, str], list[str]]] = field(default_factory=dict, compare=False, repr=False)

    def owner_of(self, broker: str, effective_name: str) -> TaskQueue | None:
        """Return the TaskQueue that has an effective name in a Broker."""
        if "owners" not in self.index:
            found = self.index["owners"] = {}
            for name in {queue.spec.broker_ref.name for queue in self.queues.values()}:
                found.update({(name, key): [won.name] for key, won in winners(self.queues.values(), name).items()})
        return next(
            (
                self.queues[name]
                for name in self.index["owners"].get((broker, effective_name), ())
                if name in self.queues
            ),
            None,
        )

    def pools_of(self, queue: TaskQueue) -> list[WorkerPool]:
        """Return the WorkerPools of a TaskQueue's Broker that serve it."""
        if "pools" not in self.index:
            found = self.index["pools"] = {}
            for pool in self.pools.values():
                for served in {share.name for share in pool.spec.queues}:
                    found.setdefault((pool.spec.broker_ref.name, served), []).append(pool.name)
        return [
            self.pools[name]
            for name in self.index["pools"].get((queue.spec.broker_ref.name, queue.name), ())
            if name in self.pools
        ]

    def schedules_of(self, queue: str) -> list[Schedule]:
        """Return the Schedules that send to the TaskQueue of a name."""
        if "schedules" not in self.index:
            found = self.index["schedules"] = {}
            for schedule in self.schedules.values():
                found.setdefault(("", schedule.spec.queue_ref.name), []).append(schedule.name)
        return [self.schedules[name] for name in self.index["schedules"].get(("", queue), ()) if name in self.schedules]


@dataclass(frozen=True, slots=True, kw_only=True)
class State(Generic[R]):
    """All that a planner may look at."""

    resource: R
    view: View
    now: datetime
    settings: Settings
    #: Live objects whose controller is this resource (by uid), for a Broker and a WorkerPool.
    children: Mapping[Ref, Manifest] = field(default_factory=dict)
    #: Live pods of the resource: beat's for a Broker, the workers for a WorkerPool.
    pods: tuple[Manifest, ...] = ()
    #: The last answer of the Broker's beat; for a Broker its own, else that of the Broker which is referred to.
    sample: Sample | None = None
    #: What the Broker's live ConfigMaps hold (build.config.read_config), for a TaskQueue and a Schedule.
    rendered: RenderedConfig | None = None
    #: What the last rendering of a Broker's configuration left; it saves work and changes nothing that is planned.
    entries: Rendered = field(default_factory=Rendered)
    #: Brokers of all namespaces that the operator sees, for a Broker.
    all_brokers: tuple[Broker, ...] = ()
    #: What the last execution could not do; those of an older generation are ignored.
    failures: tuple[Failure, ...] = ()
    #: What the built-in scaler remembered after the last plan, for a WorkerPool.
    scaling: Memory | None = None
