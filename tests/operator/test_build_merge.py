"""The merge of a user's pod template: by name, unions replaced, and what never gives way."""

from __future__ import annotations

import re
from typing import Any

import pytest

from umbel_operator.api.base import PodTemplate
from umbel_operator.build.merge import merge_pod_spec
from umbel_operator.build.podtemplate import Enforced, TemplateInvalid, assemble

BASE: dict[str, Any] = {
    "securityContext": {"runAsNonRoot": True, "runAsUser": 65532},
    "containers": [
        {
            "name": "worker",
            "image": "shop:1",
            "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
            "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
            "readinessProbe": {"httpGet": {"path": "/readyz", "port": "http"}, "periodSeconds": 5},
        }
    ],
    "volumes": [{"name": "tmp", "emptyDir": {}}],
}


def worker(spec: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = next(c for c in spec["containers"] if c["name"] == "worker")
    return found


@pytest.mark.parametrize(
    ("patch", "path", "expected"),
    [
        ({"nodeSelector": {"gpu": "yes"}}, ("nodeSelector",), {"gpu": "yes"}),
        ({"securityContext": {"runAsUser": 1000}}, ("securityContext",), {"runAsNonRoot": True, "runAsUser": 1000}),
        ({"securityContext": {"runAsUser": None}}, ("securityContext",), {"runAsNonRoot": True}),
        ({"securityContext": None}, ("securityContext",), None),
        ({"tolerations": [{"key": "a"}]}, ("tolerations",), [{"key": "a"}]),
        (
            {
                "volumes": [
                    {"name": "tmp", "emptyDir": {"sizeLimit": "1Gi"}},
                    {"name": "data", "configMap": {"name": "d"}},
                ]
            },
            ("volumes",),
            [{"name": "tmp", "emptyDir": {"sizeLimit": "1Gi"}}, {"name": "data", "configMap": {"name": "d"}}],
        ),
        (
            {"volumes": [{"name": "tmp", "hostPath": {"path": "/x"}}]},
            ("volumes",),
            [{"name": "tmp", "hostPath": {"path": "/x"}}],
        ),
    ],
    ids=["new field", "deep", "null removes", "null removes whole", "other lists replace", "volumes by name", "union"],
)
def test_pod_fields(patch: dict[str, Any], path: tuple[str, ...], expected: Any) -> None:
    merged: Any = merge_pod_spec(BASE, patch)
    for part in path:
        merged = merged.get(part)
    assert merged == expected


@pytest.mark.parametrize(
    ("patch", "field", "expected"),
    [
        ({"image": "shop:2"}, "image", "shop:2"),
        (
            {
                "env": [
                    {"name": "B", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
                    {"name": "C", "value": "3"},
                ]
            },
            "env",
            [
                {"name": "A", "value": "1"},
                {"name": "B", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
                {"name": "C", "value": "3"},
            ],
        ),
        (
            {
                "volumeMounts": [
                    {"name": "data", "mountPath": "/a"},
                    {"name": "data", "mountPath": "/b", "subPath": "b"},
                ]
            },
            "volumeMounts",
            [
                {"name": "tmp", "mountPath": "/tmp"},
                {"name": "data", "mountPath": "/a"},
                {"name": "data", "mountPath": "/b", "subPath": "b"},
            ],
        ),
        (
            {"readinessProbe": {"exec": {"command": ["true"]}}},
            "readinessProbe",
            {"exec": {"command": ["true"]}, "periodSeconds": 5},
        ),
        (
            {"readinessProbe": {"periodSeconds": 9}},
            "readinessProbe",
            {"httpGet": {"path": "/readyz", "port": "http"}, "periodSeconds": 9},
        ),
    ],
    ids=["scalar", "env by name", "mounts by path", "another handler", "the same handler"],
)
def test_container_fields(patch: dict[str, Any], field: str, expected: Any) -> None:
    merged = merge_pod_spec(BASE, {"containers": [{"name": "worker", **patch}]})
    assert worker(merged)[field] == expected


def test_sidecars_are_added_behind() -> None:
    merged = merge_pod_spec(BASE, {"containers": [{"name": "proxy", "image": "p:1"}]})
    assert [container["name"] for container in merged["containers"]] == ["worker", "proxy"]


def test_the_base_is_left_as_it_was() -> None:
    before = repr(BASE)
    merge_pod_spec(BASE, {"containers": [{"name": "worker", "env": [{"name": "A", "value": "9"}]}], "volumes": []})
    assert repr(BASE) == before


ENFORCED = Enforced(
    container="worker",
    labels={"umbel.dev/pool": "p"},
    env=({"name": "UMBEL_POOL", "value": "p"},),
    grace_seconds=315,
    annotations={"umbel.dev/restarted-at": "now"},
)


def assembled(**template: Any) -> dict[str, Any]:
    return assemble(BASE, PodTemplate.model_validate(template), ENFORCED)


def test_our_variables_win_and_come_first() -> None:
    own = [{"name": "UMBEL_POOL", "value": "evil"}, {"name": "UMBEL_TASK_DEFAULT_QUEUE", "value": "mail"}]
    built = assembled(spec={"containers": [{"name": "worker", "env": own}]})
    assert worker(built["spec"])["env"] == [
        {"name": "UMBEL_POOL", "value": "p"},
        {"name": "A", "value": "1"},
        {"name": "B", "value": "2"},
        {"name": "UMBEL_TASK_DEFAULT_QUEUE", "value": "mail"},
    ]


def test_our_labels_and_annotations_win() -> None:
    built = assembled(
        metadata={
            "labels": {"team": "shop", "umbel.dev/pool": "evil"},
            "annotations": {"umbel.dev/restarted-at": "never", "note": "x"},
        }
    )
    assert built["metadata"] == {
        "labels": {"team": "shop", "umbel.dev/pool": "p"},
        "annotations": {"umbel.dev/restarted-at": "now", "note": "x"},
    }


@pytest.mark.parametrize(("given", "built"), [(None, 315), (10, 315), (900, 900)], ids=["unset", "shorter", "longer"])
def test_the_grace_period_covers_the_drain(given: int | None, built: int) -> None:
    template = assembled(spec={} if given is None else {"terminationGracePeriodSeconds": given})
    assert template["spec"]["terminationGracePeriodSeconds"] == built


def test_no_token_is_mounted_unless_there_is_a_service_account() -> None:
    assert assembled(spec={})["spec"]["automountServiceAccountToken"] is False
    assert assembled(spec={"automountServiceAccountToken": True})["spec"]["automountServiceAccountToken"] is False
    assert "automountServiceAccountToken" not in assembled(spec={"serviceAccountName": "s3-reader"})["spec"]


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"restartPolicy": "Never"}, "restartPolicy is 'Never', but a Deployment allows only Always"),
        ({"replicas": 3}, "template.spec.replicas is not a field of pods: set spec.replicas"),
        ({"selector": {}}, "template.spec.selector is not a field of pods"),
        ({"containers": {"name": "worker"}}, "template.spec.containers must be a list, not dict"),
        ({"containers": [{"image": "x"}]}, "template.spec.containers[0] needs the key name"),
        (
            {"containers": [{"name": "worker", "env": [{"value": "1"}]}]},
            "template.spec.containers[worker].env[0] needs the key name",
        ),
        ({"terminationGracePeriodSeconds": "1m"}, "must be whole seconds, not '1m'"),
        ({"containers": None}, "template.spec.containers is null: leave it out"),
        ({"containers": [{"name": "worker", "image": None}]}, "containers[worker].image is null: name one or leave"),
        ({"containers": [{"name": ["worker"]}]}, "template.spec.containers[0] needs the key name"),
    ],
    ids=[
        "restartPolicy",
        "replicas",
        "selector",
        "no list",
        "no name",
        "env without name",
        "grace",
        "containers null",
        "image null",
        "name a list",
    ],
)
def test_templates_that_cannot_work_say_why(spec: dict[str, Any], words: str) -> None:
    with pytest.raises(TemplateInvalid, match=re.escape(words)):
        assembled(spec=spec)
