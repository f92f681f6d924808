"""The probes of workers and beat."""

from __future__ import annotations

from typing import Any

#: Seconds that a start may take, slow imports included, before the container is restarted.
STARTUP_SECONDS = 300
_STARTUP_PERIOD = 2


def probes() -> dict[str, Any]:
    """Return the three probes: alive while the main loop turns, ready while connected and not draining."""
    return {
        "startupProbe": _probe("/livez", _STARTUP_PERIOD, STARTUP_SECONDS // _STARTUP_PERIOD),
        "livenessProbe": _probe("/livez", 10, 3),
        "readinessProbe": _probe("/readyz", 5, 2),
    }


def _probe(path: str, period: int, failures: int) -> dict[str, Any]:
    return {
        "httpGet": {"path": path, "port": "http"},
        "periodSeconds": period,
        "timeoutSeconds": 5,
        "failureThreshold": failures,
    }
