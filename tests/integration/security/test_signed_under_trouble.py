"""Signed and compressed messages with real workers: retries, delays, workflows, schedules, killed children, forgers."""

from __future__ import annotations

import importlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.redis_server import RedisServer
from tests.signers import Signer
from tests.workers import ROOT, Worker, runs, until

from umbel import Umbel, chain, chord, group, publishing, serialization
from umbel.broker.base import OwnerInfo
from umbel.errors import SecurityError, TimeLimitExceeded
from umbel.ids import new_owner_id
from umbel.message import decode

PADDING = "signed and compressed " * 50


@pytest.fixture
def environment(
    redis_server: RedisServer, prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> dict[str, str]:
    Signer(tmp_path / "keys", "app")
    names = {"SIGNED_KEYS": str(tmp_path / "keys"), "SAMPLE_LEDGER": str(tmp_path / "ledger")}
    for name, value in names.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("UMBEL_BROKER_URL", redis_server.url)
    monkeypatch.setenv("UMBEL_KEY_PREFIX", prefix)
    monkeypatch.setattr(serialization, "_BY_NAME", dict(serialization._BY_NAME))
    monkeypatch.setattr(serialization, "_BY_CONTENT_TYPE", dict(serialization._BY_CONTENT_TYPE))
    return names


@pytest.fixture
def app(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Umbel]:
    """The app of the workers, made anew with the keys of this test."""
    monkeypatch.delitem(sys.modules, "tests.signed_app", raising=False)
    with importlib.import_module("tests.signed_app").app as made:
        yield made
    sys.modules.pop("tests.signed_app", None)


@pytest.fixture
def worker(
    environment: dict[str, str], redis_server: RedisServer, prefix: str, start_worker: Callable[..., Worker]
) -> Worker:
    return start_worker(redis_server, prefix, app="tests.signed_app:app", environment=environment).wait_ready()


def test_all_that_may_happen_to_a_signed_task(app: Umbel, worker: Worker) -> None:
    padded, total, flaky, dies_once = (app.tasks[f"signed.{n}"] for n in ("padded", "total", "flaky", "dies_once"))
    members = group(padded.s(number, PADDING) for number in range(5))
    results = [
        (padded.apply_async((1, PADDING), countdown=0.3), 1),
        (flaky.delay(2), 3),
        (dies_once.delay(4), 4),
        (chord([*members.tasks, dies_once.s(5), flaky.s(6)], total.s()).apply_async(), 10 + 5 + 7),
        (chain(padded.s(8), padded.s(PADDING), dies_once.si(9), flaky.s()).apply_async(), 10),
    ]
    assert [result.get(timeout=60) for result, _ in results] == [expected for _, expected in results]
    record = app.results.get(results[0][0].id)
    assert record is not None
    assert record.meta["content_type"] == serialization.SIGNED
    assert not list(app.dead.find())


def test_the_errback_of_a_task_that_was_killed_is_signed(app: Umbel, worker: Worker) -> None:
    """The supervisor that kills it has no key: a child signs."""
    result = app.tasks["signed.endless"].apply_async(link_error=app.tasks["signed.told"].s())
    with pytest.raises(TimeLimitExceeded):
        result.get(timeout=60)
    until(lambda: runs(worker.ledger, "told") == [result.id], "the errback ran, once")


def test_schedules_are_signed(app: Umbel, worker: Worker, environment: dict[str, str], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "umbel", "-A", "tests.signed_app:app", "beat", "--port", "0"]
    with (tmp_path / "beat.log").open("wb") as log:
        beat = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **environment}, stdout=log, stderr=log)
        try:
            until(lambda: len(runs(worker.ledger, "ticked")) >= 2, "two runs", 60)
        finally:
            beat.terminate()
            beat.wait(60)
    assert set(runs(worker.ledger, "ticked")) == {"400"}
    assert not list(app.dead.find())


def test_a_message_that_was_moved_is_refused_by_a_worker(
    app: Umbel, redis_server: RedisServer, prefix: str, environment: dict[str, str], start_worker: Callable[..., Worker]
) -> None:
    app.tasks["signed.padded"].apply_async((1, PADDING), headers={"tenant": "a"})
    thief = app.broker.consumer(OwnerInfo(new_owner_id(), ["default"]))
    thief.register()
    (delivery,) = thief.cycle("default", [], 1).deliveries
    thief.close()
    message = decode(delivery.payload)
    forged: list[dict[str, Any]] = [{"id": "other"}, {"task": "signed.total"}, {"headers": {"tenant": "b"}}]
    results = [
        publishing.publish(app, "default", replace(message, headers={**message.headers, **change}), 0.0)
        for change in forged
    ]
    start_worker(redis_server, prefix, app="tests.signed_app:app", environment=environment).wait_ready()
    for result in results[:1]:
        with pytest.raises(SecurityError, match="somebody has put it there"):
            result.get(timeout=60)
    letters = until(lambda: [*app.dead.find()] if len([*app.dead.find()]) == 3 else None, "three dead letters")
    assert {letter.reason for letter in letters} == {"Untrusted"}
