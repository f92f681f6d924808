"""The operator at work: what kopf's events set in motion."""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from kubernetes.aio.client import Configuration

from umbel_operator.api.names import LABEL_BROKER, LABEL_COMPONENT, LABEL_OPERATOR_CLASS
from umbel_operator.build.settings import Settings
from umbel_operator.kube.access import check_server
from umbel_operator.kube.client import Api
from umbel_operator.kube.errors import ApiError, Json
from umbel_operator.kube.events import Recorder
from umbel_operator.kube.resources import (
    BROKERS,
    CHILDREN,
    NETWORKPOLICIES,
    OWN,
    PODS,
    TASKQUEUES,
    Resource,
    resource_of,
)
from umbel_operator.kube.transport import Transport
from umbel_operator.plan.model import Ref
from umbel_operator.runtime.beatclient import ApiServerRoute, ServiceRoute
from umbel_operator.runtime.beatpoller import BeatPoller, BrokerName, Difference
from umbel_operator.runtime.cache import Cache, Change
from umbel_operator.runtime.executor import Executor
from umbel_operator.runtime.goners import Goners
from umbel_operator.runtime.keys import Key
from umbel_operator.runtime.ledger import Ledger
from umbel_operator.runtime.lister import Lister
from umbel_operator.runtime.metrics import Metrics
from umbel_operator.runtime.namespaces import Namespaces
from umbel_operator.runtime.probes import Health, ProbeServer
from umbel_operator.runtime.reconciler import Reconciler
from umbel_operator.runtime.routes import When, index_terms, key_of, routes_of
from umbel_operator.runtime.statuswriter import Pace, StatusWriter
from umbel_operator.runtime.views import Views
from umbel_operator.runtime.workqueue import WorkQueue
from umbel_operator.runtime.world import World

logger = logging.getLogger(__name__)

#: Keys that are worked on at a time.
WORKERS = 8
#: A Broker's configuration is rendered once nobody has edited for QUIET seconds, at the latest after LIMIT.
RENDER_QUIET, RENDER_LIMIT = 0.5, 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How the operator was started."""

    #: Namespaces to serve; None for all.
    namespaces: tuple[str, ...] | None
    #: How beat is reached: service or apiserver.
    beat_via: str
    #: Port of the probes and metrics; 0 takes any free one, None opens none.
    health_port: int | None
    #: Only resources labelled with this class are served; empty: those without a class.
    operator_class: str
    #: Name in events.
    instance: str
    version: str
    settings: Settings

    def resources(self) -> tuple[Resource, ...]:
        """List the kinds that are watched."""
        children = [r for r in CHILDREN if r is not NETWORKPOLICIES or self.settings.network_policies]
        return (*OWN, *children, PODS)


class App:
    """Own every part of the running operator."""

    def __init__(
        self,
        options: Options,
        configuration: Configuration,
        reload: Callable[[], Awaitable[Configuration]] | None = None,
    ) -> None:
        self.options = options
        self.metrics = Metrics(options.version)
        self.transport = Transport(
            configuration, reload=reload, observer=self._observe_request, user_agent=f"umbel-operator/{options.version}"
        )
        self.api = Api(self.transport)
        scopes: tuple[str | None, ...] = options.namespaces or (None,)
        self.cache = Cache(options.resources(), scopes, index_terms)
        self.queue: WorkQueue[Key] = WorkQueue()
        self.metrics.watch_queue(self.queue)
        route = ServiceRoute() if options.beat_via == "service" else ApiServerRoute(self.transport)
        self._route = route
        self._views = Views()
        self._ledger = Ledger()
        self._goners = Goners(route)
        self._recorder = Recorder(self.api, instance=options.instance)
        self._poller = BeatPoller(route, self._take_difference, self.metrics)
        self._pace = Pace()
        self._lister = Lister(
            self.api,
            self.cache,
            options.resources(),
            scopes,
            wanted=self._is_ours,
            changed=self._changed,
            listed=self._listed,
        )
        world = World(self.cache, self._views, self._poller, options.settings)
        executor = Executor(self.api, self.cache, self._ledger, self._recorder, self._take_answer)
        writer = StatusWriter(self.api, self._pace, self.metrics, self._take_answer)
        namespaces = Namespaces(self.api, self.cache, self._release)
        self._reconciler = Reconciler(namespaces, world, executor, writer, self._recorder)
        self.health = Health(lambda: check_server(self.api), self._missing)
        self._probes: ProbeServer | None = None
        if options.health_port is not None:
            self._probes = ProbeServer(self.health, self.metrics, options.health_port)
        self._workers: list[asyncio.Task[None]] = []
        self._out_of_reach = False
        self._stopped = False

    async def start(self) -> None:
        """Begin to list, watch and reconcile; nothing is planned before every kind was listed."""
        port = await self._probes.start() if self._probes is not None else None
        self._recorder.start()
        self._lister.start()
        where = ", ".join(self.options.namespaces) if self.options.namespaces else "all namespaces"
        logger.info(
            "operator_started",
            extra={"version": self.options.version, "serves": where, "server": self.transport.server, "port": port},
        )

    async def stop(self) -> None:
        """End everything, once; a reconcile in work is broken off, and the next start repairs what it left."""
        if self._stopped:
            return
        self._stopped = True
        for task in self._workers:
            task.cancel()
        await asyncio.gather(*self._workers, return_exceptions=True)
        await self._lister.stop()
        await self._poller.stop()
        await self._goners.stop()
        await self._recorder.stop()
        await self._route.close()
        if self._probes is not None:
            await self._probes.stop()
        await self.transport.close()
        logger.info("operator_stopped")

    def observe(self, type_: str | None, obj: Json) -> None:
        """Take in one watch event; never raise: what cannot be taken in is counted and answered with a list.

        type_: ADDED, MODIFIED, DELETED, or None for an object of a first or renewed list.
        """
        kind = str(obj.get("kind") or "?")
        try:
            self.metrics.event(kind)
            resource = resource_of(obj)
            change = self._apply(type_, obj)
            if change is not None:
                self._changed(change)
            if type_ is None:
                self._lister.request(resource)
        except Exception:
            self.metrics.observe_errors.labels(kind).inc()
            logger.exception("event_not_taken_in", extra={"kind": kind})
            self._lister.request_all()

    def _apply(self, type_: str | None, obj: Json) -> Change | None:
        return self.cache.apply(type_, obj) if self._is_ours(obj) else self.cache.drop(obj)

    def _is_ours(self, obj: Json) -> bool:
        if resource_of(obj) not in OWN:
            return True
        labels = obj["metadata"].get("labels") or {}
        return str(labels.get(LABEL_OPERATOR_CLASS, "")) == self.options.operator_class

    def _take_answer(self, obj: Json) -> None:
        change = self.cache.apply(None, obj)
        if change is not None:
            self._changed(change, besides=key_of(obj))

    def _changed(self, change: Change, besides: Key | None = None) -> None:
        self._views.take(change)
        self._goners.note(change)
        obj = change.object
        if change.new is None and resource_of(obj) not in OWN:
            self._ledger.forget(Ref.of(obj))
        if _beat_moved(change):
            self._poller.expect((key_of(obj).namespace, str(obj["metadata"]["labels"].get(LABEL_BROKER))))
        if resource_of(obj) is BROKERS and (change.new is None or change.old is None):
            self._follow()
        for key, when in routes_of(change, self.cache):
            if key == besides:
                continue
            if when is When.DEBOUNCED:
                self.queue.add_debounced(key, quiet=RENDER_QUIET, limit=RENDER_LIMIT)
            else:
                self.queue.add(key)

    def _listed(self, resource: Resource, periodic: bool) -> None:
        if self.cache.synced and not self._workers:
            logger.info("synced", extra={str(r.plural): self.cache.count(r) for r in OWN})
            for own in OWN:
                self._add_all(own)
            self._follow()
            self._workers = [asyncio.create_task(self._work(), name=f"worker {n}") for n in range(WORKERS)]
        elif periodic and resource in OWN:
            self._add_all(resource)

    def _add_all(self, resource: Resource) -> None:
        for obj in self.cache.all(resource):
            self.queue.add(key_of(obj), background=True)

    def _release(self, namespace: str) -> None:
        """Look at all in a namespace that goes which may hold it up."""
        for resource in (BROKERS, TASKQUEUES):
            for obj in self.cache.all(resource, namespace):
                self.queue.add(key_of(obj))

    def _follow(self) -> None:
        if self.cache.synced:
            keys = (key_of(obj) for obj in self.cache.all(BROKERS))
            self._poller.follow((key.namespace, key.name) for key in keys)

    def _take_difference(self, broker: BrokerName, difference: Difference) -> None:
        namespace, name = broker
        view = self._views.view(namespace)
        if difference.broker:
            self.queue.add(Key("Broker", namespace, name))
        if difference.revision:
            for change in (Change(None, obj) for obj in self.cache.all(BROKERS, namespace)):
                if key_of(change.object).name == name:
                    for key, _ in routes_of(change, self.cache):
                        self.queue.add(key, background=key.kind == "WorkerPool")
        for schedule in view.schedules.values():
            key = Key("Schedule", namespace, schedule.metadata.name)
            if schedule.metadata.uid in difference.turned:
                self.queue.add(key, background=True)
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
            self.queue.add_after(key, rest)
        else:
            self.queue.add(key, background=True)

    async def _work(self) -> None:
        while True:
            key = await self.queue.get()
            self.health.begin(key)
            started = time.perf_counter()
            try:
                result = await self._work_on(key)
            finally:
                self.health.end(key)
                self.queue.done(key)
            self.metrics.seconds.labels(key.kind).observe(time.perf_counter() - started)
            self.metrics.reconciles.labels(key.kind, result).inc()

    async def _work_on(self, key: Key) -> str:
        try:
            done = await self._reconciler.reconcile(key)
        except ApiError as error:
            wait = self.queue.retry(key, error.retry_after)
            logger.warning("reconcile_failed", extra={"key": str(key), "error": error.message, "again_in": round(wait)})
            return "failed"
        except Exception:
            wait = self.queue.retry(key)
            logger.exception("reconcile_crashed", extra={"key": str(key), "again_in": round(wait)})
            return "crashed"
        if done.result == "gone":
            self._pace.forget(key)
        if done.retry:
            self.queue.retry(key, done.retry_after)
        else:
            self.queue.forget(key)
        if done.again is not None:
            self.queue.add_after(key, done.again)
        if key.kind == "Broker" and done.result == "changed":
            self._poller.expect((key.namespace, key.name))
        return done.result

    def _observe_request(self, verb: str, resource: str, code: int) -> None:
        self.metrics.request(verb, resource, code)
        if resource == "services/proxy":
            return
        if code == 0:
            if not self._out_of_reach:
                logger.warning("api_server_silent", extra={"server": self.transport.server})
            self._out_of_reach = True
            return
        self.health.answered()
        if self._out_of_reach:
            self._out_of_reach = False
            logger.info("api_server_back", extra={"server": self.transport.server})
            self._lister.request_all()
            for key in self.queue.failing():
                self.queue.add(key)

    def _missing(self) -> str:
        if self.cache.synced:
            return ""
        return f"not listed yet: {', '.join(self.cache.unlisted())}"


def _beat_moved(change: Change) -> bool:
    """Tell whether the readiness of a beat Deployment has changed."""
    old, new = change.old, change.new
    if new is None or new["kind"] != "Deployment":
        return False
    if (new["metadata"].get("labels") or {}).get(LABEL_COMPONENT) != "beat":
        return False
    return ((old or {}).get("status") or {}).get("readyReplicas") != (new.get("status") or {}).get("readyReplicas")
