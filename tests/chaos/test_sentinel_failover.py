"""The master behind Sentinels is killed under load, or stands still: workers and producers go on by themselves."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest
from tests.redis_sentinels import SentinelTrio
from tests.sending import Sending
from tests.workers import Worker, runs, until

from umbel import Umbel

#: What asynchronous replication may lose: what was sent within so many seconds before the master died.
WINDOW = 1.0


@pytest.fixture
def trio() -> Iterator[SentinelTrio]:
    trio = SentinelTrio()
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
    ledger = workers[0].ledger
    # What was told to be on a replica is there after the failover: that replica is promoted which has most.
    sending = Sending(app, durability="replicated") if how == "frozen" else Sending(app)
    try:
        until(lambda: len(runs(ledger)) > 500, "they are at it")
        former = trio.master()
        assert former is not None
        (former.kill if how == "killed" else former.pause)()
        killed = time.monotonic()
        until(lambda: trio.master() not in (None, former), "a replica is promoted")
        promoted = time.monotonic()
        until(lambda: sending.sent_after(promoted), "producers go on")
        sent_again = time.monotonic() - promoted
        done = len(runs(ledger))
        until(lambda: len(runs(ledger)) > done, "workers go on")
        ran_again = time.monotonic() - promoted
        until(lambda: len(runs(ledger)) > done + 300, "all goes its way again")
    finally:
        sending.stop()
    assert max(sent_again, ran_again) < 5.0
    until(lambda: _left(app) == 0, "all is worked off", 30)
    ran = set(map(int, runs(ledger)))
    lost = sorted(sending.sent.keys() - ran)
    assert all(killed - WINDOW < sending.sent[number] < promoted for number in lost), "only what was not replicated"
    assert len(lost) < (100 if how == "killed" else 1)
    former.go_on()  # a frozen one wakes up, and becomes a replica
    last = max(sending.sent)
    assert sending.results[last].get(timeout=10) == last
    assert sum(worker.process.poll() is None for worker in workers) == 2
    with capsys.disabled():
        print(  # noqa: T201 - the figures are what this test shows
            f"\n{len(sending.sent)} sent, {len(lost)} lost with the master, {len(sending.failed)} sends failed; promoted "
            f"{promoted - killed:.1f} s after the kill, sent again {sent_again:.1f} s and ran again {ran_again:.1f} s after that"
        )


def _left(app: Umbel) -> int:
    info = app.broker.info("default")
    return info.ready + info.delayed + info.in_flight
