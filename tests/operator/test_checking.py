"""What `umbel-operator check` finds, before a real HTTP server, and before a real API server where there is one."""

import asyncio
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web
from kubernetes.aio.client import Configuration

from umbel_operator.kube.access import NotReadyError
from umbel_operator.kube.checking import check_installation, check_stored_versions
from umbel_operator.kube.client import Api
from umbel_operator.kube.resources import CRDS, OWN
from umbel_operator.kube.transport import Transport

ROOT = Path(__file__).parents[2]
WithServer = Callable[[Callable[[Api, str], Awaitable[None]]], None]


class Cluster:
    """Answer as an API server, and as the operator's own port."""

    def __init__(self) -> None:
        self.kinds = [kind.plural for kind in OWN]
        self.stored = ["v1alpha1"]
        #: Codes with which /readyz answers, the last one for ever.
        self.ready = [200]
        self.url = ""

    async def handle(self, request: web.Request) -> web.Response:
        if request.path == "/readyz":
            code = self.ready.pop(0) if len(self.ready) > 1 else self.ready[0]
            return web.Response(status=code, text="not listed yet: brokers" if code != 200 else "ok")
        if "customresourcedefinitions" in request.path:
            return web.json_response({"metadata": {"name": "x"}, "status": {"storedVersions": self.stored}})
        return web.json_response({"resources": [{"name": name} for name in self.kinds]})


def checked(cluster: Cluster, *, seconds: float = 0.0, operator: str | None = "/") -> None:
    """Check it once, or for so many seconds."""

    async def run() -> None:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", cluster.handle)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        cluster.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        transport = Transport(Configuration(host=cluster.url))
        address = cluster.url + operator if operator == "/" else operator
        try:
            await check_installation(Api(transport), address, stored_versions=True, seconds=seconds)
        finally:
            await transport.close()
            await runner.cleanup()

    asyncio.run(run())


def test_a_sound_installation_passes() -> None:
    checked(Cluster())


def test_an_operator_that_gets_ready_is_waited_for() -> None:
    cluster = Cluster()
    cluster.ready = [503, 503, 200]
    checked(cluster, seconds=60)


def broken(**changes: Any) -> Cluster:
    cluster = Cluster()
    for name, value in changes.items():
        setattr(cluster, name, value)
    return cluster


@pytest.mark.parametrize(
    ("cluster", "says"),
    [
        (broken(kinds=["brokers"]), r"does not know taskqueues.umbel.dev, .* install the CRDs with"),
        (broken(stored=["v1alpha0", "v1alpha1"]), r"brokers.umbel.dev is stored in the versions v1alpha0, v1alpha1"),
        (broken(stored=[]), r"stored in the versions \(none\)"),
        (broken(ready=[503]), r"not ready, http://.*/readyz answers 503: not listed yet: brokers"),
    ],
    ids=["kinds", "stored versions", "no version", "operator"],
)
def test_what_is_wrong_is_said_with_what_to_do(cluster: Cluster, says: str) -> None:
    with pytest.raises(NotReadyError, match=says):
        checked(cluster)


def test_an_operator_that_does_not_answer_is_named() -> None:
    with pytest.raises(NotReadyError, match=r"does not answer at http://127.0.0.1:1/readyz"):
        checked(Cluster(), operator="http://127.0.0.1:1")


def test_the_command_ends_with_one_sentence_where_no_cluster_is_configured(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "from umbel_operator.cli import main; main()", "check", "--wait", "0"]
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=90)
    assert done.returncode == 1
    assert "No Kubernetes cluster is configured" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_crds_of_the_repository_are_stored_as_this_release_knows_them(with_api_server: WithServer) -> None:
    async def use(api: Api, namespace: str) -> None:
        for kind in OWN:
            crd = yaml.safe_load((ROOT / "crds" / f"{kind.plural}.yaml").read_text(encoding="utf-8"))
            await api.apply(crd)
            assert await api.get(CRDS, None, crd["metadata"]["name"]) is not None
        await check_installation(api, None, stored_versions=True, seconds=30)
        await check_stored_versions(api)

    with_api_server(use)
