"""The master behind Sentinels is killed under load, or stands still: workers and producers go on by themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from tests.chaos.workflow_fleet import Fleet, go_on_after
from tests.failover import fail_over
from tests.redis_sentinels import SentinelTrio
from tests.workers import Worker

from umbel import Umbel


@pytest.fixture
def trio() -> Iterator[SentinelTrio]:
    trio = SentinelTrio(down_after=1000)
    trio.start()
    yield trio
    trio.remove()


@pytest.mark.timeout(180)
@pytest.mark.parametrize("how", ["killed", "frozen"])
def test_the_master_fails_under_load(
    trio: SentinelTrio,
    prefix: str,
    start_worker: Callable[..., Worker],
    producer: Callable[..., Umbel],
    capsys: pytest.CaptureFixture[str],
    how: str,
) -> None:
    app = producer(trio)
    workers = [start_worker(trio, prefix) for _ in range(2)]
    for worker in workers:
        worker.wait_ready()
    former = trio.master()
    assert former is not None
    sending, figures = fail_over(
        app,
        workers,
        former.kill if how == "killed" else former.pause,
        lambda: trio.master() not in (None, former),
        queues=["default"],
        # That replica is promoted which has most.
        safe=how == "frozen",
    )
    former.go_on()  # a frozen one wakes up, and becomes a replica
    last = max(sending.sent)
    assert sending.results[last].get(timeout=30) == last
    with capsys.disabled():
        print(figures)  # noqa: T201 - the figures are what this test shows


@pytest.mark.timeout(180)
@pytest.mark.parametrize("how", ["killed", "frozen"])
def test_workflows_go_on_after_the_master_fails(
    trio: SentinelTrio,
    prefix: str,
    start_worker: Callable[..., Worker],
    producer: Callable[..., Umbel],
    how: str,
) -> None:
    fleet = Fleet(trio, prefix, start_worker, producer(trio, workflow_kept=0))
    former = trio.master()
    assert former is not None
    go_on_after(fleet, former.kill if how == "killed" else former.pause, lambda: trio.master() not in (None, former))
    former.go_on()
