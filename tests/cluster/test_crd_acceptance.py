"""The 45 acceptance cases of the CRDs, before a real API server."""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.cluster.crd_cases import CASES, Case, at

from umbel_operator.api.kinds import BY_NAME

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(
        not os.environ.get("KUBECONFIG"), reason="no cluster: set KUBECONFIG to the file of one (make test-cluster)"
    ),
]

CRDS = Path(__file__).parents[2] / "crds"
DEADLINE_SECONDS = 30.0


@pytest.fixture(scope="module")
def api() -> Iterator[Any]:
    """Hand out a client whose cluster has the CRDs as they are in the repository."""
    from kubernetes import client, config

    config.load_kube_config(os.environ["KUBECONFIG"].split(os.pathsep)[0])
    with client.ApiClient() as connection:
        extensions = client.ApiextensionsV1Api(connection)
        for file in sorted(CRDS.glob("*.yaml")):
            _apply_crd(extensions, yaml.safe_load(file.read_text(encoding="utf-8")))
        yield connection


@pytest.fixture(scope="module")
def namespace(api: Any) -> Iterator[str]:
    from kubernetes import client

    name = f"umbel-crds-{uuid.uuid4().hex[:8]}"
    core = client.CoreV1Api(api)
    core.create_namespace({"metadata": {"name": name}})  # type: ignore[arg-type]
    yield name
    core.delete_namespace(name)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.case)
def test_the_api_server_decides_as_designed(case: Case, api: Any, namespace: str) -> None:
    """Given a case, when it is created (and updated), then it is stored with its defaults or refused with reasons."""
    objects = _Objects(api, namespace, BY_NAME[case.kind].plural)
    try:
        refusal = objects.create(case.body())
        if case.update is not None:
            assert refusal is None, refusal
            refusal = objects.patch(case.name, case.update)
        if not case.accepted:
            assert refusal is not None, "accepted, but must be refused"
            assert case.says in refusal
            return
        assert refusal is None, refusal
        stored = objects.get(case.name)
        assert {path: at(stored, path) for path in case.becomes} == case.becomes
    finally:
        objects.delete(case.name)


class _Objects:
    """Objects of one kind in one namespace."""

    def __init__(self, api: Any, namespace: str, plural: str) -> None:
        from kubernetes import client

        self._api = client.CustomObjectsApi(api)
        self._place = ("umbel.dev", "v1alpha1", namespace, plural)
        self._error = client.ApiException

    def create(self, body: dict[str, Any]) -> str | None:
        """Create an object; return what the API server says against it."""
        try:
            self._api.create_namespaced_custom_object(*self._place, body)
        except self._error as error:
            return _message(error)
        return None

    def patch(self, name: str, body: dict[str, Any]) -> str | None:
        """Merge-patch an object; return what the API server says against it."""
        try:
            self._api.patch_namespaced_custom_object(*self._place, name, body)
        except self._error as error:
            return _message(error)
        return None

    def get(self, name: str) -> dict[str, Any]:
        """Return the stored object."""
        stored: dict[str, Any] = self._api.get_namespaced_custom_object(*self._place, name)  # type: ignore[assignment]
        return stored

    def delete(self, name: str) -> None:
        """Delete the object if it is there."""
        try:
            self._api.delete_namespaced_custom_object(*self._place, name)
        except self._error as error:
            if error.status != 404:
                raise


def _message(error: Any) -> str:
    assert error.status in (400, 422), f"refused with {error.status}, which is no verdict on the object: {error.body}"
    return str(json.loads(error.body)["message"])


def _apply_crd(extensions: Any, crd: dict[str, Any]) -> None:
    from kubernetes import client

    name = crd["metadata"]["name"]
    try:
        extensions.create_custom_resource_definition(crd)
    except client.ApiException as error:
        if error.status != 409:
            raise
        live = extensions.read_custom_resource_definition(name)
        crd["metadata"]["resourceVersion"] = live.metadata.resource_version
        extensions.replace_custom_resource_definition(name, crd)
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not _established(extensions.read_custom_resource_definition(name)):
        assert time.monotonic() < deadline, f"{name} was not established in {DEADLINE_SECONDS} s"
        time.sleep(0.1)


def _established(crd: Any) -> bool:
    conditions = {condition.type: condition.status for condition in crd.status.conditions or ()}
    return conditions.get("Established") == "True" and conditions.get("NonStructuralSchema", "False") == "False"
