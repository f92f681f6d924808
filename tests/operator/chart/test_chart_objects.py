"""Each object of the chart is one that Kubernetes takes, safe by default, and runs a command that exists."""

from __future__ import annotations

from typing import Any

import click
import pytest
import yaml
from tests.operator.chart.models import faults
from tests.operator.chart.rendering import NAMESPACE, VALUE_SETS, one, render, without_monitoring

from umbel_operator.api.kinds import BY_NAME
from umbel_operator.api.parse import parse_strict
from umbel_operator.cli import main

#: Kinds that belong to no namespace.
CLUSTER_WIDE = {"ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition"}


def pods(objects: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the pod templates, and the pod of `helm test`."""
    templates = [o["spec"]["template"] for o in objects if o["kind"] in ("Deployment", "Job")]
    return templates + [o for o in objects if o["kind"] == "Pod"]


def brokers(objects: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the Brokers that the job applies."""
    return [b for b in yaml.safe_load_all(one(objects, "ConfigMap")["data"]["brokers.yaml"]) if b]


def command(pod: dict[str, Any]) -> click.Context:
    """Let the operator's command line read what a pod runs, without running it."""
    (container,) = pod["spec"]["containers"]
    assert container["command"] == ["umbel-operator"]
    name, *arguments = container["args"]
    return main.commands[name].make_context(name, list(arguments))


@pytest.mark.parametrize("values", VALUE_SETS)
def test_fields_and_types_are_known_to_kubernetes(values: str) -> None:
    found = {o["metadata"]["name"]: faults(o) for o in without_monitoring(render(values))}
    assert {name: wrong for name, wrong in found.items() if wrong} == {}


def test_the_check_of_fields_finds_faults() -> None:
    deployment = one(render("default"), "Deployment")
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    container["imagePulPolicy"] = "Always"
    assert faults(deployment) == ["Deployment.spec.template.spec.containers[0].imagePulPolicy: unknown field"]
    del container["imagePulPolicy"]
    container["env"] = [{"name": "A", "value": 1}]
    assert faults(deployment) == ["value: Input should be a valid string"]
    container["env"] = []
    del deployment["spec"]["selector"]
    assert [fault.partition(":")[0] for fault in faults(deployment)] == ["selector"]


@pytest.mark.parametrize("values", VALUE_SETS)
def test_objects_say_their_namespace_and_whose_they_are(values: str) -> None:
    for obj in render(values):
        meta = obj["metadata"]
        assert ("namespace" in meta) == (obj["kind"] not in CLUSTER_WIDE), meta["name"]
        assert meta["labels"]["app.kubernetes.io/part-of"] == "umbel"
        # That value marks what the operator makes, and it would take the chart's objects for its own.
        assert meta["labels"]["app.kubernetes.io/managed-by"] == "Helm"
        assert len(meta["name"]) <= 63


@pytest.mark.parametrize("values", VALUE_SETS)
def test_names_are_unique(values: str) -> None:
    names = [(o["kind"], o["metadata"].get("namespace"), o["metadata"]["name"]) for o in render(values)]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("values", VALUE_SETS)
def test_pods_satisfy_the_restricted_level(values: str) -> None:
    """Given any value set, then its pods fulfil Pod Security `restricted`, and write only to volumes."""
    for pod in pods(render(values)):
        spec = pod["spec"]
        context = spec["securityContext"]
        assert context["runAsNonRoot"] is True
        assert context["runAsUser"] == 65532
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in spec["containers"]:
            own = container["securityContext"]
            assert own["allowPrivilegeEscalation"] is False
            assert own["capabilities"] == {"drop": ["ALL"]}
            assert own["readOnlyRootFilesystem"] is True
        assert all(set(volume) - {"name"} <= {"emptyDir", "configMap"} for volume in spec["volumes"])


@pytest.mark.parametrize("values", VALUE_SETS)
def test_selectors_find_their_pods_and_only_these(values: str) -> None:
    objects = render(values)
    for deployment in (o for o in objects if o["kind"] == "Deployment"):
        selector = deployment["spec"]["selector"]["matchLabels"]
        matches = [p for p in pods(objects) if selector.items() <= p["metadata"]["labels"].items()]
        assert matches == [deployment["spec"]["template"]]
        # Never two of what must be alone; operators that agree by a Lease need not be.
        elects = "--leader-elect" in (deployment["spec"]["template"]["spec"]["containers"][0].get("args") or ())
        assert deployment["spec"]["strategy"]["type"] == ("RollingUpdate" if elects else "Recreate")
    for service in (o for o in objects if o["kind"] == "Service"):
        selector = service["spec"]["selector"]
        (pod,) = [p for p in pods(objects) if selector.items() <= p["metadata"]["labels"].items()]
        ports = {port["name"]: port["containerPort"] for c in pod["spec"]["containers"] for port in c["ports"]}
        assert all(port["targetPort"] in ports for port in service["spec"]["ports"])


@pytest.mark.parametrize("values", VALUE_SETS)
def test_operator_runs_with_options_that_it_has(values: str) -> None:
    objects = render(values, "redis.enabled=false") if values != "trial" else render(values)
    (deployment,) = [o for o in objects if o["kind"] == "Deployment" and o["metadata"]["name"].endswith("-operator")]
    options = command(deployment["spec"]["template"]).params
    assert options["all_namespaces"] == (not options["namespaces"])
    container = deployment["spec"]["template"]["spec"]["containers"][0]
    assert container["ports"] == [{"name": "http", "containerPort": options["health_port"], "protocol": "TCP"}]
    assert container["livenessProbe"]["httpGet"] == {"path": "/livez", "port": "http"}
    assert container["readinessProbe"]["httpGet"] == {"path": "/readyz", "port": "http"}


def test_values_reach_the_operators_options() -> None:
    options = command(one(render("namespaced"), "Deployment")["spec"]["template"]).params
    assert options["namespaces"] == ("shop", "billing")
    assert options["operator_class"] == "team-a"
    assert options["network_policies"] is True
    assert options["log_format"] == "json"
    options = command(one(render("guarded"), "Deployment")["spec"]["template"]).params
    assert options["network_policy_namespaces"] == ("monitoring", "keda")
    assert (options["monitors"], options["monitor_interval"], options["monitor_labels"]) == (True, "30s", ())
    assert options["worker_security_context"] == {
        "readOnlyRootFilesystem": True,
        "seccompProfile": {"type": "Localhost"},
    }
    options = command(one(render("monitoring"), "Deployment")["spec"]["template"]).params
    assert (options["monitor_interval"], options["monitor_labels"]) == ("15s", (("release", "prometheus"),))
    options = command(one(render("pod"), "Deployment")["spec"]["template"]).params
    assert (options["log_format"], options["log_level"]) == ("text", "debug")


@pytest.mark.parametrize(
    ("sets", "operator", "beat"),
    [
        ((), "ghcr.io/umbel-dev/umbel:0.1.0", "ghcr.io/umbel-dev/umbel:0.1.0"),
        (("image.tag=v7",), "ghcr.io/umbel-dev/umbel:v7", "ghcr.io/umbel-dev/umbel:v7"),
        (("image.repository=a", "beatImage.repository=b"), "a:0.1.0", "b:0.1.0"),
        (("beatImage.tag=v9",), "ghcr.io/umbel-dev/umbel:0.1.0", "ghcr.io/umbel-dev/umbel:v9"),
        ((f"image.digest=sha256:{'a' * 64}",), f"ghcr.io/umbel-dev/umbel@sha256:{'a' * 64}", None),
        (
            (f"image.digest=sha256:{'a' * 64}", "beatImage.repository=b"),
            f"ghcr.io/umbel-dev/umbel@sha256:{'a' * 64}",
            "b:0.1.0",
        ),
    ],
)
def test_images(sets: tuple[str, ...], operator: str, beat: str | None) -> None:
    """Given no image for beat, then it is the operator's; a digest counts only for its own repository."""
    pod = one(render(None, *sets), "Deployment")["spec"]["template"]
    assert pod["spec"]["containers"][0]["image"] == operator
    assert command(pod).params["beat_image"] == (beat or operator)


def test_brokers_are_applied_by_a_job_after_install_and_upgrade() -> None:
    objects = render("trial")
    job = one(objects, "Job")
    hook = {"helm.sh/hook": "post-install,post-upgrade", "helm.sh/hook-delete-policy": _CLEAN}
    assert hook.items() <= job["metadata"]["annotations"].items()
    assert command(job["spec"]["template"]).params["filename"].name == "brokers.yaml"
    (broker,) = brokers(objects)
    assert (broker["metadata"]["name"], broker["metadata"]["namespace"]) == ("default", "shop")
    redis = one(objects, "Service", "umbel-redis")
    (port,) = redis["spec"]["ports"]
    address = f"{redis['metadata']['name']}.{NAMESPACE}.svc:{port['port']}"
    assert broker["spec"] == {"connection": {"addresses": [address]}}


def test_brokers_of_the_values_are_valid_and_of_the_operators_class() -> None:
    found = brokers(render("brokers"))
    assert [(b["metadata"]["namespace"], b["metadata"]["name"]) for b in found] == [
        ("shop", "default"),
        ("shop", "reports"),
        ("billing", "default"),
    ]
    for broker in found:
        parse_strict(BY_NAME["Broker"], broker)
        assert broker["metadata"]["labels"]["umbel.dev/operator-class"] == "blue"
    assert found[1]["spec"]["beat"]["lockTTLSeconds"] == 30


def test_the_jobs_account_may_write_brokers_there_and_nothing_else() -> None:
    objects = render("brokers")
    roles = [o for o in objects if o["kind"] == "Role" and o["metadata"]["name"] == "umbel-brokers"]
    assert [role["metadata"]["namespace"] for role in roles] == ["shop", "billing"]
    for role in roles:
        assert role["rules"] == [{"apiGroups": ["umbel.dev"], "resources": ["brokers"], "verbs": ["create", "patch"]}]
    for obj in objects:
        if obj["metadata"]["name"] == "umbel-brokers":
            assert obj["metadata"]["annotations"]["helm.sh/hook-delete-policy"] == _CLEAN, obj["kind"]


@pytest.mark.parametrize(
    ("sets", "bound"),
    [
        ((), 1),
        (("podDisruptionBudget.maxUnavailable=50%",), "50%"),
        (("podDisruptionBudget.enabled=false",), None),
        (("replicas=1",), None),
        (("replicas=1", "leaderElection.enabled=false"), None),
    ],
)
def test_several_operators_have_a_disruption_budget_and_one_has_none(sets: tuple[str, ...], bound: Any) -> None:
    objects = render("elected", *sets)
    budgets = [o for o in objects if o["kind"] == "PodDisruptionBudget"]
    assert [budget["spec"]["maxUnavailable"] for budget in budgets] == ([] if bound is None else [bound])
    for budget in budgets:
        assert budget["spec"]["selector"] == one(objects, "Deployment")["spec"]["selector"]


def test_redis_is_off_unless_asked_for() -> None:
    assert not [o for o in render("default") if "redis" in o["metadata"]["name"]]


_CLEAN = "before-hook-creation,hook-succeeded"
