"""The values: every one is described and known to the schema, and a wrong one is refused with what to do."""

from __future__ import annotations

import json
from typing import Any

import pytest
import yaml
from tests.operator.chart.rendering import CHART, refusal, render_text, run_helm

from umbel_operator.api.crd import root_schema
from umbel_operator.api.kinds import BY_NAME

SCHEMA = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))
DEFAULTS = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))


def resolve(node: dict[str, Any]) -> dict[str, Any]:
    reference = node.get("$ref")
    return resolve(SCHEMA["definitions"][reference.rpartition("/")[2]]) if reference else node


def test_schema_and_defaults_have_the_same_keys() -> None:
    assert set(SCHEMA["properties"]) - {"global"} == set(DEFAULTS)
    for name, default in DEFAULTS.items():
        known = resolve(SCHEMA["properties"][name]).get("properties")
        if known is not None:
            assert set(known) == set(default), name


@pytest.mark.parametrize(
    "path",
    [
        "replicsa",
        "crds.enable",
        "image.repo",
        "redis.persistence",
        "redis.image.name",
        "metrics.service.port",
        "metrics.prometheusRule.alerts",
        "metrics.dashboards.folder",
        "networkPolicy.namespace",
        "serviceAccount.labels",
        "brokers[0].adresses",
        "brokers[0].connection.adress",
        "brokers[0].connection.tls.ca",
        "brokers[0].beat.replica",
    ],
)
def test_an_unknown_key_is_named(path: str) -> None:
    said = refusal("brokers[0].namespace=shop", "brokers[0].connection.addresses={redis:6379}", f"{path}=x")
    assert f"additional properties '{path.rpartition('.')[2]}' not allowed" in said


@pytest.mark.parametrize(
    ("sets", "says"),
    [
        (("replicas=2",), "at '/replicas': maximum: got 2, want 1"),
        (("logFormat=xml",), "at '/logFormat': value must be one of 'json', 'text'"),
        (("logLevel=error",), "at '/logLevel': value must be one of 'debug', 'info', 'warning'"),
        (("image.pullPolicy=Sometimes",), "at '/image/pullPolicy'"),
        (("image.digest=latest",), "at '/image/digest'"),
        (("watchNamespaces={a,a}",), "at '/watchNamespaces': items at 0 and 1 are equal"),
        (("watchNamespaces={Shop}",), "at '/watchNamespaces/0'"),
        (("brokers[0].name=x",), "missing property 'namespace'"),
        (("brokers[0].namespace=shop", "brokers[0].connection.database=1"), "missing property 'addresses'"),
        (("brokers[0].namespace=shop", "brokers[0].connection.addresses={redis}"), "/connection/addresses/0"),
        (
            ("brokers[0].namespace=shop",),
            'brokers[0] (namespace "shop") has no connection: set connection.addresses to your Redis, or redis.enabled',
        ),
        (
            ("redis.enabled=true", "brokers[0].namespace=shop", "watchNamespaces={billing}"),
            'brokers[0].namespace "shop" is not served: add it to watchNamespaces',
        ),
        (
            ("redis.enabled=true", "brokers[0].namespace=shop", "rbac.create=false"),
            "brokers needs rbac.create=true, for the job that applies them",
        ),
        (("serviceAccount.create=false",), "say in serviceAccount.name which ServiceAccount the operator runs as"),
        (
            ("metrics.service.enabled=false", "metrics.serviceMonitor.enabled=true"),
            "metrics.serviceMonitor.enabled needs the Service that it reads from: set metrics.service.enabled=true",
        ),
        (
            ("metrics.prometheusRule.enabled=true", "metrics.prometheusRule.disabled={UmbelTasksWiat}"),
            'metrics.prometheusRule.disabled: there is no alert "UmbelTasksWiat"; known are UmbelTasksWait, ',
        ),
        (("networkPolicy.namespaces={Monitoring}",), "at '/networkPolicy/namespaces/0'"),
    ],
)
def test_a_wrong_value_is_refused_with_what_to_do(sets: tuple[str, ...], says: str) -> None:
    assert says in " ".join(refusal(*sets).split())


def test_a_brokers_fields_are_those_of_the_kind() -> None:
    """Given the Broker's CRD, then the values know the same fields at every level."""
    spec = root_schema(BY_NAME["Broker"])["properties"]["spec"]
    broker = resolve(SCHEMA["definitions"]["broker"])
    assert set(broker["properties"]) == {"namespace", "name", *spec["properties"]}
    for name, field in spec["properties"].items():
        _same_fields(field, resolve(broker["properties"][name]), name)


def _same_fields(crd: dict[str, Any], values: dict[str, Any], path: str) -> None:
    if "properties" not in crd:
        return
    if crd.get("x-kubernetes-preserve-unknown-fields"):
        return
    assert values.get("additionalProperties") is False, path
    assert set(values["properties"]) == set(crd["properties"]), path
    for name, field in crd["properties"].items():
        _same_fields(field, resolve(values["properties"][name]), f"{path}.{name}")


def test_every_value_has_a_comment() -> None:
    """Given values.yaml, then a comment stands before each top-level value or explains what is in it."""
    lines = (CHART / "values.yaml").read_text(encoding="utf-8").splitlines()
    uncommented = []
    for number, line in enumerate(lines):
        name = line.partition(":")[0]
        if name in DEFAULTS and not line.startswith(("#", " ")):
            block = [lines[number - 1], *lines[number + 1 : number + 3]]
            if not any(text.strip().startswith("#") for text in block):
                uncommented.append(name)
    passed_on = {"podLabels", "extraEnv", "priorityClassName", "nodeSelector", "tolerations", "affinity"}
    # `resources` and the security contexts speak for themselves, under the comments beside them.
    assert set(uncommented) <= passed_on | {"topologySpreadConstraints", "resources", "securityContext"}


def test_a_parent_chart_may_pass_global_values() -> None:
    assert render_text(None, "global.anything=1")


@pytest.mark.parametrize(
    ("sets", "says"),
    [
        ((), 'addresses: ["redis:6379"]'),
        (("redis.enabled=true",), 'addresses: ["umbel-redis.umbel-system.svc:6379"]'),
        (("redis.enabled=true",), "has no password"),
        (("redis.enabled=true", "brokers[0].namespace=shop"), "kubectl --namespace shop get broker default"),
        (("operatorClass=blue",), 'labels: {umbel.dev/operator-class: "blue"}'),
        (("crds.keep=false",), "deletes the CRDs and with them EVERY Broker"),
        (("crds.enabled=false",), "the CRDs must have been installed otherwise"),
        (("watchNamespaces={shop,billing}",), "It serves the namespaces shop, billing."),
        ((), "helm test umbel --namespace umbel-system"),
        (("metrics.prometheusRule.enabled=true",), "NO monitor and no rule was made"),
    ],
)
def test_notes_say_what_to_do_next(sets: tuple[str, ...], says: str) -> None:
    assert says in notes(*sets)


@pytest.mark.parametrize("sets", [(), ("redis.enabled=true", "operatorClass=blue", "watchNamespaces={shop}")])
def test_yaml_of_the_notes_is_valid(sets: tuple[str, ...]) -> None:
    from umbel_operator.api.parse import parse_strict

    text = notes(*sets)
    found = []
    for block in text.split("kubectl apply -f - <<END\n")[1:]:
        for document in yaml.safe_load_all(block.partition("END")[0]):
            parse_strict(BY_NAME[document["kind"]], document)
            found.append(document["kind"])
    assert found == ["Broker", "TaskQueue", "WorkerPool"]


def notes(*sets: str) -> str:
    """Return what Helm says after an installation with these values."""
    arguments = ["install", "umbel", str(CHART), "--namespace", "umbel-system", "--dry-run=client"]
    for pair in sets:
        arguments += ["--set", pair]
    done = run_helm(*arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout.partition("NOTES:\n")[2]
