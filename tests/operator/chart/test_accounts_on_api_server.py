"""The rights of the chart's accounts are enough for what runs under them, on a real API server that enforces them."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import yaml
from tests.operator.chart.rendering import CHART, ROOT, find_helm
from tests.operator.living import OperatorProcess, until

VARIABLE = "UMBEL_TEST_KUBECONFIG"
API_SERVER = os.environ.get(VARIABLE)
RESOURCES = """
apiVersion: umbel.dev/v1alpha1
kind: Broker
metadata: {name: default, labels: &class {umbel.dev/operator-class: CLASS}}
spec: {connection: {addresses: ["redis:6379"]}}
---
apiVersion: umbel.dev/v1alpha1
kind: TaskQueue
metadata: {name: mail, labels: {umbel.dev/operator-class: CLASS}}
spec: {}
---
apiVersion: umbel.dev/v1alpha1
kind: WorkerPool
metadata: {name: mailers, labels: {umbel.dev/operator-class: CLASS}}
spec: {queues: [{name: mail}], app: tasks, image: "shop:1", disruption: {maxUnavailable: 1}}
"""


class Place:
    """A namespace with the objects of a release in it, hooks included, as an administrator sees it."""

    def __init__(self, folder: Path) -> None:
        self.name = f"accounts-{uuid4().hex[:8]}"
        self._folder = folder
        self._environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "KUBECONFIG": str(API_SERVER)}

    def run(self, *command: str | Path, stdin: str | None = None, kubeconfig: str | None = None) -> str:
        """Run a command, as the administrator unless another's kubeconfig is given; return what it says."""
        environment = {**self._environment, **({"KUBECONFIG": kubeconfig} if kubeconfig else {})}
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, env=environment, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        return self.run("kubectl", "--namespace", self.name, *arguments, stdin=stdin)

    def apply_chart(self, *sets: str) -> list[dict[str, Any]]:
        """Render the chart and apply all but the CRDs and what would run; return everything."""
        command: list[str | Path] = [find_helm(), "template", self.name, CHART, "--namespace", self.name]
        for pair in (f"operatorClass={self.name}", "rbac.aggregate=false", *sets):
            command += ["--set", pair]
        objects = [document for document in yaml.safe_load_all(self.run(*command)) if document]
        wanted = [o for o in objects if o["kind"] not in ("CustomResourceDefinition", "Deployment", "Job", "Pod")]
        self.kubectl("apply", "--filename", "-", stdin=yaml.safe_dump_all(wanted))
        return objects

    def kubeconfig_of(self, account: str) -> str:
        """Return a kubeconfig by which one speaks to the cluster as an account, and with nobody else's rights."""
        token = self.kubectl("create", "token", account, "--duration=30m").strip()
        admin = yaml.safe_load(Path(str(API_SERVER)).read_text(encoding="utf-8"))
        admin["users"] = [{"name": user["name"], "user": {"token": token}} for user in admin["users"]]
        file = self._folder / f"{account}.kubeconfig"
        file.write_text(yaml.safe_dump(admin))
        return str(file)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    if not API_SERVER:
        pytest.skip(f"needs a Kubernetes API server: set {VARIABLE} to a kubeconfig")
    if not shutil.which("kubectl"):
        pytest.skip("needs kubectl on PATH")
    mine = Place(tmp_path)
    mine.run("kubectl", "create", "namespace", mine.name)
    try:
        mine.kubectl("apply", "--server-side", "--force-conflicts", "--filename", str(ROOT / "crds"))
        for kind in ("brokers", "taskqueues", "workerpools", "schedules"):
            mine.kubectl("wait", "--for=condition=Established", f"crd/{kind}.umbel.dev", "--timeout=60s")
        yield mine
    finally:
        label = f"app.kubernetes.io/instance={mine.name}"
        mine.kubectl("delete", "clusterrole,clusterrolebinding", "--selector", label, "--ignore-not-found")
        broken = '{"metadata":{"finalizers":null}}'
        for name in mine.kubectl("get", "brokers", "--output", "name").split():
            mine.kubectl("patch", name, "--type=merge", "--patch", broken)
        mine.kubectl("delete", "namespace", mine.name, "--wait=false")


def umbel_operator(*arguments: str) -> list[str]:
    return [sys.executable, "-c", "from umbel_operator.cli import main; main()", *arguments]


@pytest.mark.parametrize("mode", ["a Role", "a ClusterRole"])
def test_the_operator_works_with_its_own_rights_alone(mode: str, place: Place, tmp_path: Path) -> None:
    """Given the account of the chart, when the operator runs under it, then it gets ready and makes every child."""
    sets = ["networkPolicy.enabled=true", *([f"watchNamespaces={{{place.name}}}"] if mode == "a Role" else [])]
    place.apply_chart(*sets)
    kubeconfig = place.kubeconfig_of(f"{place.name}-umbel-operator")
    place.kubectl("apply", "--filename", "-", stdin=RESOURCES.replace("CLASS", place.name).replace("&class ", ""))
    arguments = ["--beat-via", "service", "--network-policies", "--operator-class", place.name]
    log = tmp_path / "operator.log"

    async def made() -> bool | None:
        kinds = "deployments,services,configmaps,poddisruptionbudgets,networkpolicies"
        label = "app.kubernetes.io/managed-by=umbel-operator"
        found = await asyncio.to_thread(place.kubectl, "get", kinds, "--selector", label, "--output", "name")
        wanted = {"deployment.apps/default-beat", "deployment.apps/mailers-worker", "configmap/default-config-index"}
        wanted |= {"poddisruptionbudget.policy/mailers-worker", "networkpolicy.networking.k8s.io/mailers-worker"}
        return True if wanted <= set(found.split()) else None

    async def run() -> None:
        async with OperatorProcess(kubeconfig, place.name, log, *arguments) as operator:
            await until("the operator's /readyz", operator.is_ready, 60)
            await until("all children", made, 60)
            await until("a status", lambda: asyncio.to_thread(status), 60)

    def status() -> bool | None:
        shown = place.kubectl("get", "workerpool", "mailers", "--output", "jsonpath={.status.conditions[*].type}")
        return "Ready" in shown or None

    asyncio.run(run())
    assert "Forbidden" not in log.read_text()
    assert "403" not in log.read_text()


def test_the_job_applies_the_brokers_with_its_own_rights_alone(place: Place, tmp_path: Path) -> None:
    """Given the account of the chart's job, then it can apply the Brokers of the values there, and do nothing else."""
    sets = ("redis.enabled=true", f"brokers[0].namespace={place.name}", "brokers[0].name=trial")
    objects = place.apply_chart(*sets)
    (config,) = [o for o in objects if o["kind"] == "ConfigMap" and o["metadata"]["name"].endswith("-brokers")]
    file = tmp_path / "brokers.yaml"
    file.write_text(config["data"]["brokers.yaml"])
    account = config["metadata"]["name"]
    apply = umbel_operator("apply", "--filename", str(file), "--manager", "umbel-chart", "--wait", "30")
    place.run(*apply, kubeconfig=place.kubeconfig_of(account))
    place.run(*apply, kubeconfig=place.kubeconfig_of(account))
    address = place.kubectl("get", "broker", "trial", "--output", "jsonpath={.spec.connection.addresses[0]}")
    assert address == f"{place.name}-umbel-redis.{place.name}.svc:6379"
    who = f"--as=system:serviceaccount:{place.name}:{account}"
    listed = place.kubectl("auth", "can-i", "--list", who, "--no-headers")
    assert {line.split()[0] for line in listed.splitlines() if ".umbel.dev" in line} == {"brokers.umbel.dev"}
    assert "secrets" not in listed


def test_the_account_of_helm_test_can_check(place: Place) -> None:
    objects = place.apply_chart()
    (pod,) = [o for o in objects if o["kind"] == "Pod"]
    (container,) = pod["spec"]["containers"]
    name, *arguments = [text for text in container["args"] if not text.startswith("--operator=")]
    kubeconfig = place.kubeconfig_of(pod["spec"]["serviceAccountName"])
    assert "All is well." in place.run(*umbel_operator(name, *arguments), kubeconfig=kubeconfig)
