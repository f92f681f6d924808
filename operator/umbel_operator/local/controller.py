"""Do the operator's work in memory: look at every resource, plan, carry the plan out, until nothing changes any more."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from umbel_operator.api.base import Condition, Resource
from umbel_operator.api.broker import Broker
from umbel_operator.api.kinds import BY_NAME, KINDS
from umbel_operator.api.names import LABEL_BROKER, LABEL_COMPONENT, LABEL_POOL
from umbel_operator.api.parse import Unreadable, parse
from umbel_operator.api.schedule import Schedule
from umbel_operator.api.taskqueue import TaskQueue
from umbel_operator.api.workerpool import WorkerPool
from umbel_operator.build.config import RenderedConfig, read_config
from umbel_operator.build.settings import Settings
from umbel_operator.local.store import Store
from umbel_operator.plan.model import Apply, Delete, Event, Manifest, Patch, Plan, Ref, State, View
from umbel_operator.plan.planner import make_plan
from umbel_operator.plan.sample import Sample
from umbel_operator.plan.scaling import Memory
from umbel_operator.plan.unreadable import plan_unreadable

#: Rounds after which a pass ends even if the last one still changed something; the next pass goes on.
ROUNDS: Final = 8
#: Images are not used here; the builders want one all the same.
SETTINGS: Final = Settings(beat_image="umbel")


@dataclass(frozen=True, slots=True)
class Told:
    """An event about a resource."""

    kind: str
    namespace: str
    name: str
    event: Event


class Controller:
    """See the module.

    sample: what beat said last, by namespace and Broker.
    """

    def __init__(
        self,
        store: Store,
        sample: Callable[[str, str], Sample | None],
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store = store
        self._sample = sample
        self._now = now
        self._parsed: dict[Ref, tuple[str, Resource | Unreadable]] = {}
        self._views: dict[str, tuple[int, View]] = {}
        self._rendered: dict[str, tuple[tuple[str, ...], RenderedConfig]] = {}
        self._scaling: dict[Ref, Memory | None] = {}

    def adopt(self, wanted: Iterable[Manifest]) -> None:
        """Make the resources, and the ConfigMaps and Secrets of the user, those that are wanted: create, change, delete.

        One that is still on its way out is created anew once it is gone: call this again after `reconcile`.
        """
        by_ref = {Ref.of(body): body for body in wanted}
        for ref in (*self._refs(), *self._users_data()):
            if ref not in by_ref:
                self._store.delete(ref)
        for ref, body in by_ref.items():
            live = self._store.get(ref)
            if live is None or not live["metadata"].get("deletionTimestamp"):
                self._store.apply(body if live is None else _with_scaled_replicas(body, live))

    def reconcile(self) -> list[Told]:
        """Plan all resources until nothing changes; return what there is to tell."""
        told: list[Told] = []
        for _ in range(ROUNDS):
            before = self._store.version
            for ref in self._refs():
                told.extend(self._reconcile(ref))
            if self._store.version == before:
                break
        return told

    def resources(self) -> list[Resource]:
        """Return all resources as typed models, in the order of the kinds and names."""
        found = (self._parse(ref) for ref in self._refs())
        return [resource for resource in found if isinstance(resource, Resource)]

    def _users_data(self) -> list[Ref]:
        found = (body for kind in ("ConfigMap", "Secret") for body in self._store.all(kind))
        return [Ref.of(body) for body in found if not body["metadata"].get("ownerReferences")]

    def _refs(self) -> list[Ref]:
        found = (Ref.of(body) for kind in KINDS for body in self._store.all(kind.kind_name()))
        order = {kind.kind_name(): position for position, kind in enumerate(KINDS)}
        return sorted(found, key=lambda ref: (order[ref.kind], ref.namespace, ref.name))

    def _reconcile(self, ref: Ref) -> list[Told]:
        resource = self._parse(ref)
        if resource is None:
            return []
        if isinstance(resource, Unreadable):
            plan = plan_unreadable(resource, self._now())
        else:
            plan = make_plan(self._state(ref, resource))
            self._scaling[ref] = plan.scaling
        events = [*self._perform(plan), *plan.events]
        if plan.status is not None:
            self._store.set_status(ref, plan.status)
        return [Told(ref.kind, ref.namespace, ref.name, event) for event in events]

    def _perform(self, plan: Plan) -> list[Event]:
        events = []
        for action in plan.actions:
            match action:
                case Apply():
                    if self._store.apply(action.manifest) and action.event is not None:
                        events.append(action.event)
                case Delete():
                    self._store.delete(action.ref, action.uid)
                case Patch():
                    if self._store.patch(action.ref, action.body) and action.event is not None:
                        events.append(action.event)
        return events

    def _state(self, ref: Ref, resource: Resource) -> State[Resource]:
        broker = self._broker_of(ref.namespace, resource)
        owns = isinstance(resource, Broker | WorkerPool)
        return State(
            resource=resource,
            view=self._view(ref.namespace),
            now=self._now(),
            settings=SETTINGS,
            children=self._store.children(resource.uid) if owns else {},
            pods=self._pods(resource),
            sample=self._sample(ref.namespace, broker) if broker is not None else None,
            rendered=self._rendered_of(ref.namespace, broker) if broker is not None and not owns else None,
            all_brokers=self._of(Broker) if isinstance(resource, Broker) else (),
            scaling=self._scaling.get(ref),
        )

    def _view(self, namespace: str) -> View:
        known = self._views.get(namespace)
        if known is None or known[0] != self._store.version:
            known = self._views[namespace] = (self._store.version, self._new_view(namespace))
        return known[1]

    def _new_view(self, namespace: str) -> View:
        return View(
            brokers={r.name: r for r in self._of(Broker, namespace)},
            queues={r.name: r for r in self._of(TaskQueue, namespace)},
            pools={r.name: r for r in self._of(WorkerPool, namespace)},
            schedules={r.name: r for r in self._of(Schedule, namespace)},
        )

    def _of(self, kind: type[Any], namespace: str | None = None) -> tuple[Any, ...]:
        found = (self._parse(Ref.of(body)) for body in self._store.all(kind.kind_name(), namespace))
        return tuple(resource for resource in found if isinstance(resource, kind))

    def _parse(self, ref: Ref) -> Resource | Unreadable | None:
        body = self._store.get(ref)
        if body is None:
            self._parsed.pop(ref, None)
            return None
        version = str(body["metadata"]["resourceVersion"])
        known = self._parsed.get(ref)
        if known is None or known[0] != version:
            known = self._parsed[ref] = (version, parse(BY_NAME[ref.kind], body))
        return known[1]

    def _broker_of(self, namespace: str, resource: Resource) -> str | None:
        match resource:
            case Broker():
                return resource.name
            case TaskQueue() | WorkerPool():
                return resource.spec.broker_ref.name
            case Schedule():
                queue = self._view(namespace).queues.get(resource.spec.queue_ref.name)
                return queue.spec.broker_ref.name if queue is not None else None
            case _:
                return None

    def _pods(self, resource: Resource) -> tuple[Manifest, ...]:
        match resource:
            case Broker():
                wanted = {LABEL_BROKER: resource.name, LABEL_COMPONENT: "beat"}
            case WorkerPool():
                wanted = {LABEL_POOL: resource.name}
            case _:
                return ()
        pods = self._store.all("Pod", resource.namespace)
        return tuple(pod for pod in pods if wanted.items() <= (pod["metadata"].get("labels") or {}).items())

    def _rendered_of(self, namespace: str, broker: str) -> RenderedConfig | None:
        found = next((b for b in self._of(Broker, namespace) if b.name == broker), None)
        if found is None:
            return None
        maps = [body for ref, body in self._store.children(found.uid).items() if ref.kind == "ConfigMap"]
        versions = tuple(sorted(str(body["metadata"]["resourceVersion"]) for body in maps))
        known = self._rendered.get(found.uid)
        if known is None or known[0] != versions:
            known = self._rendered[found.uid] = (versions, read_config(maps))
        return known[1]


def conditions_of(resource: Resource) -> dict[str, Condition]:
    """Return the conditions of a resource by type."""
    status: Any = resource.status  # type: ignore[attr-defined]
    return {condition.type: condition for condition in status.conditions or ()}


def _with_scaled_replicas(body: Manifest, live: Manifest) -> Manifest:
    """Return a resource with the number of pods that the built-in scaler has set, as in a cluster only the scaler does."""
    spec = body["spec"]
    if body["kind"] != "WorkerPool" or (spec.get("autoscaling") or {}).get("type") != "Queue":
        return body
    return {**body, "spec": {**spec, "replicas": live["spec"].get("replicas", 1)}}
