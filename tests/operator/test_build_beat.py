"""beat's Deployment and Service, and the ConfigMap for producers."""

from __future__ import annotations

from typing import Any

import pytest
from tests.operator.resources import SETTINGS, broker

from umbel.redis.members import read
from umbel_operator.build.broker import build_beat_deployment, build_beat_service, build_client_config
from umbel_operator.build.connection import broker_url, client_env
from umbel_operator.build.podtemplate import TemplateInvalid
from umbel_operator.build.settings import Settings

SECRET = {"addresses": ["redis:6379"], "credentialsSecretRef": {"name": "redis"}}


def pod(shards: int = 1, settings: Settings = SETTINGS, **spec: Any) -> dict[str, Any]:
    found: dict[str, Any] = build_beat_deployment(broker(**spec), shards, settings)["spec"]["template"]["spec"]
    return found


def test_the_container_of_beat() -> None:
    (container,) = pod(beat={"lockTTLSeconds": 20, "resources": {"limits": {"memory": "128Mi"}}})["containers"]
    assert container["image"] == "umbel:1"
    assert container["command"] == ["umbel"]
    assert container["args"] == [
        *("beat", "--config-dir", "/etc/umbel/config", "--port", "8080", "--lock-ttl", "20"),
    ]
    assert container["resources"] == {"limits": {"memory": "128Mi"}}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
        "readOnlyRootFilesystem": True,
    }
    assert {"name": "umbel-config", "mountPath": "/etc/umbel/config", "readOnly": True} in container["volumeMounts"]
    assert "-A" not in container["args"]


def test_beat_has_no_api_token() -> None:
    assert pod()["automountServiceAccountToken"] is False
    assert "serviceAccountName" not in pod()


@pytest.mark.parametrize(
    ("beat", "settings", "image", "policy"),
    [
        ({}, SETTINGS, "umbel:1", None),
        ({}, Settings(beat_image="umbel:2", beat_image_pull_policy="Never"), "umbel:2", "Never"),
        ({"image": "own:3"}, Settings(beat_image="umbel:2", beat_image_pull_policy="Never"), "own:3", None),
    ],
    ids=["of the operator", "with its pull policy", "of the Broker"],
)
def test_image(beat: dict[str, Any], settings: Settings, image: str, policy: str | None) -> None:
    (container,) = pod(settings=settings, beat=beat)["containers"]
    assert (container["image"], container.get("imagePullPolicy")) == (image, policy)


@pytest.mark.parametrize(("shards", "mounted"), [(1, 4), (4, 4), (8, 8)], ids=["few", "four", "many"])
def test_index_and_shards_are_one_optional_volume(shards: int, mounted: int) -> None:
    (volume,) = [volume for volume in pod(shards)["volumes"] if volume["name"] == "umbel-config"]
    names = ["default-config-index", *(f"default-config-{n:03d}" for n in range(mounted))]
    assert volume["projected"]["sources"] == [{"configMap": {"name": name, "optional": True}} for name in names]


def test_replicas_and_selector() -> None:
    deployment = build_beat_deployment(broker(beat={"replicas": 2}), 1, SETTINGS)
    assert deployment["metadata"]["name"] == "default-beat"
    assert deployment["spec"]["replicas"] == 2
    assert deployment["spec"]["selector"] == {
        "matchLabels": {"umbel.dev/broker": "default", "umbel.dev/component": "beat"}
    }


def test_the_template_is_merged_and_checked() -> None:
    spec = pod(
        beat={"template": {"spec": {"priorityClassName": "high", "containers": [{"name": "beat", "tty": True}]}}}
    )
    assert spec["priorityClassName"] == "high"
    assert spec["containers"][0]["tty"] is True
    with pytest.raises(TemplateInvalid, match="restartPolicy"):
        pod(beat={"template": {"spec": {"restartPolicy": "Never"}}})


def test_the_service_answers_also_for_a_beat_that_is_not_ready() -> None:
    service = build_beat_service(broker())
    assert service["metadata"]["name"] == "default-beat"
    assert service["spec"] == {
        "type": "ClusterIP",
        "selector": {"umbel.dev/broker": "default", "umbel.dev/component": "beat"},
        "ports": [{"name": "http", "port": 8080, "targetPort": "http", "protocol": "TCP"}],
        "publishNotReadyAddresses": True,
    }


@pytest.mark.parametrize(
    ("connection", "data"),
    [
        (
            {"addresses": ["redis:6379"]},
            {"UMBEL_BROKER_URL": "redis://redis:6379/0", "UMBEL_KEY_PREFIX": "umbel:shop:default"},
        ),
        (
            SECRET,
            {
                "UMBEL_BROKER_URL": "redis://redis:6379/0",
                "UMBEL_KEY_PREFIX": "umbel:shop:default",
                "UMBEL_BROKER_PASSWORD_FILE": "/etc/umbel/broker/password",
            },
        ),
        (
            {"addresses": ["[::1]:6379"], "tls": {}},
            {"UMBEL_BROKER_URL": "rediss://[::1]:6379/0", "UMBEL_KEY_PREFIX": "umbel:shop:default"},
        ),
    ],
    ids=["plain", "with password", "TLS and IPv6"],
)
def test_producers_find_the_broker(connection: dict[str, Any], data: dict[str, str]) -> None:
    config = build_client_config(broker(connection=connection))
    assert config["metadata"]["name"] == "default-client"
    assert config["data"] == data


@pytest.mark.parametrize(
    ("connection", "url"),
    [
        (
            {"type": "Sentinel", "addresses": ["s2:26379", "s1:26379"], "sentinel": {"masterName": "the master"}},
            "redis+sentinel://s1:26379,s2:26379/the%20master/0",
        ),
        (
            {
                "type": "Sentinel",
                "addresses": ["[::1]:26379"],
                "database": 3,
                "sentinel": {"masterName": "m"},
                "tls": {},
            },
            "rediss+sentinel://[::1]:26379/m/3",
        ),
        ({"type": "Cluster", "addresses": ["c2:6379", "c1:6379"]}, "redis+cluster://c1:6379,c2:6379"),
        ({"type": "Cluster", "addresses": ["c1:6379"], "tls": {}}, "rediss+cluster://c1:6379"),
    ],
)
def test_sentinels_and_clusters_are_named_in_the_url(connection: dict[str, Any], url: str) -> None:
    made = broker(connection=connection)
    assert broker_url(made) == url
    assert client_env(made)["UMBEL_BROKER_URL"] == url


@pytest.mark.parametrize("kind", ["Sentinel", "Cluster"])
def test_what_is_rendered_can_be_read(kind: str) -> None:
    sentinel = {"sentinel": {"masterName": "a/b c"}} if kind == "Sentinel" else {}
    made = broker(connection={"type": kind, "addresses": ["r:6379", "[fd00::1]:6380"], **sentinel})
    found = read(broker_url(made))
    assert set(found.addresses) == {("r", 6379), ("fd00::1", 6380)}
    assert found.master == ("a/b c" if kind == "Sentinel" else "")


def test_no_secret_is_in_any_object() -> None:
    """Given a Broker with credentials, then objects name the Secret and its files, and never a value of it."""
    made = broker(connection=SECRET)
    for manifest in (build_beat_deployment(made, 1, SETTINGS), build_client_config(made), build_beat_service(made)):
        text = str(manifest)
        assert "secretKeyRef" not in text
        assert "@redis" not in text
