"""The command `umbel-operator`."""

import asyncio
import json
import logging
import re
import socket
import sys
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any
from uuid import uuid4

import click

from umbel.cli.main import end_on_an_early_signal
from umbel_operator.build.settings import Monitors, Settings
from umbel_operator.handlers import run as run_app
from umbel_operator.kube.access import (
    NotReadyError,
    Right,
    check_kinds,
    check_server,
    may_watch_nodes,
    missing_monitors,
    missing_rights,
    say_missing,
    unbound,
)
from umbel_operator.kube.checking import check_installation
from umbel_operator.kube.client import Api
from umbel_operator.kube.connect import NoClusterError, load_configuration, own_namespace
from umbel_operator.kube.errors import ApiError, Json
from umbel_operator.kube.putting import BadFileError, put, read_resources
from umbel_operator.kube.resources import MONITORS
from umbel_operator.kube.transport import Transport, allow_deep_json
from umbel_operator.runtime.app import App, LeaseName, Options
from umbel_operator.runtime.logs import configure

logger = logging.getLogger(__name__)


def _check_names(ctx: click.Context, param: click.Parameter, names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        if not re.fullmatch("[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", name):
            raise click.BadParameter(f"{name!r} is no name of a namespace; patterns are not understood", ctx, param)
    return tuple(dict.fromkeys(names))


def _check_labels(ctx: click.Context, param: click.Parameter, texts: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    found = {}
    for text in texts:
        name, separator, value = text.partition("=")
        if not name or not separator:
            raise click.BadParameter(f"{text!r} is no label; write NAME=VALUE", ctx, param)
        found[name] = value
    return tuple(found.items())


def _check_object(ctx: click.Context, param: click.Parameter, text: str | None) -> dict[str, Any] | None:
    try:
        found = json.loads(text) if text else None
    except ValueError as problem:
        raise click.BadParameter(f"{text!r} is no JSON: {problem}", ctx, param) from None
    if found is not None and not isinstance(found, dict):
        raise click.BadParameter(f"{text!r} is no JSON object; write {{...}}", ctx, param)
    return found


@click.group(context_settings={"auto_envvar_prefix": "UMBEL_OPERATOR"})
@click.version_option(package_name="umbel", prog_name="umbel-operator")
def main() -> None:
    """Run Umbel's Kubernetes operator."""


@main.command()
@click.option(
    "--namespace",
    "-n",
    "namespaces",
    multiple=True,
    callback=_check_names,
    help="Serve this namespace; may be given repeatedly.",
)
@click.option("--all-namespaces", "-A", is_flag=True, help="Serve all namespaces.")
@click.option(
    "--beat-via",
    type=click.Choice(["service", "apiserver"]),
    default="service",
    show_default=True,
    help="How beat is reached: by its Service (in a pod), or through the API server (outside of the cluster).",
)
@click.option(
    "--beat-image", required=True, help="Image of beat where a Broker names none; any image with umbel in it."
)
@click.option("--beat-image-pull-policy", type=click.Choice(["Always", "IfNotPresent", "Never"]))
@click.option("--network-policies", is_flag=True, help="Narrow the port of beat and of workers with NetworkPolicies.")
@click.option(
    "--network-policy-namespace",
    "network_policy_namespaces",
    multiple=True,
    callback=_check_names,
    help="Let this namespace through to that port too, e.g. the monitoring's; may be given repeatedly.",
)
@click.option(
    "--monitors",
    is_flag=True,
    help="Make a ServiceMonitor for each Broker's beat and a PodMonitor for each WorkerPool.",
)
@click.option("--monitor-interval", default="30s", show_default=True, help="Time between two scrapes, for Prometheus.")
@click.option(
    "--monitor-label",
    "monitor_labels",
    multiple=True,
    metavar="NAME=VALUE",
    callback=_check_labels,
    help="Label of these monitors, by which Prometheus chooses them; may be given repeatedly.",
)
@click.option(
    "--worker-security-context",
    metavar="JSON",
    callback=_check_object,
    help="Fields for the security context of every worker's container, unless its WorkerPool's template says otherwise.",
)
@click.option("--health-port", type=int, default=8080, show_default=True, help="Port of /livez, /readyz and /metrics.")
@click.option("--log-format", type=click.Choice(["json", "text"]), default="text", show_default=True)
@click.option("--log-level", type=click.Choice(["debug", "info", "warning"]), default="info", show_default=True)
@click.option("--operator-class", default="", help="Serve only resources with this value of umbel.dev/operator-class.")
@click.option(
    "--leader-elect", is_flag=True, help="Work only while holding a Lease: for several operators, of which one works."
)
@click.option("--lease-name", default="umbel-operator", show_default=True, help="Name of that Lease.")
@click.option("--lease-namespace", help="Namespace of that Lease; in a pod its own, if not given.")
def run(
    namespaces: tuple[str, ...],
    all_namespaces: bool,
    beat_via: str,
    beat_image: str,
    beat_image_pull_policy: str | None,
    network_policies: bool,
    network_policy_namespaces: tuple[str, ...],
    monitors: bool,
    monitor_interval: str,
    monitor_labels: tuple[tuple[str, str], ...],
    worker_security_context: dict[str, Any] | None,
    health_port: int,
    log_format: str,
    log_level: str,
    operator_class: str,
    leader_elect: bool,
    lease_name: str,
    lease_namespace: str | None,
) -> None:
    """Run the operator until SIGTERM or Ctrl-C."""
    if bool(namespaces) == all_namespaces:
        raise click.UsageError("Say which namespaces to serve: either --namespace NAME (repeatedly) or -A for all.")
    end_on_an_early_signal()
    allow_deep_json()
    configure(log_format, getattr(logging, log_level.upper()))
    home = own_namespace()
    lease = _lease(lease_namespace or home, lease_name) if leader_elect else None
    options = Options(
        namespaces=namespaces or None,
        beat_via=beat_via,
        health_port=health_port,
        operator_class=operator_class,
        instance=socket.gethostname(),
        version=version("umbel"),
        settings=Settings(
            beat_image=beat_image,
            beat_image_pull_policy=beat_image_pull_policy,
            network_policies=network_policies,
            network_policy_namespaces=tuple(dict.fromkeys((*((home,) if home else ()), *network_policy_namespaces))),
            worker_security_context=worker_security_context,
            monitors=Monitors(interval=monitor_interval, labels=monitor_labels) if monitors else None,
        ),
        lease=lease,
    )
    try:
        asyncio.run(_run(options))
    except (NoClusterError, NotReadyError, ApiError) as error:
        click.echo(f"umbel-operator: {error}", err=True)
        sys.exit(1)


def _lease(namespace: str | None, name: str) -> LeaseName:
    """Name the Lease, and this process in it: a pod that starts anew has its host name, and is another all the same."""
    if not namespace:
        raise click.UsageError("--leader-elect outside of a pod needs --lease-namespace, the namespace of the Lease.")
    return LeaseName(namespace, name, f"{socket.gethostname()}_{uuid4().hex[:12]}")


@main.command()
@click.option("--filename", "-f", required=True, type=click.Path(path_type=Path), help="YAML file with the resources.")
@click.option("--wait", type=float, default=60, show_default=True, help="Seconds to wait until the cluster is ready.")
@click.option("--manager", default="umbel-apply", show_default=True, help="Field manager to apply as.")
def apply(filename: Path, wait: float, manager: str) -> None:
    """Create or change Umbel's resources from a file, as soon as the cluster serves their kinds.

    The chart's job runs this: Helm cannot create a Broker in the step that creates the Broker's CRD.
    """
    configure("text")
    try:
        asyncio.run(_apply(read_resources(filename), wait, manager))
    except (BadFileError, NoClusterError, NotReadyError, ApiError) as error:
        click.echo(f"umbel-operator: {error}", err=True)
        sys.exit(1)


@main.command()
@click.option("--operator", "address", metavar="URL", help="Ask the operator too, e.g. http://umbel-operator:8080.")
@click.option("--stored-versions", is_flag=True, help="See in which versions the kinds are stored; reads the CRDs.")
@click.option("--wait", type=float, default=60, show_default=True, help="Seconds to wait until all is well.")
def check(address: str | None, stored_versions: bool, wait: float) -> None:
    """Check an installation: the cluster serves the kinds, and the operator is ready.

    `helm test` runs this in a pod.
    """
    configure("text")
    try:
        asyncio.run(_check_installation(address, stored_versions, wait))
    except (NoClusterError, NotReadyError, ApiError) as error:
        click.echo(f"umbel-operator: {error}", err=True)
        sys.exit(1)
    click.echo("All is well.")


async def _check_installation(address: str | None, stored_versions: bool, wait: float) -> None:
    transport = Transport(await load_configuration(), reload=load_configuration)
    try:
        await check_installation(Api(transport), address, stored_versions=stored_versions, seconds=wait)
    finally:
        await transport.close()


async def _apply(resources: list[Json], wait: float, manager: str) -> None:
    transport = Transport(await load_configuration(), reload=load_configuration)
    try:
        await put(Api(transport), resources, manager=manager, seconds=wait)
    finally:
        await transport.close()


async def _run(options: Options) -> None:
    configuration = await load_configuration()
    options = await _check(Api(Transport(configuration)), options)
    await run_app(App(options, await load_configuration(), load_configuration))


async def _check(api: Api, options: Options) -> Options:
    """Check that the cluster is prepared; return the options without the namespaces that have gone."""
    try:
        server = await check_server(api)
        await check_kinds(api)
        options = await _without_monitors(api, options)
        options = await _with_nodes(api, options)
        missing = await missing_rights(
            api,
            options.namespaces,
            proxy=options.beat_via == "apiserver",
            without=options.settings.switched_off(),
            lease_namespace=options.lease.namespace if options.lease is not None else None,
        )
    finally:
        await api.transport.close()
    logger.info("cluster_checked", extra={"server": api.transport.server, "version": server})
    return _without_gone(options, missing)


async def _without_monitors(api: Api, options: Options) -> Options:
    """Make no monitors where the cluster does not have these kinds."""
    missing = await missing_monitors(api) if options.settings.monitors is not None else []
    if not missing:
        return options
    names = ", ".join(f"{name}.{MONITORS[0].group}" for name in missing)
    reason = f"The cluster does not know {names}: install the Prometheus operator, then restart this one."
    logger.warning("monitors_left_out", extra={"reason": reason})
    return replace(options, settings=replace(options.settings, monitors=None))


async def _with_nodes(api: Api, options: Options) -> Options:
    """Watch Nodes where this account may."""
    if await may_watch_nodes(api):
        return replace(options, watch_nodes=True)
    reason = "without the right to list and watch nodes, the end of a Node is noticed by that of its Pods"
    logger.info("nodes_not_watched", extra={"reason": reason})
    return options


def _without_gone(options: Options, missing: list[Right]) -> Options:
    """Leave out namespaces without any Role, as long as others are left: one that is deleted must not stop the rest."""
    gone = unbound(missing, options.namespaces)
    kept = tuple(name for name in options.namespaces or () if name not in gone)
    if kept:
        for name in gone:
            reason = say_missing([right for right in missing if right.namespace == name])
            logger.warning("namespace_not_served", extra={"namespace": name, "reason": reason})
        missing = [right for right in missing if right.namespace not in gone]
        options = replace(options, namespaces=kept)
    if missing:
        raise NotReadyError(say_missing(missing))
    return options
