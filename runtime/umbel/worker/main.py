"""From options to a running worker: everything that can be wrong at the start is said here, in one sentence each."""

from __future__ import annotations

import gc
import importlib
import logging
import os
import signal
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from umbel.broker.base import Broker, ConnectionLost, OwnerInfo, OwnerLost
from umbel.control.calls import Call, Response
from umbel.control.exposition import serve
from umbel.control.reaper import bury_worker
from umbel.dropping import purge
from umbel.errors import ImproperlyConfigured, OperationalError, QueueNotFound
from umbel.executors import Shape, shape
from umbel.ids import machine_id, new_owner_id
from umbel.ownqueues import with_own
from umbel.queues import is_own
from umbel.shards import spread
from umbel.transport import make_broker
from umbel.worker import linux
from umbel.worker.about import About
from umbel.worker.namesakes import warn_of_namesakes
from umbel.worker.options import WorkerOptions
from umbel.worker.resultkeeping import ResultKeeping
from umbel.worker.retirement import Bounds
from umbel.worker.slots import ROOM, Slots
from umbel.worker.supervisor import Supervisor
from umbel.worker.turns import Order, in_order
from umbel.worker.zygotes import ZygoteHandle

if TYPE_CHECKING:
    from umbel.control.health import HealthServer

log = logging.getLogger("umbel.worker")


def run(options: WorkerOptions) -> int:
    """Run a worker until it is told to end; return the exit code.

    Raises:
        UmbelError: it cannot start, with what to do.
    """
    signal.signal(signal.SIGTERM, _leave)
    share_with_children()
    slots, about = Slots(), About()
    make, zygote, app = begin(options, slots, about)
    options = replace(options, task_events=bool(options.task_events or app["task_events"]))
    built = shape_of(options, app)
    slots.lanes = built.lanes
    hostname = options.name(app["name"])
    keeping = ResultKeeping(app)
    broker = keeping.with_results(make_broker(app["broker_url"], prefix=app["key_prefix"], publish_timeout=5.0))
    server = broker.ping()
    warn_of_memory_policy(server)
    queues = queues_of(options, app, broker, hostname)
    try_to_register(broker, [name for name, _ in queues], hostname)
    tell_of_beat(app["beat_schedule"])
    bury_predecessors(broker)
    warn_of_namesakes(broker, hostname)
    supervisor = make(
        options,
        broker,
        zygote,
        slots,
        queues,
        hostname,
        app["result_ttl"],
        about,
        built,
        app["cancel_timeout"],
        bounds_of(options, app),
    )
    health = start_health(supervisor, options.health_port)
    say_started(hostname, [name for name, _ in queues], built, app["tasks"], server)
    keeping.start()
    try:
        return supervisor.run()
    finally:
        keeping.stop()
        if health is not None:
            health.stop()
        broker.close()


def begin(options: WorkerOptions, slots: Slots, about: About) -> tuple[type[Supervisor], ZygoteHandle, dict[str, Any]]:
    """Have the app imported; return the supervisor to make, what imports the app for its children, and what the app says.

    Which executor it is may be known only once the app is there.

    Raises:
        ImproperlyConfigured: it cannot be imported, with the reason.
    """
    zygote = ZygoteHandle(about)
    solo = options.pool == "solo"
    app = {} if solo else zygote.begin(options, slots)
    if not solo and (options.pool is not None or app["executor"] != "solo"):
        return Supervisor, zygote, app
    from umbel.worker.solo import SoloSupervisor, SoloZygote

    zygote.dismiss()
    alone = SoloZygote(about)
    return SoloSupervisor, alone, alone.begin(options, slots)


def queues_of(
    options: WorkerOptions, app: dict[str, Any], broker: Broker, hostname: str
) -> tuple[tuple[str, int], ...]:
    """Return the queues to consume, with their weights, in their order; emptied, where that is asked for.

    Raises:
        ImproperlyConfigured, QueueNotFound: see `wanted_queues` and `check_queues`.
    """
    queues = spread(wanted_queues(options, app["queues"]), app["queue_shards"])
    queues = in_order(queues, Order(options.queue_order))
    check_queues(broker, queues, app, options)
    if options.purge:
        dropped = sum(purge(broker, name) for name, _ in queues)
        log.warning("worker.purged", extra={"tasks": dropped, "queues": ",".join(name for name, _ in queues)})
    return with_own(queues, hostname, app["broadcasts"], direct=app["worker_direct"])


def tell_of_beat(entries: int) -> None:
    """Say that entries of the app's ``beat_schedule`` need a beat, where there are any."""
    if entries:
        log.info(
            "worker.beat_schedule", extra={"entries": entries, "hint": "umbel beat runs them, once for all workers"}
        )


def say_started(hostname: str, queues: list[str], built: Shape, tasks: int, server: dict[str, Any]) -> None:
    """Log what has started: `umbel up` and people wait for this line."""
    log.info(
        "worker.started",
        extra={
            "worker": hostname,
            "queues": ",".join(queues),
            "executor": built.executor,
            "children": built.children,
            "slots": built.slots,
            "tasks": tasks,
            "broker": server["address"],
            "server": f"{server['server']} {server['version']}",
        },
    )


def shape_of(options: WorkerOptions, app: dict[str, Any]) -> Shape:
    """Return what the worker consists of, as the command line says, else the app.

    Raises:
        ImproperlyConfigured: that is more than one worker can be.
    """
    built = shape(
        options.pool or app["executor"],
        options.concurrency or app["concurrency"],
        options.children or app["children"],
        os.cpu_count() or 1,
    )
    if options.autoreload and built.executor == "solo":
        raise ImproperlyConfigured(
            "--autoreload replaces processes, of which --pool solo has one: leave one of them out"
        )
    if built.slots > ROOM // 2:
        raise ImproperlyConfigured(
            f"one worker runs at most {ROOM // 2} tasks at once, not {built.slots}: give a lower --concurrency, "
            "and start more workers"
        )
    if built.executor == "thread":
        log.warning(
            "worker.threads",
            extra={
                "hint": "a limit or a revoke interrupts a thread only at its next step in Python code; what blocks elsewhere ends "
                f"when its process is killed, {app['cancel_timeout']:g} s later"
            },
        )
    return built


def bounds_of(options: WorkerOptions, app: dict[str, Any]) -> Bounds:
    """Return what a child may do before it is replaced, as the command line says, else the app."""
    tasks, memory = app["bounds"]
    return Bounds(options.max_tasks_per_child or tasks, options.max_memory_per_child or memory)


def _leave(number: int, frame: object) -> None:
    """End before there is anything to drain. Without a handler, the first process of a container never sees the signal."""
    raise SystemExit(128 + number)


def share_with_children() -> None:
    """Import before the first fork what every process of the worker needs, so that they share its memory.

    An import after it, however small, makes copies of more than a MiB of what is shared.
    """
    for module in (
        "umbel.app",
        "umbel.broker.redis.ownqueues",
        "umbel.results.redis",
        "umbel.execution",
        "umbel.worker.start",
    ):
        importlib.import_module(module)
    gc.collect()
    linux.give_back_memory()
    # What exists by now is never collected: the collector would write to each object, and so copy its page.
    gc.freeze()


def warn_of_memory_policy(server: dict[str, Any]) -> None:
    """Warn where Redis may throw tasks away."""
    policy = server["maxmemory_policy"]
    if policy not in ("noeviction", "?"):
        log.warning(
            "redis.maxmemory_policy",
            extra={
                "policy": policy,
                "hint": "Redis may evict tasks when its memory is full: set maxmemory-policy noeviction",
            },
        )


def wanted_queues(options: WorkerOptions, configured: list[str]) -> tuple[tuple[str, int], ...]:
    """Return the queues to consume, with their weights.

    Raises:
        ImproperlyConfigured: none is left.
    """
    queues = options.queues or tuple((name, 1) for name in configured)
    kept = tuple((name, weight) for name, weight in queues if name not in options.exclude_queues)
    if not kept:
        raise ImproperlyConfigured(
            f"no queue is left to consume: {', '.join(name for name, _ in queues)} are all excluded; leave out one of "
            "--exclude-queues"
        )
    return kept


def check_queues(
    broker: Broker, queues: tuple[tuple[str, int], ...], app: dict[str, Any], options: WorkerOptions
) -> None:
    """Warn of a queue that is neither configured nor known to the broker; refuse it with ``--strict-queues``.

    Raises:
        QueueNotFound: as said.
    """
    shards = app["queue_shards"]
    seen = (name for name in broker.queues() if not is_own(name))
    known = {*app["queues"], *seen, *(name for name, _ in spread(((queue, 1) for queue in shards), shards))}
    strange = [name for name, _ in queues if name not in known and not is_own(name)]
    if not strange:
        return
    text = (
        f"the queue{'s' if len(strange) > 1 else ''} {', '.join(map(repr, strange))} is neither configured in the app nor "
        f"known to Redis; known are {', '.join(sorted(known)) or 'none'}. A typing error? Tasks sent elsewhere will not run here"
    )
    if options.strict_queues:
        raise QueueNotFound(text)
    log.warning("worker.unknown_queue", extra={"hint": text})


def try_to_register(broker: Broker, queues: list[str], hostname: str) -> None:
    """Be an owner for a moment: what keeps a child from becoming one is better said here, once.

    Raises:
        LayoutError: a newer Umbel works on these queues.
        OperationalError: the broker can be reached, and refuses.
    """
    consumer = broker.consumer(
        OwnerInfo(new_owner_id(), queues, hostname=hostname, pid=os.getpid(), machine=machine_id())
    )
    try:
        consumer.register()
        consumer.leave()
    except ConnectionLost as error:
        raise OperationalError(str(error)) from error
    except OwnerLost:
        log.debug("owner.lost")  # this process stood still in between: not refused at least
    finally:
        consumer.close()


def bury_predecessors(broker: Broker) -> None:
    """Bury at once what an earlier supervisor of this pod left behind: the container was restarted, so it is dead."""
    if not os.environ.get("UMBEL_POD_UID"):
        return
    liveness = broker.liveness()
    try:
        infos = {owner.id: owner for owner in liveness.owners() if owner.pod_uid == machine_id()}
        workers: dict[str, dict[str, float | None]] = {}
        for owner in infos.values():
            workers.setdefault(owner.worker, {})[owner.id] = None
        for worker, owners in workers.items():
            bury_worker(liveness, worker, owners, infos, "its container was restarted")
    except ConnectionLost as error:
        log.warning("broker.away", extra={"error": str(error)})
    finally:
        liveness.close()


def start_health(supervisor: Supervisor, port: int | None) -> HealthServer | None:
    """Serve ``/livez``, ``/readyz`` and ``/metrics``.

    Raises:
        ImproperlyConfigured: the port is taken.
    """
    if port is None:
        return None
    from umbel.control.health import HealthServer

    def livez(call: Call) -> Response:
        return Response(200, b"ok\n") if supervisor.live() else Response(503, b"the supervisor's loop stands still\n")

    def readyz(call: Call) -> Response:
        why_not = supervisor.ready()
        return Response(200, b"ok\n") if why_not is None else Response(503, f"{why_not}\n".encode())

    try:
        routes = {("GET", "/livez"): livez, ("GET", "/readyz"): readyz, ("GET", "/metrics"): serve(supervisor.sheet)}
        server = HealthServer(port, routes)
    except OSError as error:
        raise ImproperlyConfigured(
            f"the health port {port} cannot be opened ({error.strerror}): choose another with --health-port"
        ) from error
    server.start()
    log.info("worker.health", extra={"port": server.port})
    return server
