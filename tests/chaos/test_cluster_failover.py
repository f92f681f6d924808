"""A master of a cluster is killed under load: its replica is promoted, all tasks end."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

import pytest
from tests.chaos.nested import nested
from tests.chaos.workflow_fleet import Fleet
from tests.failover import fail_over
from tests.redis_cluster import RedisCluster
from tests.workers import Worker, runs, until

from umbel import Umbel
from umbel.canvas.sending import send

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
        assert sending.results[number].get(timeout=15) == number
    with capsys.disabled():
        print(figures)  # noqa: T201 - the figures are what this test shows


@pytest.mark.timeout(180)
def test_workflows_go_on_after_a_master_is_killed(
    cluster: RedisCluster, prefix: str, start_worker: Callable[..., Worker], producer: Callable[..., Umbel]
) -> None:
    """Asynchronous replication may lose the last steps of what runs: such a workflow has no end, but none has a wrong one."""
    fleet, draw = Fleet(cluster, prefix, start_worker, producer(cluster, workflow_kept=0)), random.Random(3)
    for _ in range(2):
        fleet.start()
    sent = [nested(draw, 2) for _ in range(60)]
    results = [send(fleet.app, signature) for signature, _ in sent]
    until(lambda: len(fleet.noted("message")) >= 60, "they are at it")
    key = f"{prefix}:{{default}}:x"
    former = cluster.master_of(key)
    former.kill()
    until(lambda: _is_served(cluster, former.port, key), "a replica is promoted", 40)
    later = [nested(draw, 2) for _ in range(20)]
    assert [send(fleet.app, signature).get(timeout=60, follow_parents=False) for signature, _ in later] == [
        value for _, value in later
    ]
    until(lambda: _waiting(fleet.app) == 0, "all is worked off", 60)
    ended = [(result, value) for result, (_, value) in zip(results, sent, strict=True) if result.ready()]
    assert all(result.get(follow_parents=False) == value for result, value in ended)


def _waiting(app: Umbel) -> int:
    info = app.broker.info("default")
    return info.ready + info.delayed + info.in_flight


def _is_served(cluster: RedisCluster, former: int, key: str) -> bool:
    return all(node.port == former or node.info()["cluster_state"] == "ok" for node in cluster.nodes) and (
        cluster.master_of(key).port != former
    )
