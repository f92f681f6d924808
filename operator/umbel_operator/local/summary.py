"""The words at the beginning and at the end."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from umbel_operator.api.base import Resource
from umbel_operator.api.broker import Broker
from umbel_operator.build.connection import key_prefix
from umbel_operator.local.notices import Notice
from umbel_operator.local.snapshot import Tasks


def heading(paths: Sequence[Path], server: str, address: str) -> list[str]:
    """Return what runs where."""
    version = ".".join(map(str, sys.version_info[:3]))
    return [
        f"umbel up: {', '.join(map(str, paths))}",
        f"  {server} at {address}; pods are processes of Python {version} ({sys.executable}), images are not used",
    ]


def exports(resources: Iterable[Resource], url: str) -> list[str]:
    """Return the lines by which producers in another shell find each Broker."""
    brokers = [resource for resource in resources if isinstance(resource, Broker)]
    lines = []
    for broker in brokers:
        variables = {"UMBEL_BROKER_URL": url, "UMBEL_KEY_PREFIX": key_prefix(broker)}
        which = f" of Broker {broker.namespace}/{broker.name}" if len(brokers) > 1 else ""
        text = " ".join(f"{name}={shlex.quote(value)}" for name, value in variables.items())
        lines.append(f"for producers{which}:  export {text}")
    return lines


def summary(tasks: Tasks, notices: Sequence[Notice], seconds: float) -> list[str]:
    """Return what came of it."""
    counts = ", ".join(f"{count} {word}" for word, count in tasks.counts.most_common()) or "no task has ended"
    lines = [f"umbel up ended after {seconds:.0f} s; tasks: {counts}"]
    return lines + [f"  not ready: {notice}" for notice in notices]
