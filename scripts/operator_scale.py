"""Measure the operator with many resources on the cluster that KUBECONFIG names: `make operator-scale`.

It makes a namespace with POOLS WorkerPools, as many TaskQueues and SCHEDULES Schedules, starts the operator as a
process of this machine three times, and prints how long it took, what it weighed and what it wrote:

* first: every child and every status has to be made;
* second: all is there already, and nothing may be written;
* rest: nothing changes for some minutes.

With BEAT=ADDRESS a real beat on a Redis of its own runs on this machine, where the API server reaches it at that address (no
loopback one), and a fourth life of the operator shows what beat's status of all Schedules costs. That wants a control plane
without controllers: these would take the beat's endpoint away.

A control plane without nodes is enough. Writes are counted in the API server's audit log where AUDIT_LOG names it
(policy: level Metadata, stage ResponseComplete), and in the operator's own metrics besides.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from umbel_operator.kube.client import Api
from umbel_operator.kube.connect import load_configuration
from umbel_operator.kube.errors import Json
from umbel_operator.kube.resources import CONFIGMAPS, CRDS, DEPLOYMENTS, NAMESPACES, OWN, PODS, SCHEDULES, Resource
from umbel_operator.kube.transport import Request, Transport

ROOT = Path(__file__).parents[1]
NAMESPACE = "umbel-scale"
PORT = 18090
REDIS_PORT, BEAT_PORT = 18091, 18092
#: Requests at a time while the resources are made.
AT_ONCE = 12
#: What counts as a write; `umbel-operator` begins the user agent of our client.
WRITES = frozenset({"create", "update", "patch", "delete"})
AGENT = "umbel-operator"


@dataclass
class Run:
    """One life of the operator."""

    name: str
    seconds_to_ready: float = 0.0
    seconds_to_done: float = 0.0
    peak_mib: float = 0.0
    cpu_seconds: float = 0.0
    writes: Counter[str] = field(default_factory=Counter)

    def line(self) -> str:
        """Put it into one line."""
        found = ", ".join(f"{count} {what}" for what, count in self.writes.most_common()) or "none"
        return (
            f"{self.name:8} ready {self.seconds_to_ready:6.1f} s  done {self.seconds_to_done:6.1f} s  "
            f"peak {self.peak_mib:5.0f} MiB  CPU {self.cpu_seconds:5.1f} s  writes: {found}"
        )


def resources(pools: int, schedules: int) -> Iterable[Json]:
    """Spell the resources."""

    def made(kind: str, name: str, spec: dict[str, Any]) -> Json:
        meta = {"name": name, "namespace": NAMESPACE}
        return {"apiVersion": "umbel.dev/v1alpha1", "kind": kind, "metadata": meta, "spec": spec}

    yield made("Broker", "default", {"connection": {"addresses": ["redis:6379"]}})
    for n in range(pools):
        yield made("TaskQueue", f"queue-{n}", {})
    for n in range(pools):
        spec = {"queues": [{"name": f"queue-{n}"}], "app": "shop.tasks:app", "image": f"registry.example/shop:{n}"}
        env = [{"name": "STAGE", "value": "test"}, {"name": "NUMBER", "value": str(n)}]
        yield made("WorkerPool", f"pool-{n}", {**spec, "replicas": 0, "env": env})
    for n in range(schedules):
        trigger = {"type": "Cron", "cron": {"expression": f"{n % 60} {n % 24} * * *", "timeZone": "Europe/Berlin"}}
        task = {"name": "shop.tasks.report", "kwargs": {"number": n}}
        yield made(
            "Schedule", f"schedule-{n}", {"queueRef": {"name": f"queue-{n % pools}"}, "task": task, "trigger": trigger}
        )


async def fill(api: Api, pools: int, schedules: int) -> None:
    """Make the namespace and all in it, with no operator there; one that was kept is taken as it is."""
    for file in sorted((ROOT / "crds").glob("*.yaml")):
        await api.apply(yaml.safe_load(file.read_text(encoding="utf-8")))
    await until("the kinds to be served", lambda: _served(api), 60)
    if await api.get(NAMESPACES, None, NAMESPACE) is not None:
        return
    await api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    gate = asyncio.Semaphore(AT_ONCE)

    async def make(obj: Json) -> None:
        async with gate:
            await api.create(obj)

    await asyncio.gather(*(make(obj) for obj in resources(pools, schedules)))


async def _served(api: Api) -> bool:
    for resource in OWN:
        crd = await api.get(CRDS, None, f"{resource.plural}.umbel.dev") or {}
        conditions = (crd.get("status") or {}).get("conditions") or ()
        if not any(c["type"] == "Established" and c["status"] == "True" for c in conditions):
            return False
    return True


async def until(wish: str, look: Callable[[], Awaitable[bool]], seconds: float, pause: float = 0.5) -> None:
    """Look again until it is so."""
    deadline = time.monotonic() + seconds
    while not await look():
        if time.monotonic() > deadline:
            sys.exit(f"not within {seconds:.0f} s: {wish}")
        await asyncio.sleep(pause)


class Operator:
    """The operator as a process."""

    def __init__(self, log: Path) -> None:
        command = [sys.executable, "-c", "from umbel_operator.cli import main; main()", "run", "--namespace", NAMESPACE]
        command += ["--beat-via", "apiserver", "--beat-image", "umbel:scale", "--health-port", str(PORT)]
        self.began = time.monotonic()
        with log.open("ab") as output:
            self.process = subprocess.Popen(command, stderr=output)

    def ask(self, path: str) -> tuple[int, str]:
        """Ask its port."""
        assert self.process.poll() is None, "the operator ended; look at its log"
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{PORT}{path}", timeout=10) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, ""
        except OSError:
            return 0, ""

    def metrics(self) -> dict[str, float]:
        """Read its metrics, by name and labels."""
        lines = [line.rpartition(" ") for line in self.ask("/metrics")[1].splitlines() if line and line[0] != "#"]
        return {name: float(value) for name, _, value in lines}

    def peak_mib(self) -> float:
        """Tell the most memory that it had."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM"))) / 1024

    def cpu_seconds(self) -> float:
        """Tell the processor time that it took."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def written(self) -> float:
        """Count its writes by its own metrics."""
        return sum(
            value
            for name, value in self.metrics().items()
            if name.startswith("umbel_operator_api_requests_total")
            and 'verb="get"' not in name
            and 'verb="list"' not in name
        )

    def stop(self) -> None:
        """End it."""
        self.process.terminate()
        self.process.wait(30)


class Audit:
    """The API server's audit log, or its absence."""

    def __init__(self, path: str | None) -> None:
        self._path = Path(path) if path else None
        self._at = self._path.stat().st_size if self._path else 0

    def writes(self) -> Counter[str]:
        """Count the operator's writes since the last look."""
        found: Counter[str] = Counter()
        if self._path is None:
            return found
        with self._path.open("rb") as log:
            log.seek(self._at)
            for line in log:
                if not line.endswith(b"\n"):
                    break
                self._at += len(line)
                entry = json.loads(line)
                target = entry.get("objectRef") or {}
                ours = str(entry.get("userAgent", "")).startswith(AGENT) and target.get("namespace") == NAMESPACE
                if ours and entry["verb"] in WRITES and target.get("subresource") != "proxy":
                    sub = f"/{target['subresource']}" if target.get("subresource") else ""
                    found[f"{entry['verb']} {target['resource']}{sub}"] += 1
        return found


async def run_once(name: str, api: Api, pools: int, log: Path, audit: Audit) -> tuple[Run, Operator]:
    """Start the operator and wait until it has nothing more to do."""
    run, operator = Run(name), Operator(log)

    async def ready() -> bool:
        return operator.ask("/readyz")[0] == 200

    async def done() -> bool:
        metrics = operator.metrics()
        waits = sum(value for key, value in metrics.items() if key.startswith("umbel_operator_workqueue_depth"))
        if waits or len(await api.list_all(DEPLOYMENTS, NAMESPACE)) < pools + 1:
            return False
        return all([await _all_told(api, resource) for resource in OWN])

    await until("the operator to be ready", ready, 300)
    run.seconds_to_ready = time.monotonic() - operator.began
    await until("everything to be made", done, 900, 2)
    run.seconds_to_done = time.monotonic() - operator.began
    run.peak_mib, run.cpu_seconds = operator.peak_mib(), operator.cpu_seconds()
    run.writes = audit.writes()
    return run, operator


class Beat:
    """A beat and its Redis, and what the kubelet and the controllers of a cluster would do for it."""

    def __init__(self, api: Api, address: str, folder: Path) -> None:
        self._api = api
        self._address = address
        self._folder = folder
        redis = ["redis-server", "--port", str(REDIS_PORT), "--save", "", "--dir", str(folder)]
        self._processes = [subprocess.Popen(redis, stdout=subprocess.DEVNULL)]

    async def start(self) -> None:
        """Hand beat its configuration, start it, and announce it as the Service's only pod."""
        for name in ("config-index", *(f"config-{n:03d}" for n in range(512))):
            found = await self._api.get(CONFIGMAPS, NAMESPACE, f"default-{name}")
            if found is None:
                break
            for file, text in found["data"].items():
                (self._folder / file).write_text(text, encoding="utf-8")
        (self._folder / "..data").symlink_to(self._folder)
        self._begin()
        # The API server passes requests on to pods only.
        pod: Json = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "beat-outside", "namespace": NAMESPACE}}
        await self._api.create({**pod, "spec": {"containers": [{"name": "beat", "image": "none"}]}})
        addresses = {"podIP": self._address, "podIPs": [{"ip": self._address}]}
        await self._api.patch_status(PODS, NAMESPACE, "beat-outside", addresses)
        subset = {
            "addresses": [{"ip": self._address, "targetRef": {"kind": "Pod", **pod["metadata"]}}],
            "ports": [{"name": "http", "port": BEAT_PORT}],
        }
        meta = {"name": "default-beat", "namespace": NAMESPACE}
        path = f"/api/v1/namespaces/{NAMESPACE}/endpoints"
        body = {"apiVersion": "v1", "kind": "Endpoints", "metadata": meta, "subsets": [subset]}
        await self._api.transport.send(Request("POST", path, what="announce beat", body=body))
        counts = dict.fromkeys(("replicas", "readyReplicas", "availableReplicas", "updatedReplicas"), 1)
        await self._api.patch_status(DEPLOYMENTS, NAMESPACE, "default-beat", {**counts, "observedGeneration": 1})

    def _begin(self) -> None:
        command = [sys.executable, "-m", "umbel.cli.main", "beat", "--config-dir", str(self._folder)]
        command += ["--port", str(BEAT_PORT)]
        where = {
            "UMBEL_BROKER_URL": f"redis://127.0.0.1:{REDIS_PORT}/0",
            "UMBEL_KEY_PREFIX": f"umbel:{NAMESPACE}:default",
        }
        with (self._folder / "beat.log").open("ab") as log:
            self._processes.append(subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, **where}))

    def stop(self) -> None:
        """End both."""
        for process in reversed(self._processes):
            process.terminate()
            process.wait(30)


async def _all_ready(api: Api) -> bool:
    """Tell whether every Schedule is Ready."""
    found = await api.list_all(SCHEDULES, NAMESPACE)
    conditions = (
        (c for c in (obj.get("status") or {}).get("conditions") or () if c["type"] == "Ready") for obj in found
    )
    return all(any(c["status"] == "True" for c in each) for each in conditions)


async def with_beat(api: Api, pools: int, address: str, log: Path, audit: Audit) -> None:
    """Let a beat appear, and see what the operator makes of it: at once, and after a start of its own."""
    with tempfile.TemporaryDirectory() as folder:
        beat = Beat(api, address, Path(folder))
        try:
            run, operator = await run_once("silent", api, pools, log, audit)
            began = time.monotonic()
            await beat.start()
            await until("every Schedule to be ready", lambda: _all_ready(api), 600, 5)
            run.name, run.seconds_to_done = "loaded", time.monotonic() - began
            await quiet(operator, 5)
            run.peak_mib, run.cpu_seconds, run.writes = operator.peak_mib(), operator.cpu_seconds(), audit.writes()
            sys.stdout.write(run.line() + "\n")
            operator.stop()
            audit.writes()
            again, operator = await run_once("again", api, pools, log, audit)
            await quiet(operator, 20)
            cpu = operator.cpu_seconds()
            await asyncio.sleep(90)
            again.peak_mib, again.cpu_seconds, again.writes = (
                operator.peak_mib(),
                operator.cpu_seconds(),
                audit.writes(),
            )
            sys.stdout.write(f"{again.line()}; {again.cpu_seconds - cpu:.1f} s of it in the last 90 s\n")
            operator.stop()
        finally:
            beat.stop()


async def _all_told(api: Api, resource: Resource) -> bool:
    """Tell whether every resource of a kind has a status about its newest generation."""
    found = await api.list_all(resource, NAMESPACE)
    return all((obj.get("status") or {}).get("observedGeneration") == obj["metadata"]["generation"] for obj in found)


async def quiet(operator: Operator, seconds: float) -> None:
    """Wait until nothing has been written for a while."""
    last, since = operator.written(), time.monotonic()
    while time.monotonic() - since < seconds:
        await asyncio.sleep(2)
        if (now := operator.written()) != last:
            last, since = now, time.monotonic()


async def measure(
    pools: int, schedules: int, minutes: float, audit_log: str | None, keep: bool, log: Path, beat: str | None
) -> None:
    """Do all of it."""
    transport = Transport(await load_configuration(), user_agent="operator-scale")
    api, audit = Api(transport), Audit(audit_log)
    try:
        began = time.monotonic()
        await fill(api, pools, schedules)
        sys.stdout.write(f"made {2 * pools + schedules + 1} resources in {time.monotonic() - began:.0f} s\n")
        first, operator = await run_once("first", api, pools, log, audit)
        sys.stdout.write(first.line() + "\n")
        await quiet(operator, 20)
        operator.stop()
        audit.writes()
        second, operator = await run_once("second", api, pools, log, audit)
        sys.stdout.write(second.line() + "\n")
        await quiet(operator, 20)
        audit.writes()
        rest, cpu = Run("rest"), operator.cpu_seconds()
        await asyncio.sleep(60 * minutes)
        rest.seconds_to_done = 60 * minutes
        rest.peak_mib, rest.cpu_seconds = operator.peak_mib(), operator.cpu_seconds() - cpu
        rest.writes = audit.writes()
        sys.stdout.write(rest.line() + "\n")
        operator.stop()
        if beat is not None:
            await with_beat(api, pools, beat, log, audit)
    finally:
        if not keep:
            await api.delete(NAMESPACES, None, NAMESPACE)
        await transport.close()


def main() -> None:
    """Read the options and measure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pools", type=int, default=1000)
    parser.add_argument("--schedules", type=int, default=5000)
    parser.add_argument("--minutes", type=float, default=12, help="how long nothing changes: a resync is every 10 min")
    parser.add_argument("--audit-log", default=os.environ.get("AUDIT_LOG"))
    parser.add_argument("--beat", default=os.environ.get("BEAT"), metavar="ADDRESS", help="of this machine")
    parser.add_argument("--keep", action="store_true", help="leave the namespace there")
    given = parser.parse_args()
    if not os.environ.get("KUBECONFIG"):
        sys.exit("set KUBECONFIG to the file of a cluster that is there for tests")
    log = Path("operator-scale.log")
    log.unlink(missing_ok=True)
    asyncio.run(measure(given.pools, given.schedules, given.minutes, given.audit_log, given.keep, log, given.beat))


if __name__ == "__main__":
    main()
