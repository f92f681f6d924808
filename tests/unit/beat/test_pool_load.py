"""The load of a pool: what waits in its queues, shared by slots, and what its own workers hold."""

from __future__ import annotations

from umbel.beat.definitions import PoolDefinition
from umbel.beat.pools import pool_states
from umbel.broker.base import OwnerInfo, QueueInfo


def queue(name: str, ready: int, *, held: bool = False) -> QueueInfo:
    return QueueInfo(name, ready, 0, 0, 0, 0.0, held, True)


def owner(name: str, pool: str, pod: str = "pod", *, state: str = "running", busy: float = 0.0) -> OwnerInfo:
    return OwnerInfo(name, ["mail"], worker=f"w-{pod}", pool=pool, pod_uid=pod, state=state, busy_since=busy)


def test_a_pool_without_workers_has_the_load_of_its_queues() -> None:
    pools = {"p": PoolDefinition("p", ("mail", "held", "unknown"), 2)}
    queues = {"mail": queue("mail", 5), "held": queue("held", 7, held=True)}
    states = pool_states(pools, queues, {("mail", 30.0): 2, ("held", 30.0): 1}, [], {})
    assert states["p"] == {
        "workers": 0,
        "slots": 0,
        "busy": 0,
        "draining": 0,
        "idlePods": [],
        "freePods": [],
        "load": 8,
    }


def test_each_pool_counts_what_falls_due_within_its_own_lead() -> None:
    pools = {"slow": PoolDefinition("slow", ("mail",), 1, 60.0), "quick": PoolDefinition("quick", ("fax",), 1, 5.0)}
    states = pool_states(pools, {}, {("mail", 60.0): 4, ("mail", 5.0): 1, ("fax", 5.0): 2, ("fax", 60.0): 9}, [], {})
    assert (states["slow"]["load"], states["quick"]["load"]) == (4, 2)


def test_pools_share_a_queue_by_their_slots() -> None:
    pools = {"small": PoolDefinition("small", ("mail",), 1), "big": PoolDefinition("big", ("mail",), 3)}
    states = pool_states(pools, {"mail": queue("mail", 8)}, {}, [], {})
    assert (states["small"]["load"], states["big"]["load"]) == (2, 6)


def test_draining_workers_do_not_count_as_load_or_slots() -> None:
    owners = [
        owner("a", "p", "pod-1", busy=5.0),
        owner("b", "p", "pod-1"),
        owner("c", "p", "pod-2", state="draining", busy=5.0),
        owner("d", "p", "pod-3"),
        owner("e", ""),
    ]
    pools = {"p": PoolDefinition("p", ("mail",), 2)}
    states = pool_states(pools, {}, {}, owners, {"a": 3, "c": 9, "e": 1})
    assert states == {
        "p": {
            "workers": 3,
            "slots": 3,
            "busy": 1,
            "draining": 1,
            "idlePods": ["pod-3"],
            "freePods": ["pod-3"],
            "load": 3,
        },
    }


def test_a_pod_that_has_just_ended_its_task_is_free_before_its_heartbeat_says_so() -> None:
    owners = [
        owner("done", "p", "pod-1", busy=5.0),
        owner("works", "p", "pod-2", busy=5.0),
        owner("idle", "p", "pod-3"),
    ]
    pools = {"p": PoolDefinition("p", ("mail",), 1)}
    states = pool_states(pools, {}, {}, owners, {"works": 1})
    assert states["p"]["load"] == 1
    assert states["p"]["idlePods"] == ["pod-3"]
    assert states["p"]["freePods"] == ["pod-1", "pod-3"]


def test_workers_of_a_pool_that_is_not_defined_are_shown() -> None:
    states = pool_states({}, {}, {}, [owner("a", "ghost")], {})
    assert states["ghost"]["workers"] == 1
