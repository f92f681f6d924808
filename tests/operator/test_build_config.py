"""beat's configuration: entries, shards, index and serial."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from tests.operator.resources import broker, cron, pool, queue, schedule, view

from umbel_operator.api.base import Resource
from umbel_operator.api.taskqueue import TaskQueue
from umbel_operator.build.config import (
    MAX_SHARD_BYTES,
    Index,
    build_config_maps,
    next_index,
    read_config,
    read_index,
    render_shards,
)
from umbel_operator.build.entries import Entry, broker_entries, queue_settings


def entries(*resources: Resource) -> list[Entry]:
    found = view(*resources)
    return broker_entries("default", found.queues, found.schedules, found.pools)


def bodies(section: str, *resources: Resource) -> list[Any]:
    return [entry.body for entry in entries(*resources) if entry.section == section]


def test_the_entry_of_a_queue() -> None:
    made = queue(meta={"generation": 3}, queueName="mail-out", intake="Reject", maxConcurrency=5)
    assert bodies("queues", made) == [
        {
            "name": "mail-out",
            "resource": "mail",
            "uid": "uid-mail",
            "generation": 3,
            "settings": {
                "intake": "Reject",
                "dispatch": "Enabled",
                "maxDeliveries": 3,
                "maxConcurrency": 5,
                "deadLetter": {"policy": "Keep"},
            },
        }
    ]


@pytest.mark.parametrize(
    ("spec", "name", "expected"),
    [
        (
            {"deadLetter": {"policy": "Keep", "retentionSeconds": 60}},
            "deadLetter",
            {"policy": "Keep", "retentionSeconds": 60},
        ),
        ({"deadLetter": {"policy": "Discard"}}, "deadLetter", {"policy": "Discard"}),
        ({"deadLetter": {"policy": "Forward", "queueRef": {"name": "x"}}}, "deadLetter", {"policy": "Keep"}),
        ({"dispatch": "Held"}, "dispatch", "Held"),
        ({"rateLimit": {"tasks": 5}}, "rateLimit", {"tasks": 5, "periodSeconds": 1}),
        ({"maxLength": 9, "overflowPolicy": "Reject"}, "overflowPolicy", "Reject"),
        ({"taskDefaults": {"maxRetries": 0}}, "taskDefaults", {"maxRetries": 0}),
    ],
    ids=["keep", "discard", "forward to nowhere is kept", "held", "rate limit", "overflow", "task defaults"],
)
def test_settings_of_a_queue(spec: dict[str, Any], name: str, expected: Any) -> None:
    assert queue_settings(queue(**spec), {})[name] == expected


def test_dead_tasks_are_forwarded_to_a_queue_of_the_same_broker_by_its_effective_name() -> None:
    forwarding = queue(deadLetter={"policy": "Forward", "queueRef": {"name": "graveyard"}})

    def rendered(*others: TaskQueue) -> Any:
        return queue_settings(forwarding, {other.name: other for other in others})["deadLetter"]

    assert rendered(queue("graveyard")) == {"policy": "Forward", "queue": "graveyard"}
    assert rendered(queue("graveyard", queueName="dead.mail")) == {"policy": "Forward", "queue": "dead.mail"}
    assert rendered(queue("graveyard", brokerRef={"name": "other"})) == {"policy": "Keep"}


def test_a_queue_that_waits_for_its_deletion_takes_no_more() -> None:
    going = queue(meta={"deletionTimestamp": "2026-03-01T11:00:00Z"}, deletionPolicy="WaitUntilEmpty")
    assert queue_settings(going, {})["intake"] == "Reject"


def test_the_entry_of_a_schedule() -> None:
    made = schedule(
        meta={"generation": 2, "annotations": {"umbel.dev/trigger": "now-1"}},
        task={"name": "shop.report", "kwargs": {"day": 1}, "priority": 5, "timeLimitSeconds": 60},
        startingDeadlineSeconds=300,
        stop={"maxRuns": 4},
    )
    assert bodies("schedules", queue(queueName="mail-out"), made) == [
        {
            "uid": "uid-nightly",
            "name": "nightly",
            "namespace": "shop",
            "generation": 2,
            "queue": "mail-out",
            "task": {"name": "shop.report", "args": [], "kwargs": {"day": 1}, "priority": 5, "timeLimitSeconds": 60},
            "trigger": {"type": "Cron", "cron": {"expression": "0 3 * * *", "timeZone": "Etc/UTC"}},
            "jitterSeconds": 0,
            "startingDeadlineSeconds": 300,
            "catchUp": {"policy": "Latest"},
            "concurrencyPolicy": "Allow",
            "suspend": False,
            "stop": {"maxRuns": 4},
            "successfulRunsHistoryLimit": 3,
            "failedRunsHistoryLimit": 3,
            "manualTrigger": "now-1",
        }
    ]


def test_the_entry_of_a_pool() -> None:
    made = pool(queues=[{"name": "mail"}, {"name": "missing"}], concurrency={"slots": 4})
    assert bodies("pools", queue(queueName="mail-out"), made) == [
        {"name": "mailers", "uid": "uid-mailers", "queues": ["mail-out"], "slots": 4}
    ]


@pytest.mark.parametrize(
    "left_out",
    [
        schedule("s", queueRef={"name": "nowhere"}),
        schedule("s", trigger=cron("0 0 31 2 *")),
        schedule("s", trigger=cron("0 3 * * *", "Mars/Olympus")),
        schedule("s", task={"name": "t", "args": ["x" * 70_000]}),
        schedule("s", queueRef={"name": "elsewhere"}),
        queue("elsewhere", brokerRef={"name": "other"}),
        queue("younger", meta={"creationTimestamp": "2026-02-01T00:00:00Z"}, queueName="mail"),
        pool("p", brokerRef={"name": "other"}),
    ],
    ids=[
        "schedule without queue",
        "schedule that never fires",
        "schedule in an unknown zone",
        "schedule too large",
        "schedule of another broker",
        "queue of another broker",
        "queue that lost its name",
        "pool of another broker",
    ],
)
def test_what_is_not_given_to_beat(left_out: Resource) -> None:
    elsewhere = queue("elsewhere", brokerRef={"name": "other"})
    found = entries(queue(), elsewhere, left_out)
    assert [(entry.section, entry.name) for entry in found] == [("queues", "mail")]


def some(count: int, size: int = 10) -> list[Entry]:
    def body(number: int) -> dict[str, Any]:
        return {"uid": f"u{number}", "generation": 1, "name": f"s{number}", "pad": "x" * size}

    return [Entry.of("schedules", "Schedule", f"s{number}", body(number)) for number in range(count)]


def test_shards_are_canonical_json_whatever_the_order() -> None:
    found = some(20)
    assert render_shards(found, 4) == render_shards(list(reversed(found)), 4)
    (text,) = render_shards([]).values()
    assert text == '{"pools":[],"queues":[],"schedules":[]}'


def test_one_edit_rewrites_one_shard() -> None:
    found = some(200)
    edited = [*found[:77], Entry.of("schedules", "Schedule", "s77", {**found[77].body, "pad": "new"}), *found[78:]]
    before, after = render_shards(found, 8), render_shards(edited, 8)
    assert sum(before[name] != after[name] for name in before) == 1


def test_the_number_of_shards_doubles_until_all_are_small_enough() -> None:
    shards = render_shards(some(40, size=50_000))
    assert sorted(shards) == [f"shard-{n:03d}.json" for n in range(len(shards))]
    assert len(shards) in (8, 16)
    assert max(len(text.encode()) for text in shards.values()) <= MAX_SHARD_BYTES
    assert sum(len(json.loads(text)["schedules"]) for text in shards.values()) == 40


def test_the_number_of_shards_never_shrinks() -> None:
    assert len(render_shards([], 16)) == 16


def test_the_index_names_each_shard_by_its_hash() -> None:
    shards = render_shards(some(3), 2)
    index = next_index(shards, "uid-b", None, 1000)
    assert json.loads(index.to_text()) == {
        "layout": 1,
        "serial": 1000,
        "source": "uid-b",
        "shards": {name: hashlib.sha256(text.encode()).hexdigest() for name, text in shards.items()},
    }


SHARDS = {"shard-000.json": "{}"}
HASHES = {"shard-000.json": hashlib.sha256(b"{}").hexdigest()}


@pytest.mark.parametrize(
    ("live", "now", "serial"),
    [
        (None, 1000, 1000),
        (Index(5000, "uid-b", HASHES), 6000, 5000),
        (Index(5000, "uid-b", {"shard-000.json": "other"}), 6000, 6000),
        (Index(5000, "uid-b", {"shard-000.json": "other"}), 4000, 5001),
        (Index(5000, "uid-of-predecessor", HASHES), 4000, 5001),
    ],
    ids=["first", "nothing changed", "changed", "changed and the clock is behind", "another source"],
)
def test_the_serial_only_grows_and_only_with_a_change(live: Index | None, now: int, serial: int) -> None:
    assert next_index(SHARDS, "uid-b", live, now).serial == serial


def test_config_maps_and_back() -> None:
    made, mail, nightly = broker(), queue(meta={"generation": 4}), schedule(meta={"generation": 9})
    shards = render_shards(entries(made, mail, nightly), 2)
    index = next_index(shards, made.uid, None, 1000)
    maps = build_config_maps(made, shards, index)
    assert [m["metadata"]["name"] for m in maps] == ["default-config-000", "default-config-001", "default-config-index"]
    assert [list(m["data"]) for m in maps] == [["shard-000.json"], ["shard-001.json"], ["index.json"]]
    assert read_index(maps[-1]) == index
    config = read_config(maps)
    assert config.serial == 1000
    assert config.generations == {"uid-mail": 4, "uid-nightly": 9}


def test_a_shard_that_does_not_match_the_index_tells_nothing() -> None:
    made = broker()
    shards = render_shards(entries(made, queue()))
    maps = build_config_maps(made, shards, next_index(shards, made.uid, None, 1000))
    maps[0]["data"]["shard-000.json"] += " "
    assert read_config(maps).generations == {}


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "{",
        "[]",
        '{"layout":1}',
        '{"layout":2,"serial":1,"source":"u","shards":{"shard-000.json":"x"}}',
        '{"layout":1,"serial":"x","source":"u","shards":{"shard-000.json":"x"}}',
        '{"layout":1,"serial":1,"source":"u","shards":{"a":"x","b":"y","c":"z"}}',
        '{"layout":1,"serial":1,"source":"u","shards":{}}',
        '{"layout":1,"serial":1e999,"source":"u","shards":{"shard-000.json":"x"}}',
    ],
    ids=[
        "absent",
        "empty",
        "cut off",
        "list",
        "no serial",
        "other layout",
        "no number",
        "not a power of two",
        "none",
        "endless",
    ],
)
def test_a_damaged_index_counts_as_none(text: str | None) -> None:
    assert read_index({"data": {"index.json": text}} if text is not None else {}) is None
