"""Turn the wanted status into the smallest merge patch, and tell what must not wait."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def merge_patch(live: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Return the merge patch of the status that turns `live` into `wanted`; empty where nothing differs.

    Keys that are no longer true become null; lists (the conditions) are written whole.
    """
    patch: dict[str, Any] = {key: value for key, value in wanted.items() if live.get(key) != value}
    patch.update({key: None for key in live if key not in wanted})
    return patch


def urgent(patch: Mapping[str, Any]) -> bool:
    """Tell whether a status patch is to be written at once: it changes conditions, the generation or the selector.

    Everything else is numbers that may wait up to 30 s or longer.
    """
    return not patch.keys().isdisjoint({"conditions", "observedGeneration", "selector", "lastHandledTrigger"})
