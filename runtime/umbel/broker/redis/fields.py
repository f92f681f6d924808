"""A queue's settings as fields of its ``meta``, and back. The scripts read them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import orjson

from umbel.message import group_digest
from umbel.rates import RateLimit
from umbel.redis.connection import Argument
from umbel.taskdefaults import TaskDefaults

_NUMBERS: Final = ("max_concurrency", "max_length", "max_deliveries", "dead_max")
_WORDS: Final = ("intake", "dispatch", "overflow", "dead_policy", "dead_forward")


def to_fields(settings: Mapping[str, Any]) -> tuple[list[str], list[Argument]]:
    """Return the fields to delete, and the fields to write, each followed by its value."""
    drop: list[str] = []
    write: list[Argument] = []
    for name, value in settings.items():
        if name == "rate_limit":
            text = None if value is None else f"{value.tasks:g} {value.period:g} {value.at_once}"
            shown = None if value is None else f"{value} {value.burst or ''}".strip()
            pairs: list[tuple[str, Argument | None]] = [("rate", text), ("rate_limit", shown)]
        elif name == "group_weights":
            weights = {group: weight for group, weight in (value or {}).items() if weight != 1}
            known = "".join(f"{group_digest(group)}={weight};" for group, weight in weights.items())
            pairs = [("weights", known or None), ("group_weights", orjson.dumps(weights) if weights else None)]
        elif name == "task_defaults":
            pairs = [(name, TaskDefaults.of(value).encode() if value else None)]
        else:
            pairs = [(name, value)]
        for field, found in pairs:
            if found is None:
                drop.append(field)
            else:
                write += (field, found)
    return drop, write


def from_fields(fields: Mapping[str, bytes]) -> dict[str, Any]:
    """Return the settings, without those that are not set."""
    settings: dict[str, Any] = {name: fields[name].decode() for name in _WORDS if name in fields}
    settings |= {name: int(fields[name]) for name in _NUMBERS if name in fields}
    if "dead_retention" in fields:
        settings["dead_retention"] = float(fields["dead_retention"])
    if "rate" in fields:
        tasks, period, _ = map(float, fields["rate"].split())
        _, _, burst = fields.get("rate_limit", b"").decode().partition(" ")
        settings["rate_limit"] = RateLimit(tasks, period, int(burst) if burst else None)
    if "group_weights" in fields:
        settings["group_weights"] = orjson.loads(fields["group_weights"])
    if "task_defaults" in fields:
        settings["task_defaults"] = orjson.loads(fields["task_defaults"])
    settings["serial"] = int(fields.get("serial", b"-1"))
    return settings
