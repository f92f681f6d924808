"""Every pod passes Pod Security `restricted`."""

from __future__ import annotations

import pytest
from tests.cluster.kubectl import Kubectl
from tests.cluster.manifests import pool, queue

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

LEVELS = ("enforce", "warn", "audit")


def test_operator_beat_and_workers_are_restricted(shop: Kubectl, operator: Kubectl) -> None:
    shop.apply(queue("strict"), pool("strict", "strict"))
    try:
        shop.running("umbel.dev/pool=strict", 1)
        for kubectl in (shop, operator):
            labels = kubectl.get("namespace", kubectl.namespace)["metadata"]["labels"]
            assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
            assert kubectl.list_all("pods")
            # The API server itself looks through the pods that are there, and warns of each that would not be admitted.
            asked = [f"pod-security.kubernetes.io/{level}=restricted" for level in LEVELS]
            said = kubectl(
                "label", "--dry-run=server", "--overwrite", "namespace", kubectl.namespace,
                "pod-security.kubernetes.io/enforce-version=latest", *asked, check=False,
            )  # fmt: skip
            assert "Warning" not in said, said
    finally:
        shop("delete", "workerpool/strict", "taskqueue/strict")


def test_a_template_that_asks_for_more_is_refused_and_said_so(shop: Kubectl) -> None:
    bold = pool("bold", "bold")
    bold["spec"]["template"]["spec"]["hostNetwork"] = True
    shop.apply(queue("bold"), bold)
    try:
        found = shop.wait_condition("workerpool", "bold", "Progressing", "False")
        assert "restricted" in found["message"]
        assert "hostNetwork" in found["message"] or "host namespaces" in found["message"]
    finally:
        shop("delete", "workerpool/bold", "taskqueue/bold")
