"""The only file that imports kopf: it watches, and hands every event to the operator."""

from collections.abc import Sequence
from typing import Any

import kopf
from kubernetes.aio.client import Configuration

from umbel_operator.kube.connect import load_configuration
from umbel_operator.kube.resources import MADE_BY_US, OWN, Resource
from umbel_operator.runtime.app import App

#: Seconds after which the server, then the client, ends a watch that looks alive; kopf adds one for silence (70 s).
WATCH_SERVER_SECONDS, WATCH_CLIENT_SECONDS = 290, 310
#: Seconds between attempts while the API server does not answer.
ERROR_BACKOFFS = (1, 1, 2, 3, 5, 5, 5, 5, 5)


def settings_of(resources: Sequence[Resource], namespaces: Sequence[str] | None) -> kopf.OperatorSettings:
    """Make kopf's settings: no event posting, no half-dead watches, only our own children, no scan in namespaces."""
    settings = kopf.OperatorSettings()
    settings.posting.enabled = False
    settings.watching.server_timeout = WATCH_SERVER_SECONDS
    settings.watching.client_timeout = WATCH_CLIENT_SECONDS
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

    async def log_in(**_: Any) -> kopf.ConnectionInfo:
        return connection_of(await load_configuration())

    async def observe(event: kopf.RawEvent, **_: Any) -> None:
        app.observe(event["type"], dict(event["object"]))

    kopf.on.login(registry=registry)(log_in)
    for resource in app.options.resources():
        kopf.on.event(resource.group, resource.version, resource.plural, registry=registry)(observe)
    return registry


def connection_of(configuration: Configuration) -> kopf.ConnectionInfo:
    """Tell kopf of the connection that our own client uses."""
    token = str((configuration.api_key or {}).get("BearerToken") or "").partition(" ")[2]
    return kopf.ConnectionInfo(
        server=configuration.host,
        ca_path=configuration.ssl_ca_cert,
        ca_data=configuration.ca_cert_data,
        insecure=not configuration.verify_ssl,
        username=configuration.username or None,
        password=configuration.password or None,
        scheme="Bearer" if token else None,
        token=token or None,
        certificate_path=configuration.cert_file,
        private_key_path=configuration.key_file,
        proxy_url=configuration.proxy,
        trust_env=True,
    )


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
        )
    finally:
        await app.stop()
