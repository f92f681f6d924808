"""Queues that are split over several: what goes where, and what a worker serves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from umbel import Umbel
from umbel.errors import ImproperlyConfigured
from umbel.shards import pick, shard_names, spread
from umbel.testing import InMemoryWorker

SHARDS = {"mail": 3}
ALL = ["mail", "mail.1", "mail.2"]


@pytest.fixture
def app(prefix: str) -> Iterator[Umbel]:
    app = Umbel("shards", broker="memory://shards", key_prefix=prefix, queue_shards=SHARDS)
    yield app
    for name in ALL:
        app.broker.purge(name)
    app.close()


def _lengths(app: Umbel) -> list[int]:
    return [app.broker.info(name).ready for name in ALL]


def test_the_first_shard_bears_the_queues_name() -> None:
    assert shard_names("mail", SHARDS) == ALL
    assert shard_names("other", SHARDS) == ["other"]


def test_shards_take_turns_whatever_is_sent_elsewhere() -> None:
    sizes = {"a": 2, "b": 2}
    counts = Counter(pick(queue, sizes) for _ in range(100) for queue in ("a", "b"))
    assert counts == {"a": 50, "a.1": 50, "b": 50, "b.1": 50}


def test_a_worker_serves_all_shards_with_the_queues_weight() -> None:
    assert spread((("other", 1), ("mail", 2), ("mail.1", 5)), SHARDS) == (
        ("other", 1),
        ("mail", 2),
        ("mail.1", 2),
        ("mail.2", 2),
    )


@pytest.mark.parametrize("way", ["delay", "apply_async", "send_task", "batch"])
def test_tasks_are_spread(app: Umbel, way: str) -> None:
    @app.task(name="t", queue="mail")
    def t() -> int:
        return 1

    for _ in range(30):
        match way:
            case "delay":
                t.delay()
            case "apply_async":
                t.apply_async(priority=3)
            case "send_task":
                app.send_task("t", queue="mail")
            case "batch":
                with app.batch():
                    t.delay()
    assert _lengths(app) == [10, 10, 10]


def test_equal_tasks_meet_and_so_do_those_of_a_group(app: Umbel) -> None:
    @app.task(name="once", queue="mail", unique=True)
    def once(number: int) -> None: ...

    for number in range(20):
        assert once.delay(number).id == once.delay(number).id
    assert sum(_lengths(app)) == 20
    before = _lengths(app)
    for _ in range(9):
        app.send_task("t", queue="mail", group="tenant")
    grown = [after - first for after, first in zip(_lengths(app), before, strict=True)]
    assert sorted(grown) == [0, 0, 9]

    @app.task(queue="mail", group="tenant")
    def grouped(tenant: str) -> None: ...

    for _ in range(9):
        grouped.delay("tenant")
    again = [after - first for after, first in zip(_lengths(app), before, strict=True)]
    assert again == [2 * length for length in grown], "the short way of sending goes to the same"


def test_a_worker_of_the_app_runs_what_is_in_any_shard(app: Umbel) -> None:
    @app.task(queue="mail")
    def double(number: int) -> int:
        return 2 * number

    results = [double.delay(number) for number in range(9)]
    InMemoryWorker(app).run()
    assert [result.get(timeout=20) for result in results] == [2 * number for number in range(9)]


@pytest.mark.parametrize("shards", [{"mail": 0}, {"mail": 33}, {"mail": "3"}, {"mail": True}, ["mail"]])
def test_what_is_no_number_of_shards_is_refused(shards: Any) -> None:
    with pytest.raises((ImproperlyConfigured, ValueError, TypeError), match="queue_shards"):
        _ = Umbel("x", queue_shards=shards).conf.queue_shards
