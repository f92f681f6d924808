"""Name objects for people."""

from __future__ import annotations


def shown_name(namespace: str, name: str) -> str:
    """Return the name, with the namespace before it where that is not the ordinary one."""
    return name if namespace == "default" else f"{namespace}/{name}"
