"""The only file that imports kopf: it watches, and hands every event to the operator."""

from collections.abc import Sequence
from typing import Any, cast

import aiohttp
import kopf

from umbel_operator.kube.client import PAGE
from umbel_operator.kube.resources import MADE_BY_US, NODES, OWN, Resource
from umbel_operator.kube.transport import Transport
from umbel_operator.runtime.app import App

#: Seconds after which the server, then the client, ends a watch that looks alive.
WATCH_SERVER_SECONDS, WATCH_CLIENT_SECONDS = 290, 310
#: Seconds of silence after which a watch counts as dead; the API server sends a bookmark each minute.
WATCH_SILENT_SECONDS = 70
#: kopf starts one task for each object of its first list: only so many at a time (for each kind), each going soon.
OBSERVERS, OBSERVER_IDLE = 50, 0.05
#: Seconds between attempts while the API server does not answer.
ERROR_BACKOFFS = (1, 1, 2, 3, 5, 5, 5, 5, 5)


def settings_of(resources: Sequence[Resource], namespaces: Sequence[str] | None) -> kopf.OperatorSettings:
    """Make kopf's settings: no event posting, no half-dead watches, only our own children, no scan in namespaces."""
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.watching.server_timeout = WATCH_SERVER_SECONDS
    settings.watching.client_timeout = WATCH_CLIENT_SECONDS
    settings.watching.inactivity_timeout = WATCH_SILENT_SECONDS
    settings.watching.chunk_size = PAGE
    settings.queueing.worker_limit = OBSERVERS
    settings.queueing.idle_timeout = OBSERVER_IDLE
    settings.networking.error_backoffs = ERROR_BACKOFFS
    settings.peering.standalone = True
    settings.scanning.disabled = namespaces is not None
    for resource in resources:
        if resource not in OWN:
            settings.watching.label_selectors[resource.plural] = MADE_BY_US
    return settings


def registry_of(app: App) -> kopf.OperatorRegistry:
    """Register the login and one observer for each kind that is watched."""
    registry = kopf.OperatorRegistry()

    async def log_in(**_: Any) -> kopf.AiohttpSession:
        return await session_for_kopf(app.transport)

    async def observe(event: kopf.RawEvent, **_: Any) -> None:
        app.observe(event["type"], dict(event["object"]))

    async def end(**_: Any) -> None:
        # Before kopf looks for tasks that do not end: it would wait for ours, seconds long.
        await app.stop()

    async def observe_node(event: kopf.RawEvent, name: str, **_: Any) -> None:
        app.observe_node(event["type"], name)

    kopf.on.login(registry=registry)(log_in)
    kopf.on.cleanup(registry=registry)(end)
    for resource in app.options.resources():
        kopf.on.event(resource.group, resource.version, resource.plural, registry=registry)(observe)
    if app.options.watch_nodes:
        kopf.on.event(NODES.group, NODES.version, NODES.plural, registry=registry)(observe_node)
    return registry


async def session_for_kopf(transport: Transport) -> kopf.AiohttpSession:
    """Make kopf a session with the TLS settings and the newest credentials of our own client."""
    await transport.log_in()
    session = aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0, ssl=transport.ssl_context),
        headers=transport.authorization(),
        proxy=transport.configuration.proxy,
        trust_env=True,
    )
    return kopf.AiohttpSession(server=transport.server, aiohttp_session=session)


async def run(app: App) -> None:
    """Run kopf until a signal ends it; the operator works meanwhile."""
    namespaces = app.options.namespaces
    await app.start()
    try:
        await kopf.operator(
            registry=registry_of(app),
            settings=settings_of(app.options.resources(), namespaces),
            clusterwide=namespaces is None,
            namespaces=namespaces or (),
            standalone=True,
            # kopf would ask for the name of the user, which a container's user seldom has.
            identity=cast(Any, app.options.instance),
        )
    finally:
        await app.stop()
