"""The word that pods are gone from the cluster, from beat to those of their workers that live on for a moment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from umbel.broker.base import Broker

#: The name of the command.
PODS_GONE: Final = "pods_gone"


def tell(broker: Broker, pod_uids: Sequence[str]) -> int:
    """Tell the workers of these pods; return how many workers heard it, addressed or not.

    Nobody answers, and who does not hear it is found by its missing heartbeats.

    Raises:
        OperationalError: the broker cannot be reached.
    """
    return broker.control({"command": PODS_GONE, "arguments": {"pods": list(pod_uids)}, "destination": None})
