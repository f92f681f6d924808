"""Speak to the cluster as its users do: with kubectl."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import Any, TypeVar

T = TypeVar("T")

#: Seconds that a wait takes at most unless it says otherwise; images are on the node, but the machine may be small.
PATIENCE = 90.0

OURS = "brokers,taskqueues,workerpools,schedules"

#: Read at import: the tests themselves do not see the settings of the shell.
KUBECONFIG = os.environ.get("KUBECONFIG", "")
IMAGE = os.environ.get("UMBEL_IMAGE", "")
REDIS_IMAGE = os.environ.get("REDIS_IMAGE", "redis:7")
#: A node that one test deletes; it is cordoned, so that nothing else is on it.
SPARE_NODE = os.environ.get("UMBEL_SPARE_NODE", "")


def find_program(name: str) -> str | None:
    """Look for a program on PATH and in the virtual environment."""
    beside = Path(sys.executable).parent / name
    return shutil.which(name) or (str(beside) if beside.exists() else None)


def why_not() -> str | None:
    """Say what is missing for tests on a cluster, or nothing."""
    if not KUBECONFIG:
        return "no cluster: set KUBECONFIG to the file of one (make test-cluster)"
    for name in ("kubectl", "helm"):
        if find_program(name) is None:
            return f"no {name}: put it on PATH, or run `make tools`"
    return None


class Log:
    """What a pod has said so far."""

    def __init__(self) -> None:
        self.text = ""

    def read(self, lines: Iterable[str]) -> None:
        """Take in lines as they come."""
        for line in lines:
            self.text += line


class Kubectl:
    """Run kubectl in one namespace."""

    def __init__(self, namespace: str = "default") -> None:
        self.namespace = namespace

    def __call__(self, *arguments: str, stdin: str | None = None, check: bool = True) -> str:
        """Run a command and return what it prints; fail with its error unless told otherwise."""
        command = [find_program("kubectl") or "kubectl", "--namespace", self.namespace, *arguments]
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=180, check=False)
        if check and done.returncode != 0:
            raise AssertionError(f"kubectl {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout + ("" if check else done.stderr)

    def apply(self, *objects: Mapping[str, Any]) -> None:
        """Apply objects, as `kubectl apply -f` does."""
        text = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
        self("apply", "-f", "-", stdin=text)

    def get(self, kind: str, name: str) -> dict[str, Any] | None:
        """Read one object, or None where there is none."""
        text = self("get", kind, name, "-o", "json", "--ignore-not-found")
        return json.loads(text) if text.strip() else None

    def ask_beat(self, path: str, broker: str = "default") -> dict[str, Any]:
        """Ask a Broker's beat something, through the API server."""
        service = f"/api/v1/namespaces/{self.namespace}/services/{broker}-beat:8080/proxy"
        answer: dict[str, Any] = json.loads(self("get", "--raw", f"{service}{path}"))
        return answer

    def ask_pod(self, pod: str, path: str) -> dict[str, Any]:
        """Ask one pod of beat something, through the API server; empty where it does not answer."""
        text = self("get", "--raw", f"/api/v1/namespaces/{self.namespace}/pods/{pod}:8080/proxy{path}", check=False)
        try:
            answer: dict[str, Any] = json.loads(text)
        except ValueError:
            return {}
        return answer

    @contextmanager
    def following(self, pod: str) -> Iterator[Log]:
        """Read a pod's log until the end of the pod: afterwards nobody can."""
        log = Log()
        command = [find_program("kubectl") or "kubectl", "--namespace", self.namespace, "logs", "--follow", pod]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
            reader = Thread(target=log.read, args=(process.stdout,))
            reader.start()
            try:
                yield log
                reader.join(PATIENCE)
            finally:
                process.terminate()
                reader.join()

    def reasons_of(self, kind: str, name: str) -> set[str]:
        """Read the reasons of the events on an object."""
        selector = f"involvedObject.kind={kind},involvedObject.name={name}"
        return set(self("get", "events", "--field-selector", selector, "-o", "jsonpath={.items[*].reason}").split())

    def gone(self, selector: str, seconds: float = PATIENCE) -> None:
        """Wait until no pod is left."""
        wait(f"the pods of {selector} to go", lambda: None if self.list_all("pods", selector) else True, seconds)

    def list_all(self, kind: str, selector: str = "") -> list[dict[str, Any]]:
        """Read all objects of a kind."""
        items: list[dict[str, Any]] = json.loads(self("get", kind, "-l", selector, "-o", "json"))["items"]
        return items

    def table(self, kind: str) -> dict[str, dict[str, str]]:
        """Read what `kubectl get` prints: rows by name, cells by column."""
        lines = self("get", kind).splitlines()
        head = lines[0]
        columns = head.split()
        starts = [head.index(name) if i == 0 else head.index(f" {name}") + 1 for i, name in enumerate(columns)]
        ends = [*starts[1:], None]
        rows = [
            {name: line[start:end].strip() for name, start, end in zip(columns, starts, ends, strict=True)}
            for line in lines[1:]
        ]
        return {row["NAME"]: row for row in rows}

    def condition(self, kind: str, name: str, type_: str) -> dict[str, Any]:
        """Read one condition of an object; empty where it has none of that type."""
        status = (self.get(kind, name) or {}).get("status") or {}
        return next((c for c in status.get("conditions") or () if c["type"] == type_), {})

    def wait_condition(
        self, kind: str, name: str, type_: str, status: str, reason: str | None = None, seconds: float = PATIENCE
    ) -> dict[str, Any]:
        """Wait until a condition has a status and a reason, for the present generation."""

        def look() -> dict[str, Any] | None:
            obj = self.get(kind, name) or {}
            conditions = (obj.get("status") or {}).get("conditions") or ()
            found = next((c for c in conditions if c["type"] == type_), {})
            fits = found.get("status") == status and reason in (None, found.get("reason"))
            return found if fits and found["observedGeneration"] == obj["metadata"]["generation"] else None

        wish = f"{kind}/{name}: {type_}={status}" + (f" {reason}" if reason else "")
        return wait(wish, look, seconds, seen=lambda: self.condition(kind, name, type_))

    def running(self, selector: str, count: int | None = None, seconds: float = PATIENCE) -> list[dict[str, Any]]:
        """Wait until so many pods (at least one where no number is given) run, are ready, and none is going."""

        def look() -> list[dict[str, Any]] | None:
            pods = self.list_all("pods", selector)
            ready = [pod for pod in pods if is_ready(pod)]
            return ready if len(ready) == len(pods) and len(ready) in ((count,) if count else range(1, 99)) else None

        return wait(
            f"{count or 'some'} ready pods of {selector}",
            look,
            seconds,
            seen=lambda: self("get", "pods", "-l", selector, check=False),
        )


def is_ready(pod: Mapping[str, Any]) -> bool:
    """Tell whether a pod is ready and stays."""
    conditions = pod["status"].get("conditions") or ()
    ready = any(c["type"] == "Ready" and c["status"] == "True" for c in conditions)
    return ready and "deletionTimestamp" not in pod["metadata"]


def wait(
    wish: str, look: Callable[[], T | None], seconds: float = PATIENCE, seen: Callable[[], Any] | None = None
) -> T:
    """Look again and again until something is there.

    wish: what is waited for, for the message. seen: what to show when it does not come.
    """
    deadline = time.monotonic() + seconds
    while True:
        found = look()
        if found is not None:
            return found
        if time.monotonic() > deadline:
            last = f"; last seen: {seen()}" if seen is not None else ""
            raise AssertionError(f"not within {seconds:.0f} s: {wish}{last}")
        time.sleep(0.5)


def diagnosis(namespaces: Iterable[str]) -> str:
    """Collect what somebody needs who was not there: objects, descriptions, events and logs."""
    parts = []
    for namespace in namespaces:
        kubectl = Kubectl(namespace)
        commands = [
            ["get", f"{OURS},deployments,replicasets,pods,services,configmaps", "-o", "wide"],
            ["describe", f"{OURS},pods"],
            ["get", "events", "--sort-by", ".metadata.creationTimestamp"],
        ]
        pods = kubectl("get", "pods", "-o", "name", check=False).split()
        for pod in pods:
            commands.append(["logs", pod, "--all-containers", "--prefix", "--tail", "80"])
            commands.append(["logs", pod, "--all-containers", "--prefix", "--tail", "40", "--previous"])
        for command in commands:
            text = kubectl(*command, check=False).strip()
            if "previous terminated container" not in text:
                parts.append(f"$ kubectl -n {namespace} {' '.join(command)}\n{text}")
    return "\n\n".join(parts)
