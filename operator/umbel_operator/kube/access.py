"""What the operator needs before it can work: a cluster that answers, the four kinds, and its rights."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from umbel_operator.api.names import GROUP, VERSION
from umbel_operator.kube.client import Api
from umbel_operator.kube.errors import ApiError, GoneError
from umbel_operator.kube.resources import ACCESS_REVIEWS, MONITORS, OWN, Resource
from umbel_operator.kube.transport import Request

_READ = ("get", "list", "watch")
_WRITE = (*_READ, "create", "patch", "delete")

#: (group, resource or resource/subresource, verbs): the operator's whole table of rights.
RIGHTS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    (GROUP, "brokers", (*_READ, "patch")),
    (GROUP, "taskqueues", (*_READ, "patch")),
    (GROUP, "workerpools", (*_READ, "patch")),
    (GROUP, "schedules", (*_READ, "patch")),
    (GROUP, "brokers/status", ("patch",)),
    (GROUP, "taskqueues/status", ("patch",)),
    (GROUP, "workerpools/status", ("patch",)),
    (GROUP, "schedules/status", ("patch",)),
    ("apps", "deployments", _WRITE),
    ("", "configmaps", _WRITE),
    ("", "services", _WRITE),
    ("", "pods", (*_READ, "patch")),
    ("policy", "poddisruptionbudgets", _WRITE),
    ("networking.k8s.io", "networkpolicies", _WRITE),
    ("monitoring.coreos.com", "servicemonitors", _WRITE),
    ("monitoring.coreos.com", "podmonitors", _WRITE),
    ("events.k8s.io", "events", ("create", "patch")),
)

#: Rights that the operator needs only when it serves all namespaces.
CLUSTER_RIGHTS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("apiextensions.k8s.io", "customresourcedefinitions", _READ),
    ("", "namespaces", _READ),
)

#: Rights without which it works all the same: who may not watch Nodes hears of a deleted one by its Pods.
NODE_RIGHTS: tuple[tuple[str, str, tuple[str, ...]], ...] = (("", "nodes", ("list", "watch")),)

#: Rights that the operator needs only when it reaches beat through the API server.
PROXY_RIGHTS: tuple[tuple[str, str, tuple[str, ...]], ...] = (("", "services/proxy", ("get", "create")),)


#: Rights in the namespace of the Lease, for an operator that is one of several.
LEASE_RIGHTS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("coordination.k8s.io", "leases", ("get", "create", "patch")),
)


class NotReadyError(Exception):
    """The cluster is not prepared for the operator; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Right:
    """One verb on one resource, in one namespace or (None) in all."""

    group: str
    resource: str
    verb: str
    namespace: str | None


async def check_server(api: Api) -> str:
    """Ask the API server for its version; raise NotReadyError where none answers or it does not let us in."""
    try:
        answer = await api.transport.send(Request("GET", "/version", what="get the server's version", seconds=10))
    except ApiError as error:
        if error.status in (401, 403):
            raise NotReadyError(
                f"The API server {api.transport.server} refuses this account: {error.message}. Check the credentials."
            ) from error
        raise NotReadyError(
            f"No cluster is reachable: {error.message}. Check that the cluster runs and that KUBECONFIG points to it."
        ) from error
    return str(answer.body.get("gitVersion", "unknown"))


async def check_kinds(api: Api) -> None:
    """Check that the four kinds are served; raise NotReadyError naming those that are not."""
    missing = await _not_served(api, OWN)
    if missing:
        raise NotReadyError(
            f"The cluster does not know {', '.join(f'{name}.{GROUP}' for name in missing)} ({VERSION}): install the "
            "CRDs with `kubectl apply --server-side -f crds/`, or the chart with crds.enabled=true."
        )


async def missing_monitors(api: Api) -> list[str]:
    """Name the kinds of the Prometheus operator that the cluster does not have."""
    return await _not_served(api, MONITORS)


async def _not_served(api: Api, kinds: Sequence[Resource]) -> list[str]:
    """Name those of the kinds, all of one group and version, that the API server does not serve."""
    group = kinds[0].api_version
    try:
        answer = await api.transport.send(
            Request("GET", f"/apis/{group}", what=f"look for the kinds of {group}", seconds=10)
        )
        served = {str(r.get("name")) for r in answer.body.get("resources") or ()}
    except GoneError:
        served = set()
    return [kind.plural for kind in kinds if kind.plural not in served]


async def missing_rights(
    api: Api,
    namespaces: Sequence[str] | None,
    *,
    proxy: bool = False,
    without: Iterable[str] = (),
    lease_namespace: str | None = None,
    parallel: int = 8,
) -> list[Right]:
    """Ask the API server which of the operator's rights this account lacks.

    namespaces: those that the operator serves, or None for all.
    proxy: beat is reached through the API server. without: plural names of resources that are switched off.
    lease_namespace: where the Lease is, for an operator that is one of several. parallel: requests at a time.
    """
    skipped = set(without)
    table = RIGHTS + (CLUSTER_RIGHTS if namespaces is None else ()) + (PROXY_RIGHTS if proxy else ())
    rights = [
        Right(group, resource, verb, namespace)
        for namespace in (namespaces if namespaces is not None else (None,))
        for group, resource, verbs in table
        if resource not in skipped
        for verb in verbs
    ]
    if lease_namespace is not None:
        rights += [Right(g, resource, verb, lease_namespace) for g, resource, verbs in LEASE_RIGHTS for verb in verbs]
    gate = asyncio.Semaphore(parallel)

    async def lacks(right: Right) -> bool:
        async with gate:
            return not await _allowed(api, right)

    answers = await asyncio.gather(*(lacks(right) for right in rights))
    return [right for right, lacking in zip(rights, answers, strict=True) if lacking]


async def may_watch_nodes(api: Api) -> bool:
    """Tell whether this account has the rights on Nodes, which belong to no namespace."""
    rights = [Right(group, resource, verb, None) for group, resource, verbs in NODE_RIGHTS for verb in verbs]
    return all([await _allowed(api, right) for right in rights])


async def may(api: Api, resource: Resource, verbs: Iterable[str], namespace: str | None) -> bool:
    """Tell whether this account has rights on a kind, in one namespace or (None) in all."""
    rights = [Right(resource.group, resource.plural, verb, namespace) for verb in verbs]
    return all([await _allowed(api, right) for right in rights])


def unbound(missing: Sequence[Right], namespaces: Sequence[str] | None) -> list[str]:
    """Name the namespaces in which this account may not even list what it serves: they are gone, or never were."""
    lists = {right.namespace for right in missing if (right.resource, right.verb) == ("brokers", "list")}
    return [namespace for namespace in namespaces or () if namespace in lists]


def say_missing(rights: Sequence[Right]) -> str:
    """Put missing rights into one line that says what to do."""
    verbs: dict[tuple[str, str | None], list[str]] = {}
    for right in rights:
        name = f"{right.resource}.{right.group}" if right.group else right.resource
        verbs.setdefault((name, right.namespace), []).append(right.verb)
    lines = [
        f"{'/'.join(names)} {resource}" + (f" in {namespace}" if namespace else "")
        for (resource, namespace), names in verbs.items()
    ]
    return (
        f"The operator's account may not: {'; '.join(lines)}. Grant these with a (Cluster)Role and its binding, as the "
        "chart does with rbac.create=true; with namespaced Roles pass --namespace for each namespace instead of -A."
    )


async def _allowed(api: Api, right: Right) -> bool:
    resource, _, subresource = right.resource.partition("/")
    attributes = {"group": right.group, "resource": resource, "verb": right.verb}
    if subresource:
        attributes["subresource"] = subresource
    if right.namespace:
        attributes["namespace"] = right.namespace
    answer = await api.transport.send(
        Request(
            "POST",
            ACCESS_REVIEWS.path(),
            what="review the operator's own rights",
            plural=ACCESS_REVIEWS.plural,
            body={
                "apiVersion": ACCESS_REVIEWS.api_version,
                "kind": ACCESS_REVIEWS.kind,
                "spec": {"resourceAttributes": attributes},
            },
        )
    )
    return bool((answer.body.get("status") or {}).get("allowed"))
