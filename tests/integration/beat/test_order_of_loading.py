"""In which order what was mounted comes into use: a queue's settings before the slots that go into it, and a purge behind them."""

from __future__ import annotations

from typing import Any

from tests.integration.beat.inprocess import Bench
from tests.integration.beat.mounted import MountedConfig, queue, schedule

from umbel.beat.directory import Directory
from umbel.beat.loader import Loader


def test_a_queue_has_its_settings_when_schedules_get_to_know_of_it(bench: Bench, mounted: MountedConfig) -> None:
    found: list[dict[str, Any]] = []
    loader = Loader(
        Directory(mounted.path),
        bench.store,
        bench.broker,
        lambda new: found.append(dict(bench.broker.settings("mail"))),
    )
    for intake in ("Reject", "Accept"):
        mounted.write({"schedules": [schedule("s1")], "queues": [queue("mail", intake=intake)]})
        loader.look()
        assert found[-1]["intake"] == intake
        assert loader.definitions is loader.newest
    assert len(found) == 2


def test_a_dispatcher_is_in_step_once_it_sends_nothing_of_older_definitions(bench: Bench) -> None:
    dispatcher = bench.beat(schedule("s1", every=10))
    assert not dispatcher.in_step
    dispatcher.tick()
    assert dispatcher.in_step
    bench.define(dispatcher)
    assert not dispatcher.in_step, "a run that fell due may be about to be sent"
    dispatcher.tick()
    assert dispatcher.in_step
    bench.run(dispatcher, 20)
    assert bench.slots() == []
