"""The security contexts that Pod Security `restricted` asks for."""

from __future__ import annotations

from typing import Any

#: User and group of every pod; it needs no entry in the image's /etc/passwd, since HOME is /tmp.
USER = 65532


def pod_security_context() -> dict[str, Any]:
    """Return the pod's context: no root, the runtime's seccomp profile, and files readable by our group."""
    return {
        "runAsNonRoot": True,
        "runAsUser": USER,
        "runAsGroup": USER,
        "fsGroup": USER,
        "seccompProfile": {"type": "RuntimeDefault"},
    }


def container_security_context(*, read_only_root: bool) -> dict[str, Any]:
    """Return the container's context.

    read_only_root: for our own image; a user's code may write beside itself, which `restricted` allows.
    """
    context: dict[str, Any] = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    if read_only_root:
        context["readOnlyRootFilesystem"] = True
    return context
