"""Numbers of bytes as Kubernetes writes them."""

from __future__ import annotations

from typing import Final

_FACTORS: Final = {"Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "k": 10**3, "M": 10**6, "G": 10**9}


def bytes_of(value: int | str) -> int:
    """Return how many bytes ``512Mi``, ``1.5G`` or ``1048576`` are. Pure."""
    if isinstance(value, int):
        return value
    for suffix, factor in _FACTORS.items():
        if value.endswith(suffix):
            return int(float(value.removesuffix(suffix)) * factor)
    return int(float(value))
