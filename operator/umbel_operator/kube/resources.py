"""The kinds that the operator reads or writes, and their paths."""

from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from umbel_operator.api.names import GROUP, MANAGED_BY, VERSION


@dataclass(frozen=True, slots=True)
class Resource:
    """One kind as the API serves it."""

    group: str
    version: str
    plural: str
    kind: str
    namespaced: bool = True

    @property
    def api_version(self) -> str:
        """Tell what an object's `apiVersion` says."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str | None = None, name: str | None = None, subresource: str | None = None) -> str:
        """Spell the path of the collection, of one object, or of an object's subresource.

        namespace: None means all namespaces (only for lists) or a kind that has none.
        """
        root = f"/apis/{self.group}/{self.version}" if self.group else f"/api/{self.version}"
        parts = [root]
        if namespace is not None and self.namespaced:
            parts += ["namespaces", quote(namespace, safe="")]
        parts.append(self.plural)
        if name is not None:
            parts.append(quote(name, safe=""))
        if subresource is not None:
            parts.append(subresource)
        return "/".join(parts)


BROKERS = Resource(GROUP, VERSION, "brokers", "Broker")
TASKQUEUES = Resource(GROUP, VERSION, "taskqueues", "TaskQueue")
WORKERPOOLS = Resource(GROUP, VERSION, "workerpools", "WorkerPool")
SCHEDULES = Resource(GROUP, VERSION, "schedules", "Schedule")
DEPLOYMENTS = Resource("apps", "v1", "deployments", "Deployment")
CONFIGMAPS = Resource("", "v1", "configmaps", "ConfigMap")
SERVICES = Resource("", "v1", "services", "Service")
PODS = Resource("", "v1", "pods", "Pod")
PDBS = Resource("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget")
NETWORKPOLICIES = Resource("networking.k8s.io", "v1", "networkpolicies", "NetworkPolicy")
SERVICEMONITORS = Resource("monitoring.coreos.com", "v1", "servicemonitors", "ServiceMonitor")
PODMONITORS = Resource("monitoring.coreos.com", "v1", "podmonitors", "PodMonitor")
NAMESPACES = Resource("", "v1", "namespaces", "Namespace", namespaced=False)
NODES = Resource("", "v1", "nodes", "Node", namespaced=False)
EVENTS = Resource("events.k8s.io", "v1", "events", "Event")
LEASES = Resource("coordination.k8s.io", "v1", "leases", "Lease")
CRDS = Resource("apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", namespaced=False)
ACCESS_REVIEWS = Resource("authorization.k8s.io", "v1", "selfsubjectaccessreviews", "SelfSubjectAccessReview", False)

#: Users write these.
OWN = (BROKERS, TASKQUEUES, WORKERPOOLS, SCHEDULES)
#: The operator makes these; it watches those that carry its label.
CHILDREN = (DEPLOYMENTS, CONFIGMAPS, SERVICES, PDBS, NETWORKPOLICIES, SERVICEMONITORS, PODMONITORS)
#: Kinds of the Prometheus operator, which a cluster need not have.
MONITORS = (SERVICEMONITORS, PODMONITORS)

#: Label selector of everything that the operator makes.
MADE_BY_US = f"app.kubernetes.io/managed-by={MANAGED_BY}"

_BY_KIND = {(r.group, r.kind): r for r in (*OWN, *CHILDREN, PODS, NODES, NAMESPACES, EVENTS, CRDS, ACCESS_REVIEWS)}


def resource_of(obj: Any) -> Resource:
    """Find the resource of an object by its apiVersion and kind.

    Raises KeyError for a kind that the operator does not handle.
    """
    group, _, _ = str(obj["apiVersion"]).rpartition("/")
    return _BY_KIND[(group, str(obj["kind"]))]
