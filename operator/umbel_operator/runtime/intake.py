"""What comes in from outside, and which keys it sets in motion: watch events, lists, beat's answers, our own writes."""

import logging
from typing import Protocol

from umbel_operator.api.names import LABEL_BROKER, LABEL_COMPONENT, LABEL_OPERATOR_CLASS
from umbel_operator.kube.errors import Json
from umbel_operator.kube.resources import BROKERS, NODES, OWN, PODS, TASKQUEUES, Resource, resource_of
from umbel_operator.plan.model import Ref
from umbel_operator.runtime.beatpoller import BeatPoller, BrokerName, Difference
from umbel_operator.runtime.cache import Cache, Change
from umbel_operator.runtime.goners import Goners
from umbel_operator.runtime.keys import Key
from umbel_operator.runtime.ledger import Ledger
from umbel_operator.runtime.metrics import Metrics
from umbel_operator.runtime.routes import When, key_of, routes_of
from umbel_operator.runtime.statuswriter import Pace
from umbel_operator.runtime.views import Views
from umbel_operator.runtime.workqueue import WorkQueue

logger = logging.getLogger(__name__)

#: A Broker's configuration is rendered once nobody has edited for QUIET seconds, at the latest after LIMIT.
RENDER_QUIET, RENDER_LIMIT = 0.5, 3.0


class Lists(Protocol):
    """Whoever lists kinds anew when asked to."""

    def request(self, resource: Resource) -> None:
        """Ask for a list of a kind soon."""

    def request_all(self) -> None:
        """Ask for a list of every kind soon."""


class Intake:
    """Keep cache, views and poller in step with the world, and the queue filled.

    operator_class: only resources labelled with it are known; empty: those without a class.
    """

    def __init__(
        self,
        cache: Cache,
        views: Views,
        queue: WorkQueue[Key],
        pace: Pace,
        ledger: Ledger,
        goners: Goners,
        metrics: Metrics,
        operator_class: str,
    ) -> None:
        self._cache = cache
        self._views = views
        self._queue = queue
        self._pace = pace
        self._ledger = ledger
        self._goners = goners
        self._metrics = metrics
        self._operator_class = operator_class
        #: Whether changes set anything in motion: not before all was listed, and not while another operator works.
        self.attentive = False
        self._poller: BeatPoller
        self._lists: Lists

    def connect(self, poller: BeatPoller, lists: Lists) -> None:
        """Take the two parts that report to this one; before anything comes in."""
        self._poller = poller
        self._lists = lists

    def observe(self, type_: str | None, obj: Json) -> None:
        """Take in one watch event; never raise: what cannot be taken in is counted and answered with a list.

        type_: ADDED, MODIFIED, DELETED, or None for an object of a first or renewed list.
        """
        kind = str(obj.get("kind") or "?")
        try:
            self._metrics.event(kind)
            resource = resource_of(obj)
            change = self._apply(type_, obj)
            if change is not None:
                self.changed(change)
            if type_ is None:
                self._lists.request(resource)
        except Exception:
            self._metrics.observe_errors.labels(kind).inc()
            logger.exception("event_not_taken_in", extra={"kind": kind})
            self._lists.request_all()

    def observe_node(self, type_: str | None, name: str) -> None:
        """Take in one watch event of a Node; never raise. Nodes are not kept: only that one is gone matters."""
        try:
            self._metrics.event(NODES.kind)
            if type_ == "DELETED" and self.attentive:
                self._goners.strand(name, self._cache.all(PODS))
        except Exception:
            self._metrics.observe_errors.labels(NODES.kind).inc()
            logger.exception("event_not_taken_in", extra={"kind": NODES.kind})

    def _apply(self, type_: str | None, obj: Json) -> Change | None:
        return self._cache.apply(type_, obj) if self.is_ours(obj) else self._cache.drop(obj)

    def is_ours(self, obj: Json) -> bool:
        """Tell whether an object is of our class; what the operator makes always is."""
        if resource_of(obj) not in OWN:
            return True
        labels = obj["metadata"].get("labels") or {}
        return str(labels.get(LABEL_OPERATOR_CLASS, "")) == self._operator_class

    def take_answer(self, obj: Json) -> None:
        """Take in what the API server answered to one of our writes, without waiting for its echo."""
        change = self._cache.apply(None, obj)
        if change is not None:
            self.changed(change, besides=key_of(obj))

    def changed(self, change: Change, besides: Key | None = None) -> None:
        """Follow one change of the cache.

        besides: the key that the change comes from; it need not be looked at again.
        """
        self._views.take(change)
        if not self.attentive:
            return
        self._goners.note(change)
        obj = change.object
        if change.new is None and resource_of(obj) not in OWN:
            self._ledger.forget(Ref.of(obj))
        if _beat_moved(change):
            self._poller.expect((key_of(obj).namespace, str(obj["metadata"]["labels"].get(LABEL_BROKER))))
        if resource_of(obj) is BROKERS and (change.new is None or change.old is None):
            self.follow()
        for key, when in routes_of(change, self._cache):
            if key == besides:
                continue
            if when is When.DEBOUNCED:
                self._queue.add_debounced(key, quiet=RENDER_QUIET, limit=RENDER_LIMIT)
            else:
                self._queue.add(key)

    def add_all(self, resource: Resource) -> None:
        """Have every resource of a kind looked at, behind all that is urgent."""
        for obj in self._cache.all(resource):
            self._queue.add(key_of(obj), background=True)

    def release(self, namespace: str) -> None:
        """Look at all in a namespace that goes which may hold it up."""
        for resource in (BROKERS, TASKQUEUES):
            for obj in self._cache.all(resource, namespace):
                self._queue.add(key_of(obj))

    def follow(self) -> None:
        """Poll the beat of every Broker that is known."""
        if self._cache.synced and self.attentive:
            keys = (key_of(obj) for obj in self._cache.all(BROKERS))
            self._poller.follow((key.namespace, key.name) for key in keys)

    def take_difference(self, broker: BrokerName, difference: Difference) -> None:
        """Look at what a beat's new answer concerns."""
        namespace, name = broker
        view = self._views.view(namespace)
        if difference.broker:
            self._queue.add(Key("Broker", namespace, name))
        if difference.revision:
            for change in (Change(None, obj) for obj in self._cache.all(BROKERS, namespace)):
                if key_of(change.object).name == name:
                    for key, _ in routes_of(change, self._cache):
                        self._queue.add(key, background=key.kind == "WorkerPool")
        for schedule in view.schedules.values():
            key = Key("Schedule", namespace, schedule.metadata.name)
            if schedule.metadata.uid in difference.turned:
                self._queue.add(key, background=True)
            elif schedule.metadata.uid in difference.schedules:
                self._refresh(key)
        for queue in view.queues.values():
            if queue.effective_name in difference.queues:
                self._refresh(Key("TaskQueue", namespace, queue.metadata.name))
        for pool in difference.pools:
            self._refresh(Key("WorkerPool", namespace, pool))

    def _refresh(self, key: Key) -> None:
        """Have new numbers written as soon as the former ones are old enough; no plan is made before."""
        rest = self._pace.rest(key)
        if rest > 0:
            self._queue.add_after(key, rest)
        else:
            self._queue.add(key, background=True)


def _beat_moved(change: Change) -> bool:
    """Tell whether the readiness of a beat Deployment has changed."""
    old, new = change.old, change.new
    if new is None or new["kind"] != "Deployment":
        return False
    if (new["metadata"].get("labels") or {}).get(LABEL_COMPONENT) != "beat":
        return False
    return ((old or {}).get("status") or {}).get("readyReplicas") != (new.get("status") or {}).get("readyReplicas")
