"""What pods are started with: the library's command line knows every option, and beat every entry."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.operator.resources import broker, cron, pool, queue, schedule, view

from umbel.beat.definitions import Definitions
from umbel.cli.main import umbel
from umbel_operator.build.broker import beat_args
from umbel_operator.build.config import render_shards
from umbel_operator.build.deployment import worker_args
from umbel_operator.build.entries import broker_entries


def parsed(arguments: list[str], name: str) -> dict[str, Any]:
    """Parse arguments as `umbel` does, without running anything."""
    place = arguments.index(name)
    with umbel.make_context("umbel", list(arguments), resilient_parsing=True) as context:
        command = umbel.get_command(context, name)
        assert command is not None
        return dict(command.make_context(name, arguments[place + 1 :], parent=context).params)


def test_the_worker_command_knows_what_it_is_given() -> None:
    given = parsed(worker_args(pool(concurrency={"slots": 4}), [("mail", 2), ("reports", 1)]), "worker")
    assert given["concurrency"] == 4
    assert given["health_port"] == 8080
    assert given["queues"] == (("mail", 2), ("reports", 1))


def test_the_beat_command_knows_what_it_is_given() -> None:
    given = parsed(beat_args(broker(beat={"lockTTLSeconds": 20})), "beat")
    assert str(given["config_dir"]) == "/etc/umbel/config"
    assert given["port"] == 8080
    assert given["lock_ttl"] == 20


@pytest.mark.parametrize(
    "made",
    [
        schedule(),
        schedule(trigger=cron("H 3 * * MON-FRI", "Europe/Berlin")),
        schedule(trigger={"type": "Interval", "interval": {"everySeconds": 30}}, jitterSeconds=5),
        schedule(trigger={"type": "Interval", "interval": {"everySeconds": 60, "anchorTime": "2026-01-01T00:00:30Z"}}),
        schedule(trigger={"type": "Once", "once": {"time": "2030-01-01T00:00:00+02:00"}}),
        schedule(catchUp={"policy": "All", "maxRuns": 5}, startingDeadlineSeconds=60, concurrencyPolicy="Replace"),
        schedule(stop={"afterTime": "2030-01-01T00:00:00Z", "maxRuns": 9, "maxConsecutiveFailures": 2}, suspend=True),
        schedule(
            meta={"annotations": {"umbel.dev/trigger": "now"}},
            task={
                "name": "shop.report",
                "args": [1, "ä", None, {"a": [1.5]}],
                "kwargs": {"day": 1},
                "priority": 9,
                "timeLimitSeconds": 60,
                "expiresSeconds": 600,
                "maxRetries": 0,
            },
        ),
    ],
    ids=["cron", "H and zone", "interval", "anchor", "once", "catch-up", "stop", "task"],
)
def test_beat_takes_every_entry(made: Any) -> None:
    """Given entries that were rendered, when beat reads the shard, then it refuses none of them."""
    found = view(queue(maxConcurrency=5, deadLetter={"policy": "Keep", "retentionSeconds": 60}), pool(), made)
    (text,) = render_shards(broker_entries("default", found.queues, found.schedules, found.pools)).values()
    definitions = Definitions()
    definitions.add(json.loads(text))
    assert definitions.errors == []
    assert list(definitions.schedules) == ["uid-nightly"]
    assert definitions.queues["mail"].settings["max_concurrency"] == 5
    assert definitions.pools["mailers"].queues == ("mail",)
