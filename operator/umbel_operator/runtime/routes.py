"""Which resources to look at again when an object has changed."""

from collections.abc import Iterable, Iterator, Mapping
from enum import Enum
from typing import Any

from umbel_operator.api.names import DEFAULT_BROKER, GROUP, LABEL_BROKER, LABEL_COMPONENT, LABEL_POOL
from umbel_operator.kube.errors import Json
from umbel_operator.kube.resources import BROKERS, SCHEDULES, TASKQUEUES, WORKERPOOLS
from umbel_operator.runtime.cache import Cache, Change, owners
from umbel_operator.runtime.keys import Key


class When(Enum):
    """How soon a key is to be worked on."""

    NOW = "now"
    #: Together with what follows within moments: the rendering of a Broker's configuration.
    DEBOUNCED = "debounced"


Route = tuple[Key, When]


def routes_of(change: Change, cache: Cache) -> Iterator[Route]:
    """Name the keys that a change concerns; one may come twice."""
    kind = change.object["kind"]
    if kind == "Broker":
        yield from _of_broker(change, cache)
    elif kind == "TaskQueue":
        yield from _of_queue(change, cache)
    elif kind == "WorkerPool":
        yield from _of_pool(change)
    elif kind == "Schedule":
        yield from _of_schedule(change, cache)
    elif kind == "Pod":
        yield from ((key, _after_render(key)) for key in pod_owners(change.object))
    else:
        yield from _of_child(change)


def _of_broker(change: Change, cache: Cache) -> Iterator[Route]:
    yield key_of(change.object), When.NOW
    if not (_matters_to_others(change) or _tells_others(change, ("loadedRevision", "configRevision", "keyPrefix"))):
        return
    namespace, name = _place(change.object)
    for resource in (TASKQUEUES, WORKERPOOLS):
        for obj in cache.all(resource, namespace):
            if broker_of(obj) == name:
                yield key_of(obj), When.NOW
    for obj in cache.all(SCHEDULES, namespace):
        if _broker_of_schedule(obj, cache) == name:
            yield key_of(obj), When.NOW
    # Two Brokers must not share a Redis database and a prefix: the loser of a conflict learns that it is over.
    if change.new is None or change.old is None or _generation(change.old) != _generation(change.new):
        yield from ((key_of(obj), When.NOW) for obj in cache.all(BROKERS) if key_of(obj) != key_of(change.object))


def _of_queue(change: Change, cache: Cache) -> Iterator[Route]:
    yield key_of(change.object), When.NOW
    if not _matters_to_others(change):
        return
    namespace, name = _place(change.object)
    broker = broker_of(change.object)
    yield Key("Broker", namespace, broker), When.DEBOUNCED
    for pool in cache.all(WORKERPOOLS, namespace):
        if name in pool_queues(pool):
            yield key_of(pool), When.NOW
    for schedule in cache.all(SCHEDULES, namespace):
        if schedule_queue(schedule) == name:
            yield key_of(schedule), When.NOW
    # One of several with the same queueName wins, and some send their dead tasks here: with thousands of queues no others
    # may be looked at, or each start would look at all of them for each of them.
    for other in cache.all(TASKQUEUES, namespace):
        if _place(other)[1] != name and (_dead_letters_to(other) == name or _rivals(other, change)):
            yield key_of(other), When.NOW


def _of_pool(change: Change) -> Iterator[Route]:
    yield key_of(change.object), When.NOW
    if not _matters_to_others(change):
        return
    namespace, _ = _place(change.object)
    yield Key("Broker", namespace, broker_of(change.object)), When.DEBOUNCED
    for queue in {name for obj in (change.old, change.new) if obj is not None for name in pool_queues(obj)}:
        yield Key("TaskQueue", namespace, queue), When.NOW


def _of_schedule(change: Change, cache: Cache) -> Iterator[Route]:
    yield key_of(change.object), When.NOW
    if not _matters_to_others(change):
        return
    namespace, _ = _place(change.object)
    for broker in {_broker_of_schedule(obj, cache) for obj in (change.old, change.new) if obj is not None}:
        if broker is not None:
            yield Key("Broker", namespace, broker), When.DEBOUNCED


def _after_render(key: Key) -> When:
    """Say when a Broker looks again after what a render itself brings about: ConfigMaps written, pods nudged.

    At once, each render would be followed by another one for as long as somebody edits.
    """
    return When.DEBOUNCED if key.kind == "Broker" else When.NOW


def _of_child(change: Change) -> Iterator[Route]:
    rendered = change.object["kind"] == "ConfigMap"
    for obj in (change.old, change.new):
        if obj is None:
            continue
        for ref in obj["metadata"].get("ownerReferences") or ():
            if str(ref.get("apiVersion", "")).startswith(f"{GROUP}/"):
                key = Key(str(ref["kind"]), _place(obj)[0], str(ref["name"]))
                yield key, _after_render(key) if rendered else When.NOW


def pod_owners(pod: Json) -> list[Key]:
    """Name the WorkerPool or Broker that a Pod runs for."""
    labels = pod["metadata"].get("labels") or {}
    namespace, _ = _place(pod)
    if labels.get(LABEL_COMPONENT) == "beat" and LABEL_BROKER in labels:
        return [Key("Broker", namespace, str(labels[LABEL_BROKER]))]
    return [Key("WorkerPool", namespace, str(labels[LABEL_POOL]))] if LABEL_POOL in labels else []


def index_terms(obj: Json) -> list[str]:
    """Tell by what an object is found in the cache: the uids of its owners, and a Pod by whom it runs for."""
    return [str(key) for key in pod_owners(obj)] if obj["kind"] == "Pod" else owners(obj)


def key_of(obj: Mapping[str, Any]) -> Key:
    """Make the key of a resource."""
    return Key(str(obj["kind"]), *_place(obj))


def broker_of(obj: Mapping[str, Any]) -> str:
    """Tell which Broker a TaskQueue or WorkerPool refers to."""
    ref = (obj.get("spec") or {}).get("brokerRef") or {}
    return str(ref.get("name") or DEFAULT_BROKER)


def pool_queues(pool: Mapping[str, Any]) -> Iterable[str]:
    """Name the TaskQueues of a WorkerPool."""
    return [str(queue.get("name")) for queue in (pool.get("spec") or {}).get("queues") or ()]


def queue_name(queue: Mapping[str, Any]) -> str:
    """Tell the effective name of a TaskQueue."""
    return str((queue.get("spec") or {}).get("queueName") or _place(queue)[1])


def _rivals(queue: Json, change: Change) -> bool:
    """Tell whether a TaskQueue has the queueName, in the same Broker, that another one had or has."""
    mine = (broker_of(queue), queue_name(queue))
    return any(mine == (broker_of(obj), queue_name(obj)) for obj in (change.old, change.new) if obj is not None)


def _dead_letters_to(queue: Json) -> str | None:
    ref = ((queue.get("spec") or {}).get("deadLetter") or {}).get("queueRef") or {}
    return ref.get("name")


def schedule_queue(schedule: Mapping[str, Any]) -> str:
    """Name the TaskQueue of a Schedule."""
    return str(((schedule.get("spec") or {}).get("queueRef") or {}).get("name"))


def _broker_of_schedule(schedule: Json, cache: Cache) -> str | None:
    queue = cache.get(TASKQUEUES, _place(schedule)[0], schedule_queue(schedule))
    return broker_of(queue) if queue is not None else None


def _matters_to_others(change: Change) -> bool:
    """Tell whether more has changed than the status: nobody but the resource itself looks at that, a Broker's aside."""
    old, new = change.old, change.new
    if old is None or new is None or old["metadata"].get("uid") != new["metadata"].get("uid"):
        return True
    return any(
        old["metadata"].get(part) != new["metadata"].get(part)
        for part in ("generation", "deletionTimestamp", "annotations", "finalizers")
    )


def _tells_others(change: Change, status_keys: Iterable[str]) -> bool:
    """Tell whether the status says more than before but for other numbers."""
    was, now = ((obj or {}).get("status") or {} for obj in (change.old, change.new))
    return _verdicts(was) != _verdicts(now) or any(was.get(key) != now.get(key) for key in status_keys)


def _verdicts(status: Mapping[str, Any]) -> set[tuple[str, str, str]]:
    return {(str(c.get("type")), str(c.get("status")), str(c.get("reason"))) for c in status.get("conditions") or ()}


def _generation(obj: Json) -> Any:
    return obj["metadata"].get("generation")


def _place(obj: Mapping[str, Any]) -> tuple[str, str]:
    meta = obj["metadata"]
    return str(meta.get("namespace") or ""), str(meta["name"])
