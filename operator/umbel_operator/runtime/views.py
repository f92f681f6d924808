"""The users' resources as typed models, by namespace and name, kept in step with the cache."""

from dataclasses import dataclass, field
from typing import Any

from umbel_operator.api.base import Resource
from umbel_operator.api.broker import Broker
from umbel_operator.api.kinds import BY_NAME
from umbel_operator.api.parse import Unreadable, parse
from umbel_operator.api.schedule import Schedule
from umbel_operator.api.sharing import shared
from umbel_operator.api.taskqueue import TaskQueue
from umbel_operator.api.workerpool import WorkerPool
from umbel_operator.kube.resources import OWN
from umbel_operator.plan.model import View
from umbel_operator.runtime.cache import Change
from umbel_operator.runtime.keys import Key

#: Seconds of a pool's sample period that the ordinary polls of its beat are quick enough for.
USUAL_PERIOD = 15

_KINDS = frozenset(resource.kind for resource in OWN)


@dataclass(slots=True)
class _Namespace:
    brokers: dict[str, Broker] = field(default_factory=dict)
    queues: dict[str, TaskQueue] = field(default_factory=dict)
    pools: dict[str, WorkerPool] = field(default_factory=dict)
    schedules: dict[str, Schedule] = field(default_factory=dict)
    unreadable: dict[tuple[str, str], Unreadable] = field(default_factory=dict)
    #: See `View.index`.
    index: dict[str, dict[tuple[str, str], list[str]]] = field(default_factory=dict)

    @property
    def empty(self) -> bool:
        return not (self.brokers or self.queues or self.pools or self.schedules or self.unreadable)

    def of(self, kind: str) -> dict[str, Any]:
        places: dict[str, dict[str, Any]] = {
            "Broker": self.brokers,
            "TaskQueue": self.queues,
            "WorkerPool": self.pools,
            "Schedule": self.schedules,
        }
        return places[kind]


class Views:
    """Parse each resource once for each of its versions."""

    def __init__(self) -> None:
        self._namespaces: dict[str, _Namespace] = {}

    def take(self, change: Change) -> None:
        """Follow one change of the cache; changes of other kinds are none of its business."""
        obj = change.object
        kind, meta = str(obj["kind"]), obj["metadata"]
        if kind not in _KINDS:
            return
        name, namespace = str(meta["name"]), str(meta.get("namespace") or "")
        place = self._namespaces.setdefault(namespace, _Namespace())
        place.of(kind).pop(name, None)
        place.unreadable.pop((kind, name), None)
        if _edited(change):
            place.index.clear()
        if change.new is None:
            if place.empty:
                del self._namespaces[namespace]
            return
        parsed = parse(BY_NAME[kind], change.new)
        if isinstance(parsed, Unreadable):
            place.unreadable[(kind, name)] = parsed
        else:
            place.of(kind)[name] = shared(parsed)

    def get(self, key: Key) -> Resource | Unreadable | None:
        """Find one resource."""
        place = self._namespaces.get(key.namespace)
        if place is None:
            return None
        found: Resource | None = place.of(key.kind).get(key.name)
        return found if found is not None else place.unreadable.get((key.kind, key.name))

    def view(self, namespace: str, *, terminating: bool = False) -> View:
        """Show the resources of one namespace; the view follows later changes, so plan with it at once."""
        place = self._namespaces.get(namespace) or _Namespace()
        return View(
            brokers=place.brokers,
            queues=place.queues,
            pools=place.pools,
            schedules=place.schedules,
            terminating=terminating,
            index=place.index,
        )

    def has_pools_to_watch_closely(self, broker: tuple[str, str]) -> bool:
        """Tell whether a Broker has a pool that sleeps until there is work, or whose load is wanted more often than usual."""
        namespace, name = broker
        for pool in self.view(namespace).pools.values():
            scaling = pool.spec.autoscaling.queue
            if pool.spec.broker_ref.name != name or scaling is None or pool.spec.suspend:
                continue
            if pool.spec.replicas == 0 or scaling.sample_period_seconds < USUAL_PERIOD:
                return True
        return False

    def all_brokers(self) -> tuple[Broker, ...]:
        """List the Brokers of all namespaces that are watched."""
        return tuple(broker for place in self._namespaces.values() for broker in place.brokers.values())


def _edited(change: Change) -> bool:
    """Tell whether more than a resource's status has changed, so that others may have to do with it now."""
    if change.old is None or change.new is None:
        return True
    old, new = change.old["metadata"], change.new["metadata"]
    return any(old.get(part) != new.get(part) for part in ("uid", "generation"))
