"""What `umbel up` says at the beginning, of edits, and at the end."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from umbel_operator.api.base import Resource
from umbel_operator.api.broker import Broker
from umbel_operator.build.connection import key_prefix
from umbel_operator.local.files import Declared
from umbel_operator.local.naming import shown_name
from umbel_operator.local.notices import Notice
from umbel_operator.local.redirect import missing_brokers, redirected
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
        which = f" of Broker {shown_name(broker.namespace, broker.name)}" if len(brokers) > 1 else ""
        text = " ".join(f"{name}={shlex.quote(value)}" for name, value in variables.items())
        lines.append(f"for producers{which}:  export {text}")
    return lines


def remarks(declared: Declared, address: str) -> list[str]:
    """Return what is not as the files say."""
    brokers = [f"{text}; the Redis is {address}" for text in redirected(declared.resources)]
    supplied = [
        f'no file declares the Broker "default" of namespace {namespace}: one is supplied'
        for namespace in missing_brokers(declared.resources.values())
    ]
    return [*declared.notes, *brokers, *supplied]


def edits(before: Declared, after: Declared) -> list[str]:
    """Return which resources came, went and changed."""
    old, new = before.resources, after.resources
    changed = {name for name in old.keys() & new.keys() if old[name].body != new[name].body}
    groups = (("added", new.keys() - old.keys()), ("removed", old.keys() - new.keys()), ("changed", changed))
    return [f"{kind} {shown_name(space, name)} {word}" for word, names in groups for kind, space, name in sorted(names)]


def summary(tasks: Tasks, notices: Sequence[Notice], seconds: float) -> list[str]:
    """Return what came of it."""
    counts = ", ".join(f"{count} {word}" for word, count in tasks.counts.most_common()) or "no task has ended"
    lines = [f"umbel up ended after {seconds:.0f} s; tasks: {counts}"]
    return lines + [f"  not ready: {notice}" for notice in notices]
