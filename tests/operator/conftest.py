"""A real API server for the tests that need one: a control plane without nodes is enough."""

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable
from uuid import uuid4

import pytest

from umbel_operator.kube.client import Api
from umbel_operator.kube.connect import load_configuration
from umbel_operator.kube.errors import GoneError
from umbel_operator.kube.resources import BROKERS, NAMESPACES, TASKQUEUES
from umbel_operator.kube.transport import Transport

#: Names a kubeconfig; not KUBECONFIG, so that a plain test run never touches the cluster that somebody works with.
#: Read at import: the tests themselves do not see the variables of the shell.
VARIABLE = "UMBEL_TEST_KUBECONFIG"
API_SERVER = os.environ.get(VARIABLE)

Use = Callable[[Api, str], Awaitable[None]]


async def _released(api: Api, namespace: str) -> None:
    """Take off the finalizers that an operator which is gone has left: the namespace could not go."""
    for kind in (BROKERS, TASKQUEUES):
        # Gone: the kind is not installed, or the object went by itself.
        with contextlib.suppress(GoneError):
            for obj in await api.list_all(kind, namespace):
                if obj["metadata"].get("finalizers"):
                    await api.merge_patch(kind, namespace, obj["metadata"]["name"], {"metadata": {"finalizers": None}})


@pytest.fixture
def with_api_server(monkeypatch: pytest.MonkeyPatch) -> Callable[[Use], None]:
    """Run a coroutine with an API client and a namespace of its own, which is deleted afterwards."""
    if not API_SERVER:
        pytest.skip(f"needs a Kubernetes API server: set {VARIABLE} to a kubeconfig")
    monkeypatch.setenv("KUBECONFIG", API_SERVER)

    async def run(use: Use) -> None:
        namespace = f"umbel-test-{uuid4().hex[:8]}"
        transport = Transport(await load_configuration())
        api = Api(transport)
        await api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}})
        try:
            await use(api, namespace)
        finally:
            await api.delete(NAMESPACES, None, namespace)
            await _released(api, namespace)
            await transport.close()

    return lambda use: asyncio.run(run(use))
