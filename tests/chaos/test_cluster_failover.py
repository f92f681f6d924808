"""A master of a cluster is killed under load: its replica is promoted, all tasks end."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from tests.chaos.workflow_fleet import Fleet, go_on_after
from tests.failover import fail_over
from tests.redis_cluster import RedisCluster
from tests.workers import Worker, runs

from umbel import Umbel

QUEUES = ("default", "mail", "reports")


@pytest.fixture
def cluster() -> Iterator[RedisCluster]:
    cluster = RedisCluster(node_timeout=2500)
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
    former = cluster.master_of(key)
    sending, figures = fail_over(
        app,
        workers,
        former.kill,
        lambda: _is_served(cluster, former.port, key),
        queues=QUEUES,
        safe=place == "{owners}",
    )
    for number in sorted(sending.sent.keys() & set(map(int, runs(workers[0].ledger))))[-50:]:
        assert sending.results[number].get(timeout=30) == number
    with capsys.disabled():
        print(figures)  # noqa: T201 - the figures are what this test shows


@pytest.mark.timeout(180)
def test_workflows_go_on_after_a_master_is_killed(
    cluster: RedisCluster, prefix: str, start_worker: Callable[..., Worker], producer: Callable[..., Umbel]
) -> None:
    fleet = Fleet(cluster, prefix, start_worker, producer(cluster, workflow_kept=0))
    key = f"{prefix}:{{default}}:x"
    former = cluster.master_of(key)
    go_on_after(fleet, former.kill, lambda: _is_served(cluster, former.port, key))


def _is_served(cluster: RedisCluster, former: int, key: str) -> bool:
    return all(node.port == former or node.info()["cluster_state"] == "ok" for node in cluster.nodes) and (
        cluster.master_of(key).port != former
    )
