"""The operator's rights are the documented table, and no more; users' roles fit into view, edit and admin."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import pytest
from tests.operator.chart.rendering import NAMESPACE, VALUE_SETS, is_test, one, render

from umbel_operator.kube.access import CLUSTER_RIGHTS, NODE_RIGHTS, RIGHTS

READ = ("get", "list", "watch")
WRITE = (*READ, "create", "patch", "delete")
OWN = ("brokers", "taskqueues", "workerpools", "schedules")

#: (group, resource) -> verbs: the whole table of rights in a namespace that is served.
TABLE: dict[tuple[str, str], tuple[str, ...]] = {
    **{("umbel.dev", kind): (*READ, "patch") for kind in OWN},
    **{("umbel.dev", f"{kind}/status"): ("get", "patch") for kind in OWN},
    ("umbel.dev", "workerpools/scale"): ("get", "patch"),
    ("apps", "deployments"): WRITE,
    ("", "configmaps"): WRITE,
    ("", "services"): WRITE,
    ("policy", "poddisruptionbudgets"): WRITE,
    ("", "pods"): (*READ, "patch"),
    ("events.k8s.io", "events"): ("create", "patch"),
}
#: What serving all namespaces needs besides.
CLUSTER_TABLE = {("apiextensions.k8s.io", "customresourcedefinitions"): READ, ("", "namespaces"): READ}
#: What it is granted for all namespaces, and can do without.
NODES = {("", "nodes"): ("list", "watch")}
LEASES = {("coordination.k8s.io", "leases"): ("get", "create", "patch")}
MONITORS = {("monitoring.coreos.com", kind): WRITE for kind in ("servicemonitors", "podmonitors")}
POLICIES = {("networking.k8s.io", "networkpolicies"): WRITE}
#: Where they are switched off, those from before are taken away.
NO_MONITORS = dict.fromkeys(MONITORS, ("list", "delete"))
NO_POLICIES = dict.fromkeys(POLICIES, ("list", "delete"))


def granted(role: dict[str, Any]) -> dict[tuple[str, str], set[str]]:
    """Return the verbs that a role grants on each resource by any name."""
    table: dict[tuple[str, str], set[str]] = {}
    for rule in role["rules"]:
        if "resourceNames" not in rule:
            for group in rule["apiGroups"]:
                for resource in rule["resources"]:
                    table.setdefault((group, resource), set()).update(rule["verbs"])
    return table


def as_sets(*tables: Mapping[tuple[str, str], tuple[str, ...]]) -> dict[tuple[str, str], set[str]]:
    return {key: set(verbs) for table in tables for key, verbs in table.items()}


def test_operator_for_all_namespaces_has_the_table() -> None:
    objects = render("default")
    assert granted(one(objects, "ClusterRole", "umbel-operator")) == as_sets(
        TABLE, CLUSTER_TABLE, NODES, NO_MONITORS, NO_POLICIES
    )
    assert granted(one(objects, "Role")) == as_sets(LEASES)
    assert one(objects, "Role")["metadata"]["namespace"] == NAMESPACE


def test_network_policies_are_granted_only_where_they_are_made() -> None:
    objects = render(None, "networkPolicy.enabled=true")
    assert granted(one(objects, "ClusterRole", "umbel-operator")) == as_sets(
        TABLE, CLUSTER_TABLE, NODES, POLICIES, NO_MONITORS
    )


def test_monitors_are_granted_only_where_they_are_made() -> None:
    objects = render(None, "metrics.serviceMonitor.enabled=true")
    assert granted(one(objects, "ClusterRole", "umbel-operator")) == as_sets(
        TABLE, CLUSTER_TABLE, NODES, MONITORS, NO_POLICIES
    )


def test_nodes_are_granted_unless_somebody_says_no() -> None:
    objects = render(None, "rbac.nodes=false")
    assert granted(one(objects, "ClusterRole", "umbel-operator")) == as_sets(
        TABLE, CLUSTER_TABLE, NO_MONITORS, NO_POLICIES
    )


def test_the_account_of_the_test_reads_the_crds_and_nothing_else() -> None:
    kinds = [f"{kind}.umbel.dev" for kind in OWN]
    (role,) = [o for o in render("default") if o["kind"] == "ClusterRole" and is_test(o)]
    group, resource = "apiextensions.k8s.io", "customresourcedefinitions"
    assert role["rules"] == [{"apiGroups": [group], "resources": [resource], "resourceNames": kinds, "verbs": ["get"]}]


def test_operator_of_namespaces_has_roles_there_and_nothing_cluster_wide() -> None:
    objects = render("namespaced", "crds.enabled=false")
    assert not [o for o in objects if o["kind"].startswith("Cluster")]
    for namespace in ("shop", "billing"):
        mine = [o for o in objects if o["metadata"].get("namespace") == namespace]
        role, binding = one(mine, "Role"), one(mine, "RoleBinding")
        assert granted(role) == as_sets(TABLE, POLICIES, NO_MONITORS)
        named = [rule for rule in role["rules"] if "resourceNames" in rule]
        own = {"apiGroups": [""], "resources": ["namespaces"], "resourceNames": [namespace], "verbs": ["get"]}
        assert named == [own]
        assert binding["roleRef"]["name"] == role["metadata"]["name"]


def test_table_covers_what_the_operator_checks_at_its_start() -> None:
    """Given the rights without which the operator refuses to start, then the chart grants each."""
    objects = render(None, "networkPolicy.enabled=true", "metrics.serviceMonitor.enabled=true")
    table = granted(one(objects, "ClusterRole", "umbel-operator"))
    for group, resource, verbs in RIGHTS + CLUSTER_RIGHTS + NODE_RIGHTS:
        assert set(verbs) <= table[group, resource], resource


@pytest.mark.parametrize("values", VALUE_SETS)
def test_never_secrets_exec_or_roles_and_no_wildcards(values: str) -> None:
    for role in (o for o in render(values) if o["kind"] in ("Role", "ClusterRole")):
        for rule in role["rules"]:
            words = [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]
            assert "*" not in words
            assert not {"secrets", "pods/exec", "pods/attach", "serviceaccounts/token"} & set(rule["resources"])
            assert "rbac.authorization.k8s.io" not in rule["apiGroups"]
            assert not {"impersonate", "escalate", "bind"} & set(rule["verbs"])


@pytest.mark.parametrize("values", VALUE_SETS)
def test_bindings_bind_roles_of_the_chart_to_its_accounts(values: str) -> None:
    objects = render(values)
    made = {(o["kind"], o["metadata"].get("namespace"), o["metadata"]["name"]) for o in objects}
    for binding in (o for o in objects if o["kind"].endswith("RoleBinding")):
        place = binding["metadata"].get("namespace")
        reference = binding["roleRef"]
        assert (reference["kind"], place, reference["name"]) in made
        (subject,) = binding["subjects"]
        assert (subject["kind"], subject["namespace"], subject["name"]) in made


def test_an_account_made_by_hand_is_used_and_nothing_is_granted() -> None:
    objects = render("least")
    assert {o["kind"] for o in objects} == {"Deployment", "Pod"}
    assert one(objects, "Deployment")["spec"]["template"]["spec"]["serviceAccountName"] == "umbel-by-hand"
    (test,) = [o for o in objects if o["kind"] == "Pod"]
    assert test["spec"]["serviceAccountName"] == "umbel-by-hand"


def test_user_roles_build_on_each_other() -> None:
    objects = render("default")
    verbs = {name: granted(one(objects, "ClusterRole", f"umbel-{name}")) for name in ("view", "edit", "admin")}
    writes = {"create", "update", "patch", "delete", "deletecollection"}
    assert verbs["view"] == {("umbel.dev", kind): set(READ) for kind in OWN}
    assert verbs["edit"] == {
        **{("umbel.dev", kind): writes for kind in ("taskqueues", "workerpools", "schedules")},
        ("umbel.dev", "workerpools/scale"): {"get", "update", "patch"},
    }
    assert verbs["admin"] == {("umbel.dev", "brokers"): writes}
    for name in verbs:
        labels = one(objects, "ClusterRole", f"umbel-{name}")["metadata"]["labels"]
        assert _aggregates(labels) == [f"rbac.authorization.k8s.io/aggregate-to-{name}"]


def _aggregates(labels: Iterable[str]) -> list[str]:
    return [label for label in labels if label.startswith("rbac.authorization.k8s.io/")]
