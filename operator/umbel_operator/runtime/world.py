"""All that is known of the cluster and of the beats, put together for one planner at a time."""

from datetime import UTC, datetime

from umbel_operator.api.base import Resource
from umbel_operator.api.broker import Broker
from umbel_operator.api.parse import Unreadable
from umbel_operator.api.schedule import Schedule
from umbel_operator.api.taskqueue import TaskQueue
from umbel_operator.api.workerpool import WorkerPool
from umbel_operator.build.config import RenderedConfig, read_config
from umbel_operator.build.entries import Rendered
from umbel_operator.build.settings import Settings
from umbel_operator.kube.errors import Json
from umbel_operator.kube.resources import CONFIGMAPS, OWN
from umbel_operator.plan.model import Failure, Manifest, Ref, State
from umbel_operator.plan.scaling import Memory
from umbel_operator.runtime.beatpoller import BeatPoller
from umbel_operator.runtime.cache import Cache
from umbel_operator.runtime.keys import Key
from umbel_operator.runtime.views import Views

_BY_KIND = {resource.kind: resource for resource in OWN}


class World:
    """Build the state that a planner looks at; no request is made for it."""

    def __init__(self, cache: Cache, views: Views, poller: BeatPoller, settings: Settings) -> None:
        self._cache = cache
        self._views = views
        self._poller = poller
        self._settings = settings
        self._failures: dict[Key, tuple[Failure, ...]] = {}
        self._scaling: dict[Key, Memory] = {}
        self._entries: dict[Key, Rendered] = {}
        self._rendered: dict[Key, tuple[tuple[str, ...], RenderedConfig]] = {}

    def owner(self, key: Key) -> Json | None:
        """Find the resource as the API gave it."""
        return self._cache.get(_BY_KIND[key.kind], key.namespace, key.name)

    def state(self, key: Key, *, terminating: bool = False) -> State[Resource] | Unreadable | None:
        """Build the state for a resource; Unreadable where its spec cannot be read, None where it is gone.

        terminating: its namespace is being deleted.
        """
        resource = self._views.get(key)
        if resource is None or isinstance(resource, Unreadable):
            return resource
        broker = self._broker_of(key, resource)
        is_owner = isinstance(resource, Broker | WorkerPool)
        return State(
            resource=resource,
            view=self._views.view(key.namespace, terminating=terminating),
            now=datetime.now(UTC),
            settings=self._settings,
            children=self._children(resource.metadata.uid or "") if is_owner else {},
            pods=tuple(self._cache.indexed(str(key))) if is_owner else (),
            sample=self._poller.sample((key.namespace, broker)) if broker else None,
            rendered=self._rendered_of(key.namespace, broker) if broker and not is_owner else None,
            entries=self._entries.setdefault(key, Rendered()) if isinstance(resource, Broker) else Rendered(),
            all_brokers=self._views.all_brokers() if isinstance(resource, Broker) else (),
            failures=self._failures.get(key, ()),
            scaling=self._scaling.get(key),
        )

    def fail(self, key: Key, failures: tuple[Failure, ...]) -> None:
        """Remember what the last execution for a resource could not do."""
        if failures:
            self._failures[key] = failures
        else:
            self._failures.pop(key, None)

    def remember(self, key: Key, scaling: Memory | None) -> None:
        """Keep what the built-in scaler is to know at its next look."""
        if scaling is not None:
            self._scaling[key] = scaling
        else:
            self._scaling.pop(key, None)

    def forget(self, key: Key) -> None:
        """Drop what is remembered of a resource that is gone."""
        self._scaling.pop(key, None)
        self._failures.pop(key, None)
        self._rendered.pop(key, None)
        self._entries.pop(key, None)

    def clear(self) -> None:
        """Drop what is remembered of all resources."""
        for memory in (self._scaling, self._failures, self._rendered, self._entries):
            memory.clear()

    def _broker_of(self, key: Key, resource: Resource) -> str | None:
        match resource:
            case Broker():
                return key.name
            case TaskQueue() | WorkerPool():
                return resource.spec.broker_ref.name
            case Schedule():
                queue = self._views.view(key.namespace).queues.get(resource.spec.queue_ref.name)
                return queue.spec.broker_ref.name if queue else None
            case _:
                return None

    def _children(self, uid: str) -> dict[Ref, Manifest]:
        return {Ref.of(obj): obj for obj in self._cache.indexed(uid)}

    def _rendered_of(self, namespace: str, broker: str) -> RenderedConfig | None:
        found = self._views.view(namespace).brokers.get(broker)
        if found is None or not found.metadata.uid:
            return None
        key = Key("Broker", namespace, broker)
        maps = [obj for obj in self._cache.indexed(found.metadata.uid) if obj["kind"] == CONFIGMAPS.kind]
        versions = tuple(sorted(f"{m['metadata']['uid']}/{m['metadata']['resourceVersion']}" for m in maps))
        known = self._rendered.get(key)
        if known is None or known[0] != versions:
            known = self._rendered[key] = (versions, read_config(maps))
        return known[1]
