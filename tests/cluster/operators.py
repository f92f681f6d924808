"""The operator, in the cluster and outside of it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.cluster.kubectl import IMAGE, KUBECONFIG, Kubectl, wait
from tests.cluster.manifests import OPERATOR_CLASS, deployment

READ = ["get", "list", "watch"]
WRITE = [*READ, "create", "patch", "delete"]

#: The operator's whole table of rights in a cluster.
RULES = [
    (["umbel.dev"], ["brokers", "taskqueues", "workerpools", "schedules"], [*READ, "patch"]),
    (["umbel.dev"], [f"{k}/status" for k in ("brokers", "taskqueues", "workerpools", "schedules")], ["get", "patch"]),
    (["umbel.dev"], ["workerpools/scale"], ["get", "patch"]),
    (["apps"], ["deployments"], WRITE),
    ([""], ["configmaps", "services"], WRITE),
    (["policy"], ["poddisruptionbudgets"], WRITE),
    ([""], ["pods"], [*READ, "patch"]),
    (["events.k8s.io"], ["events"], ["create", "patch"]),
    (["apiextensions.k8s.io"], ["customresourcedefinitions"], READ),
    ([""], ["namespaces"], READ),
]


def install(kubectl: Kubectl, name: str) -> None:
    """Install the operator for all namespaces by plain manifests, and wait until it is ready.

    name: of the cluster-wide objects, which `uninstall` removes.
    """
    rules = [{"apiGroups": g, "resources": r, "verbs": v} for g, r, v in RULES]
    meta = {"name": name}
    subject = {"kind": "ServiceAccount", "name": "umbel-operator", "namespace": kubectl.namespace}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name}
    container = {
        "name": "operator",
        "image": IMAGE,
        "imagePullPolicy": "IfNotPresent",
        "command": ["umbel-operator", "run", "-A", "--beat-image", IMAGE, "--log-format", "json"],
        "args": ["--beat-image-pull-policy", "IfNotPresent", "--operator-class", OPERATOR_CLASS],
        "readinessProbe": {"httpGet": {"path": "/readyz", "port": 8080}, "periodSeconds": 2},
        "livenessProbe": {"httpGet": {"path": "/livez", "port": 8080}, "periodSeconds": 10},
    }
    kubectl.apply(
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "umbel-operator"}},
        {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": meta, "rules": rules},
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": meta,
            "subjects": [subject],
            "roleRef": role,
        },
        deployment("umbel-operator", container, serviceAccountName="umbel-operator"),
    )
    kubectl.running("app=umbel-operator", 1)


def uninstall(kubectl: Kubectl, name: str) -> None:
    """Remove what `install` made cluster-wide; the rest goes with the namespace."""
    kubectl("delete", "clusterrolebinding,clusterrole", name, "--ignore-not-found")


@contextmanager
def outside(namespace: str, operator_class: str, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run the operator as a process of this machine, for the resources of one class in one namespace."""
    port = free_port()
    command = [sys.executable, "-c", "from umbel_operator.cli import main; main()", "run", "--namespace", namespace]
    command += ["--beat-via", "apiserver", "--beat-image", IMAGE, "--beat-image-pull-policy", "IfNotPresent"]
    command += ["--operator-class", operator_class, "--health-port", str(port)]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stderr=output, env={**os.environ, "KUBECONFIG": KUBECONFIG})
    try:
        wait("the operator's /readyz", lambda: is_ready(port, process), 30, seen=log.read_text)
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise


def is_ready(port: int, process: subprocess.Popen[Any]) -> bool | None:
    """Ask the operator's own probe."""
    assert process.poll() is None, f"the operator ended with {process.returncode}"
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2) as answer:
            return True if answer.status == 200 else None
    except (urllib.error.URLError, OSError):
        return None


def free_port() -> int:
    """Find a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
