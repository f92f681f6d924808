"""A master of a cluster is killed under load: its replica is promoted, all tasks end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest
from tests.redis_cluster import RedisCluster
from tests.sending import Sending
from tests.workers import Worker, runs, until

from umbel import Umbel

#: What asynchronous replication may lose: what was sent within so many seconds before the master died.
WINDOW = 1.0
QUEUES = ("default", "mail", "reports")


@pytest.fixture
def cluster() -> Iterator[RedisCluster]:
    cluster = RedisCluster(node_timeout=1500)
    cluster.start()
    yield cluster
    cluster.remove()


@pytest.mark.timeout(180)
@pytest.mark.parametrize("place", ["{default}", "{owners}"])
def test_a_master_is_killed_under_load(
    cluster: RedisCluster,
    prefix: str,
    start_worker: Callable[..., Worker],
    producer: Callable[..., Umbel],
    capsys: pytest.CaptureFixture[str],
    place: str,
) -> None:
    """The one that holds a queue, and the one that holds the heartbeats."""
    app = producer(cluster)
    key = f"{prefix}:{place}:x"
    workers = [start_worker(cluster, prefix, "--queues", ",".join(QUEUES)) for _ in range(2)]
    for worker in workers:
        worker.wait_ready(30)
    ledger = workers[0].ledger
    # What was told to be on the replica is there after the failover.
    safe = place == "{owners}"
    sending = Sending(app, durability="replicated") if safe else Sending(app)
    try:
        until(lambda: len(runs(ledger)) > 300, "they are at it")
        former = cluster.master_of(key)
        former.kill()
        killed = time.monotonic()
        until(lambda: _is_served(cluster, former.port, key), "a replica is promoted", 30)
        promoted = time.monotonic()
        until(lambda: sending.sent_after(promoted), "producers go on")
        sent_again = time.monotonic() - promoted
        done = len(runs(ledger))
        until(lambda: len(runs(ledger)) > done, "workers go on")
        ran_again = time.monotonic() - promoted
        until(lambda: len(runs(ledger)) > done + 200, "all goes its way again")
    finally:
        sending.stop()
    assert max(sent_again, ran_again) < 5.0
    until(lambda: _left(app) == 0, "all is worked off", 30)
    ran = set(map(int, runs(ledger)))
    lost = sorted(sending.sent.keys() - ran)
    assert all(killed - WINDOW < sending.sent[number] < promoted for number in lost), "only what was not replicated"
    assert len(lost) < (1 if safe else 100)
    for number in sorted(sending.sent.keys() & ran)[-50:]:
        assert sending.results[number].get(timeout=15) == number
    assert sum(worker.process.poll() is None for worker in workers) == 2
    with capsys.disabled():
        print(  # noqa: T201 - the figures are what this test shows
            f"\n{len(sending.sent)} sent, {len(lost)} lost with the master, {len(sending.failed)} sends failed; promoted "
            f"{promoted - killed:.1f} s after the kill, sent again {sent_again:.1f} s and ran again {ran_again:.1f} s after that"
        )


def _is_served(cluster: RedisCluster, former: int, key: str) -> bool:
    return all(node.port == former or node.info()["cluster_state"] == "ok" for node in cluster.nodes) and (
        cluster.master_of(key).port != former
    )


def _left(app: Umbel) -> int:
    infos = [app.broker.info(queue) for queue in QUEUES]
    return sum(info.ready + info.delayed + info.in_flight for info in infos)
