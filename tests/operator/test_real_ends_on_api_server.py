"""Ends as a cluster knows them: a namespace taken apart by its own controller, and a kube-apiserver killed and started again."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.operator.living import OperatorProcess, filled, installed, pool, queue, until

from umbel_operator.kube.client import Api
from umbel_operator.kube.errors import ApiError
from umbel_operator.kube.resources import BROKERS, CONFIGMAPS, DEPLOYMENTS, NAMESPACES, TASKQUEUES
from umbel_operator.kube.transport import Request

WithServer = Callable[[Any], None]

pytestmark = pytest.mark.timeout(420)

#: Names a file with the process id of a kube-apiserver on this machine that may be killed. It is started again as it was.
VARIABLE = "UMBEL_TEST_API_SERVER_PID"
PID_FILE = os.environ.get(VARIABLE)
#: Seconds for which it is away.
OUTAGE = float(os.environ.get("UMBEL_OUTAGE_SECONDS", "25"))
#: The promise: seconds from its return to the first change that is acted on.
SOON = 10.0


async def with_controllers(api: Api, namespace: str) -> None:
    """Skip the test on an API server without controllers: nobody takes a namespace apart there."""
    for _ in range(50):
        if await api.get(CONFIGMAPS, namespace, "kube-root-ca.crt") is not None:
            return
        await asyncio.sleep(0.1)
    pytest.skip("needs a cluster with kube-controller-manager: this API server has none")


def test_a_namespace_with_all_kinds_goes_within_a_minute(with_api_server: WithServer, tmp_path: Path) -> None:
    """Given every kind, two queues that wait for their tasks, and no beat that could answer, when the namespace is deleted, then
    it is gone within a minute, and the operator, which serves another one too, stays calm."""

    async def use(api: Api, namespace: str) -> None:
        await with_controllers(api, namespace)
        await installed(api)
        doomed = f"{namespace}-doomed"
        await api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": doomed}})
        log = tmp_path / "log"
        async with OperatorProcess(os.environ["KUBECONFIG"], namespace, log, "--namespace", doomed) as one:
            await until("the operator to be ready", one.is_ready, 60)
            for place in (namespace, doomed):
                await filled(api, place)
            for policy in ("WaitUntilEmpty", "Purge"):
                await api.create(queue(policy.lower(), doomed, deletionPolicy=policy))

            async def held(kind: Any, name: str) -> bool | None:
                live = await api.get(kind, doomed, name) or {"metadata": {}}
                return bool(live["metadata"].get("finalizers")) or None

            for kind, name in ((BROKERS, "default"), (TASKQUEUES, "waituntilempty"), (TASKQUEUES, "purge")):
                await until(f"the finalizer of {name}", lambda k=kind, n=name: held(k, n))  # type: ignore[misc]
            await until("the workers", lambda: api.get(DEPLOYMENTS, doomed, "mail-worker"))
            await api.delete(NAMESPACES, None, doomed)

            async def gone() -> bool | None:
                return await api.get(NAMESPACES, None, doomed) is None or None

            await until("the namespace to go", gone, 60)
            await api.create(queue("later", namespace))
            await api.create(pool("later", namespace))
            await until("the other namespace's work", lambda: api.get(DEPLOYMENTS, namespace, "later-worker"), 30)
            assert "Traceback" not in one.log()
            assert one.log().count("reconcile_failed") + one.log().count("action_failed") < 20, one.log()
            assert 'result="crashed"' not in (await one.ask("/metrics"))[1]

    with_api_server(use)


class Server:
    """A kube-apiserver that runs on this machine."""

    def __init__(self, pid_file: str) -> None:
        self._file = Path(pid_file)
        pid = int(self._file.read_text())
        proc = Path(f"/proc/{pid}")
        self._command = [part.decode() for part in (proc / "cmdline").read_bytes().split(b"\0") if part]
        self._folder = (proc / "cwd").resolve()
        self._pid = pid

    def kill(self) -> None:
        """Kill it, as a node that loses its power does."""
        os.kill(self._pid, signal.SIGKILL)

    def start(self) -> None:
        """Start it as it was; it outlives the test."""
        script = 'cd "$0" && { setsid "$@" </dev/null >/dev/null 2>&1 & echo $!; }'
        started = subprocess.run(
            ["sh", "-c", script, str(self._folder), *self._command], check=True, text=True, stdout=subprocess.PIPE
        )
        self._pid = int(started.stdout)
        self._file.write_text(f"{self._pid}\n")


@pytest.mark.skipif(not PID_FILE, reason=f"kills a kube-apiserver: set {VARIABLE} to the file with its process id")
def test_a_killed_api_server_and_its_return(with_api_server: WithServer, tmp_path: Path) -> None:
    """Given an operator at work, when the API server is killed and comes back, then the operator's probe said so meanwhile, it
    lived on, and the first change after the return is acted on within ten seconds."""
    assert PID_FILE is not None
    server = Server(PID_FILE)

    async def use(api: Api, namespace: str) -> None:
        await installed(api)

        async def answers() -> bool | None:
            try:
                await api.transport.send(Request("GET", "/readyz", what="look whether it is ready", seconds=2))
            except ApiError:
                return None
            return True

        async with OperatorProcess(os.environ["KUBECONFIG"], namespace, tmp_path / "log") as one:
            await until("the operator to be ready", one.is_ready, 60)
            await filled(api, namespace)
            await until("the workers", lambda: api.get(DEPLOYMENTS, namespace, "mail-worker"))
            server.kill()
            gone = time.monotonic()
            try:

                async def unready() -> bool | None:
                    status, said = await one.ask("/readyz")
                    return (status == 503 and "does not answer" in said) or None

                await until("the probe to say so", unready, 40)
                while time.monotonic() - gone < OUTAGE:
                    assert (await one.ask("/livez"))[0] == 200
                    assert (await one.ask("/readyz"))[0] == 503
                    await asyncio.sleep(1)
            finally:
                server.start()
            await until("the API server to be back", answers, 90)
            await api.create(queue("later", namespace))
            await api.create(pool("later", namespace))
            await until("the first change", lambda: api.get(DEPLOYMENTS, namespace, "later-worker"), SOON)
            await until("the probe to be well", one.is_ready, 30)
            assert "Traceback" not in one.log()

    with_api_server(use)
