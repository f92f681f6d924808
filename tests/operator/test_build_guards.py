"""NetworkPolicies and monitors of beat and of workers."""

from __future__ import annotations

from typing import Any

import pytest
from tests.operator.resources import SETTINGS, broker, pool

from umbel_operator.build.broker import build_beat_deployment, build_beat_service
from umbel_operator.build.deployment import build_worker_deployment
from umbel_operator.build.monitors import build_beat_monitor, build_worker_monitor
from umbel_operator.build.networkpolicy import build_beat_network_policy, build_worker_network_policy
from umbel_operator.build.settings import Monitors, Settings

POLICIES = Settings(beat_image="x", network_policies=True, network_policy_namespaces=("umbel-system", "monitoring"))
MONITORS = Settings(beat_image="x", monitors=Monitors(interval="15s", labels=(("release", "prometheus"),)))


@pytest.mark.parametrize(
    "built",
    [
        build_beat_network_policy(broker(), SETTINGS),
        build_worker_network_policy(pool(), SETTINGS),
        build_beat_monitor(broker(), SETTINGS),
        build_worker_monitor(pool(), SETTINGS),
    ],
    ids=["policy of beat", "policy of workers", "monitor of beat", "monitor of workers"],
)
def test_nothing_is_made_unless_asked_for(built: Any) -> None:
    assert built is None


def given(built: dict[str, Any] | None) -> dict[str, Any]:
    assert built is not None
    return built


@pytest.mark.parametrize(
    ("policy", "deployment"),
    [
        (build_beat_network_policy(broker(), POLICIES), build_beat_deployment(broker(), 1, POLICIES)),
        (build_worker_network_policy(pool(), POLICIES), build_worker_deployment(pool(), broker(), [("mail", 1)])),
    ],
    ids=["beat", "workers"],
)
def test_only_the_own_and_the_named_namespaces_reach_the_port(policy: Any, deployment: dict[str, Any]) -> None:
    spec = given(policy)["spec"]
    assert spec["podSelector"] == deployment["spec"]["selector"]
    assert spec["policyTypes"] == ["Ingress"]
    names = [{"matchLabels": {"kubernetes.io/metadata.name": name}} for name in ("umbel-system", "monitoring")]
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    assert spec["ingress"] == [
        {
            "from": [{"podSelector": {}}, *({"namespaceSelector": name} for name in names)],
            "ports": [{"port": container["ports"][0]["containerPort"], "protocol": "TCP"}],
        }
    ]


def test_the_monitor_of_beat_finds_its_service() -> None:
    monitor, service = given(build_beat_monitor(broker(), MONITORS)), build_beat_service(broker())
    selector = monitor["spec"]["selector"]["matchLabels"]
    assert selector.items() <= service["metadata"]["labels"].items()
    (endpoint,), (port,) = monitor["spec"]["endpoints"], service["spec"]["ports"]
    assert (endpoint["port"], endpoint["path"], endpoint["interval"]) == (port["name"], "/metrics", "15s")
    # Its metrics say their namespace themselves; the target's must not take the name.
    assert endpoint["honorLabels"] is True
    assert endpoint["relabelings"][0]["targetLabel"] == "broker"


def test_the_monitor_of_workers_finds_their_pods() -> None:
    monitor = given(build_worker_monitor(pool(), MONITORS))
    template = build_worker_deployment(pool(), broker(), [("mail", 1)])["spec"]["template"]
    assert monitor["spec"]["selector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
    (endpoint,), (container,) = monitor["spec"]["podMetricsEndpoints"], template["spec"]["containers"]
    assert endpoint["port"] in [port["name"] for port in container["ports"]]
    # Prometheus spells what is no letter in a label's name as an underscore.
    assert endpoint["relabelings"] == [
        {"action": "replace", "sourceLabels": ["__meta_kubernetes_pod_label_umbel_dev_pool"], "targetLabel": "pool"}
    ]
    assert template["metadata"]["labels"]["umbel.dev/pool"] == "mailers"


@pytest.mark.parametrize(
    "monitor",
    [build_beat_monitor(broker(), MONITORS), build_worker_monitor(pool(), MONITORS)],
    ids=["beat", "workers"],
)
def test_monitors_bear_the_labels_that_prometheus_looks_for(monitor: Any) -> None:
    labels = given(monitor)["metadata"]["labels"]
    assert labels["release"] == "prometheus"
    assert labels["app.kubernetes.io/managed-by"] == "umbel-operator"


def test_what_is_switched_off_is_not_watched() -> None:
    assert SETTINGS.switched_off() == ("networkpolicies", "servicemonitors", "podmonitors")
    assert POLICIES.switched_off() == ("servicemonitors", "podmonitors")
    assert MONITORS.switched_off() == ("networkpolicies",)
