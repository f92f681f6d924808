"""The whole operator at work on a real API server: as part of the test, or as a process that can be killed."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
import yaml
from tests.ports import free_port

from umbel_operator.build.settings import Settings
from umbel_operator.handlers import run
from umbel_operator.kube.client import Api
from umbel_operator.kube.connect import load_configuration
from umbel_operator.kube.errors import Json
from umbel_operator.kube.resources import BROKERS, CRDS, SCHEDULES, TASKQUEUES, WORKERPOOLS, Resource
from umbel_operator.runtime.app import App, Options

T = TypeVar("T")

FILES = sorted((Path(__file__).parents[2] / "crds").glob("*.yaml"))


def resource(kind: str, name: str, namespace: str, **spec: Any) -> Json:
    meta = {"name": name, "namespace": namespace}
    return {"apiVersion": "umbel.dev/v1alpha1", "kind": kind, "metadata": meta, "spec": spec}


def broker(namespace: str) -> Json:
    return resource("Broker", "default", namespace, connection={"addresses": ["redis:6379"]})


def queue(name: str, namespace: str, **spec: Any) -> Json:
    return resource("TaskQueue", name, namespace, **spec)


def pool(name: str, namespace: str, **spec: Any) -> Json:
    fields = {"queues": [{"name": name}], "app": "tasks:app", "image": "shop:1", **spec}
    return resource("WorkerPool", name, namespace, **fields)


def schedule(name: str, queue_name: str, namespace: str, **spec: Any) -> Json:
    trigger = {"type": "Interval", "interval": {"everySeconds": 60}}
    fields = {"queueRef": {"name": queue_name}, "task": {"name": "t"}, "trigger": trigger, **spec}
    return resource("Schedule", name, namespace, **fields)


async def filled(api: Api, namespace: str) -> None:
    """Make one of each kind."""
    for obj in (broker(namespace), queue("mail", namespace), pool("mail", namespace)):
        await api.create(obj)
    await api.create(schedule("nightly", "mail", namespace))


async def until(wish: str, look: Callable[[], Awaitable[T | None]], seconds: float = 20.0) -> T:
    """Look again until something is there."""
    try:
        async with asyncio.timeout(seconds):
            while True:
                found = await look()
                if found is not None:
                    return found
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(f"not within {seconds} s: {wish}") from None


async def when(condition: bool) -> bool | None:
    return condition or None


async def installed(api: Api) -> None:
    """Install the CRDs, and wait until their kinds are served."""
    for file in FILES:
        await api.apply(yaml.safe_load(file.read_text(encoding="utf-8")))
    for kind in (BROKERS, TASKQUEUES, WORKERPOOLS, SCHEDULES):
        await until(f"{kind.plural} to be served", lambda r=kind: established(api, r))  # type: ignore[misc]


async def established(api: Api, resource_: Resource) -> bool | None:
    crd = await api.get(CRDS, None, f"{resource_.plural}.umbel.dev")
    conditions = ((crd or {}).get("status") or {}).get("conditions") or ()
    return any(c["type"] == "Established" and c["status"] == "True" for c in conditions) or None


async def condition(api: Api, resource_: Resource, namespace: str, name: str, type_: str) -> Json | None:
    live = await api.get(resource_, namespace, name) or {}
    conditions = (live.get("status") or {}).get("conditions") or ()
    return next((c for c in conditions if c["type"] == type_), None)


def options(namespace: str, **changes: Any) -> Options:
    fields: dict[str, Any] = {
        "namespaces": (namespace,),
        "beat_via": "apiserver",
        "health_port": None,
        "operator_class": "",
        "instance": "test",
        "version": "0",
        "settings": Settings(beat_image="beat:1"),
    }
    return Options(**{**fields, **changes})


@asynccontextmanager
async def operator(api: Api, namespace: str, **changes: Any) -> AsyncIterator[App]:
    """Run the operator for one namespace, on the API server that KUBECONFIG names."""
    await installed(api)
    app = App(options(namespace, **changes), await load_configuration(), load_configuration)
    task = asyncio.create_task(run(app))
    try:
        await until("the caches to be synced", lambda: when(app.cache.synced), 40)
        yield app
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


class OperatorProcess:
    """The command `umbel-operator run` in a process of its own, for one namespace."""

    def __init__(self, kubeconfig: str, namespace: str, log: Path, *arguments: str) -> None:
        self.port = free_port()
        self._kubeconfig = kubeconfig
        self._log = log
        self._command = [sys.executable, "-c", "from umbel_operator.cli import main; main()", "run"]
        self._command += ["--namespace", namespace, "--beat-via", "apiserver", "--beat-image", "beat:1"]
        self._command += ["--health-port", str(self.port), *arguments]
        self._process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> OperatorProcess:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.kill()

    async def start(self) -> None:
        """Start the process; it may have been killed before."""
        with self._log.open("ab") as output:
            self._process = await asyncio.create_subprocess_exec(
                *self._command, stderr=output, env={**os.environ, "KUBECONFIG": self._kubeconfig}
            )

    def send(self, number: signal.Signals) -> None:
        """Send the process a signal."""
        assert self._process is not None
        self._process.send_signal(number)

    async def kill(self) -> None:
        """Kill the process, as a node that loses its power does."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    async def wait(self, seconds: float = 30.0) -> int:
        """Wait until the process has ended; return its exit code."""
        assert self._process is not None
        return await asyncio.wait_for(self._process.wait(), seconds)

    def log(self) -> str:
        """Return what it has written."""
        return self._log.read_text()

    async def ask(self, path: str) -> tuple[int, str]:
        """Ask its own port; status 0 where it does not answer."""
        try:
            async with (
                aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session,
                session.get(f"http://127.0.0.1:{self.port}{path}") as answer,
            ):
                return answer.status, await answer.text()
        except (aiohttp.ClientError, TimeoutError) as error:
            return 0, str(error)

    async def is_ready(self) -> bool | None:
        """Tell whether its probe answers 200."""
        assert self._process is not None
        assert self._process.returncode is None, f"the operator ended:\n{self.log()}"
        return (await self.ask("/readyz"))[0] == 200 or None

    async def leads(self) -> bool | None:
        """Tell whether it says that it is the leader."""
        return "umbel_operator_leader 1.0" in (await self.ask("/metrics"))[1] or None
