"""The operator, in the cluster and outside of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.cluster.kubectl import IMAGE, KUBECONFIG, Kubectl, find_program, wait
from tests.cluster.manifests import OPERATOR_CLASS
from tests.ports import free_port

CHART = Path(__file__).parents[2] / "charts" / "umbel"
SELECTOR = "app.kubernetes.io/name=umbel-operator"


def install(kubectl: Kubectl, operator_class: str = OPERATOR_CLASS, watch: Sequence[str] = ()) -> None:
    """Install the operator by the chart, and wait until it is ready.

    The release bears the name of its namespace, so that its cluster-wide objects are its own too.
    watch: the namespaces to serve; all of them where it is empty.
    """
    values = {
        **image_values(),
        "operatorClass": operator_class,
        "watchNamespaces": list(watch),
        # The tests apply those of the repository, also where the cluster has them already.
        "crds": {"enabled": False},
        "rbac": {"aggregate": False},
    }
    helm(kubectl, "install", kubectl.namespace, str(CHART), "--values", "-", stdin=json.dumps(values))
    kubectl.running(SELECTOR, 1)


def image_values() -> dict[str, Any]:
    """Return the chart's values for the image under test."""
    repository, separator, version = IMAGE.partition("@") if "@" in IMAGE else IMAGE.rpartition(":")
    return {"image": {"repository": repository, "digest" if separator == "@" else "tag": version}}


def uninstall(kubectl: Kubectl) -> None:
    """Uninstall the release."""
    helm(kubectl, "uninstall", kubectl.namespace, "--ignore-not-found")


def deployment_of(kubectl: Kubectl) -> str:
    """Name the operator's Deployment."""
    return kubectl("get", "deployments", "-l", SELECTOR, "-o", "name").strip()


def helm(kubectl: Kubectl, *arguments: str, stdin: str | None = None) -> str:
    """Run Helm in a namespace."""
    program = find_program("helm")
    assert program is not None, "no helm: run `make tools`, or put it on PATH"
    command = [program, "--namespace", kubectl.namespace, *arguments]
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, f"helm {arguments[0]}: {done.stderr.strip()}"
    return done.stdout


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
