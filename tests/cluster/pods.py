"""Pods that die as they do with their node: at once, without a farewell."""

from __future__ import annotations

from typing import Any

from tests.cluster.kubectl import Kubectl

_SIGNAL = """
import os, signal
own = os.getpid()
for entry in os.listdir("/proc"):
    if entry.isdigit() and int(entry) not in (1, own):
        try:
            line = open(f"/proc/{entry}/cmdline").read()
            if "umbel" in line:
                os.kill(int(entry), signal.%s)
        except (FileNotFoundError, ProcessLookupError):
            pass
"""


def mortal(pool: dict[str, Any]) -> dict[str, Any]:
    """Make a pool whose workers can be killed from within the pod.

    With a process space of the pod's own, the supervisor is not its first process, which hears few signals.
    """
    pool["spec"]["template"]["spec"]["shareProcessNamespace"] = True
    return pool


def freeze(kubectl: Kubectl, pod: str) -> None:
    """Stop all processes of a worker for good: no heartbeat, and the kubelet starts nothing in its place."""
    kubectl("exec", pod, "--container", "worker", "--", "python3", "-c", _SIGNAL % "SIGSTOP")


def kill(kubectl: Kubectl, pod: str, container: str) -> None:
    """Kill all processes of a pod at once, and then the pod, so that a new one comes without a back-off."""
    kubectl("exec", pod, "--container", container, "--", "python3", "-c", _SIGNAL % "SIGKILL", check=False)
    kubectl("delete", "pod", pod, "--force", "--grace-period=0")
