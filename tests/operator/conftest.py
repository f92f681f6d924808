"""A real API server for the tests that need one: a control plane without nodes is enough."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from uuid import uuid4

import pytest

from umbel_operator.kube.client import Api
from umbel_operator.kube.connect import load_configuration
from umbel_operator.kube.resources import NAMESPACES
from umbel_operator.kube.transport import Transport

#: Names a kubeconfig; not KUBECONFIG, so that a plain test run never touches the cluster that somebody works with.
#: Read at import: the tests themselves do not see the variables of the shell.
VARIABLE = "UMBEL_TEST_KUBECONFIG"
API_SERVER = os.environ.get(VARIABLE)

Use = Callable[[Api, str], Awaitable[None]]


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
            await transport.close()

    return lambda use: asyncio.run(run(use))
