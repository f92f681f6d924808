"""The operator put together."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from kubernetes.aio.client import Configuration

from umbel_operator.build.settings import Settings
from umbel_operator.kube.access import check_server
from umbel_operator.kube.client import Api
from umbel_operator.kube.errors import Json
from umbel_operator.kube.events import Recorder
from umbel_operator.kube.lease import LeaseClient
from umbel_operator.kube.resources import CHILDREN, OWN, PODS, Resource
from umbel_operator.kube.transport import Transport
from umbel_operator.runtime.beatclient import ApiServerRoute, ServiceRoute
from umbel_operator.runtime.beatpoller import BeatPoller
from umbel_operator.runtime.cache import Cache
from umbel_operator.runtime.election import Election
from umbel_operator.runtime.executor import Executor
from umbel_operator.runtime.goners import Goners
from umbel_operator.runtime.intake import Intake
from umbel_operator.runtime.keys import Key
from umbel_operator.runtime.ledger import Ledger
from umbel_operator.runtime.leftovers import Leftovers
from umbel_operator.runtime.lister import Lister
from umbel_operator.runtime.metrics import Metrics
from umbel_operator.runtime.namespaces import Namespaces
from umbel_operator.runtime.probes import Health, ProbeServer
from umbel_operator.runtime.reconciler import Reconciler
from umbel_operator.runtime.routes import index_terms
from umbel_operator.runtime.statuswriter import Pace, StatusWriter
from umbel_operator.runtime.views import Views
from umbel_operator.runtime.workers import Workers
from umbel_operator.runtime.workqueue import WorkQueue
from umbel_operator.runtime.world import World

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LeaseName:
    """The Lease by which several operators agree which of them works."""

    namespace: str
    name: str
    #: Unlike that of any other process, ever.
    identity: str


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
    #: None: this operator is the only one, and works at once.
    lease: LeaseName | None = None
    #: Whether beat hears of Pods whose Node was deleted.
    watch_nodes: bool = False

    def resources(self) -> tuple[Resource, ...]:
        """List the kinds that are watched."""
        off = self.settings.switched_off()
        return (*OWN, *(child for child in CHILDREN if child.plural not in off), PODS)


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
        self._election, self._lease_transport = self._candidacy(configuration, reload)
        self.transport = Transport(
            configuration,
            reload=reload,
            observer=self._observe_request,
            guard=self._election.check if self._election is not None else None,
            user_agent=f"umbel-operator/{options.version}",
        )
        api = Api(self.transport)
        scopes: tuple[str | None, ...] = options.namespaces or (None,)
        self.cache = Cache(options.resources(), scopes, index_terms)
        self._queue: WorkQueue[Key] = WorkQueue()
        self.metrics.watch_queue(self._queue)
        self._route = ServiceRoute() if options.beat_via == "service" else ApiServerRoute(self.transport)
        self._goners = Goners(self._route)
        self._recorder = Recorder(api, instance=options.instance)
        views, pace, ledger = Views(), Pace(), Ledger()
        self._intake = Intake(
            self.cache, views, self._queue, pace, ledger, self._goners, self.metrics, options.operator_class
        )
        self._poller = BeatPoller(
            self._route, self._intake.take_difference, self.metrics, closely=views.has_pools_to_watch_closely
        )
        self._lister = Lister(
            api,
            self.cache,
            options.resources(),
            scopes,
            wanted=self._intake.is_ours,
            changed=self._intake.changed,
            listed=self._listed,
        )
        self._intake.connect(self._poller, self._lister)
        self._in_charge = self._election is None
        self._world = World(self.cache, views, self._poller, options.settings)
        reconciler = Reconciler(
            Namespaces(api, self.cache, self._intake.release),
            self._world,
            Executor(api, self.cache, ledger, self._recorder, self._intake.take_answer),
            StatusWriter(api, pace, self.metrics, self._intake.take_answer),
            self._recorder,
        )
        self._health = Health(lambda: check_server(api), self._missing)
        self._workers = Workers(self._queue, reconciler, self._poller, pace, self._health, self.metrics)
        self._probes: ProbeServer | None = None
        if options.health_port is not None:
            self._probes = ProbeServer(self._health, self.metrics, options.health_port)
        self._leftovers = Leftovers(api, self.cache, options.settings.switched_off(), scopes)
        self._tidying: asyncio.Task[int] | None = None
        self._out_of_reach = False
        self._stopped = False
        leads = self._election
        self.metrics.leader.set_function(lambda: 1 if leads is None or leads.leading else 0)

    async def start(self) -> None:
        """Begin to list, watch and reconcile; nothing is planned before every kind was listed."""
        port = await self._probes.start() if self._probes is not None else None
        self._recorder.start()
        self._lister.start()
        if self._election is not None:
            self._election.start()
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
        await self._stop_tidying()
        await self._workers.stop()
        await self._lister.stop()
        await self._poller.stop()
        await self._goners.stop()
        await self._recorder.stop()
        if self._election is not None:
            await self._election.stop()
        if self._lease_transport is not None:
            await self._lease_transport.close()
        await self._route.close()
        if self._probes is not None:
            await self._probes.stop()
        await self.transport.close()
        logger.info("operator_stopped")

    def observe(self, type_: str | None, obj: Json) -> None:
        """Take in one watch event; never raise."""
        self._intake.observe(type_, obj)

    def observe_node(self, type_: str | None, name: str) -> None:
        """Take in one watch event of a Node; never raise."""
        self._intake.observe_node(type_, name)

    def _candidacy(
        self, configuration: Configuration, reload: Callable[[], Awaitable[Configuration]] | None
    ) -> tuple[Election | None, Transport | None]:
        """Make the election, with a connection of its own: a renewal must not wait behind other requests."""
        lease = self.options.lease
        if lease is None:
            return None, None
        transport = Transport(configuration, reload=reload, observer=self.metrics.request)
        lock = LeaseClient(transport, lease.namespace, lease.name, lease.identity)
        return Election(lock, self._begin, self._end), transport

    async def _begin(self) -> None:
        """Take up the work; what another operator wrote may not have reached our cache, so all is listed anew first."""
        if self._stopped:
            return
        await self._lister.stop()
        self.cache.doubt()
        self._in_charge = True
        self._lister.start()

    async def _end(self) -> None:
        """Lay down the work; the cache stays fresh."""
        self._in_charge = self._intake.attentive = False
        await self._stop_tidying()
        await self._workers.stop()
        await self._poller.stop()
        await self._goners.stop()
        self._queue.clear()
        self._world.clear()

    async def _stop_tidying(self) -> None:
        if self._tidying is not None:
            self._tidying.cancel()
            await asyncio.gather(self._tidying, return_exceptions=True)

    def _listed(self, resource: Resource, periodic: bool) -> None:
        if not self._in_charge:
            return
        if self.cache.synced and not self._workers.started:
            logger.info("synced", extra={str(r.plural): self.cache.count(r) for r in OWN})
            self._intake.attentive = True
            for own in OWN:
                self._intake.add_all(own)
            self._intake.follow()
            self._workers.start()
            self._tidying = asyncio.create_task(self._leftovers.remove(), name="leftovers")
        elif periodic and resource in OWN:
            self._intake.add_all(resource)

    def _observe_request(self, verb: str, resource: str, code: int) -> None:
        self.metrics.request(verb, resource, code)
        if resource == "services/proxy":
            return
        if code == 0:
            if not self._out_of_reach:
                logger.warning("api_server_silent", extra={"server": self.transport.server})
            self._out_of_reach = True
            return
        self._health.answered()
        if self._out_of_reach:
            self._out_of_reach = False
            logger.info("api_server_back", extra={"server": self.transport.server})
            self._lister.request_all()
            for key in self._queue.failing():
                self._queue.add(key)

    def _missing(self) -> str:
        if self.cache.synced:
            return ""
        return f"not listed yet: {', '.join(self.cache.unlisted())}"
