"""What events add up to."""

from __future__ import annotations

import time
from typing import Any

import pytest

from umbel.events.records import Worker
from umbel.events.state import State

NOW = time.time()


def event(type: str, at: float = 0.0, **fields: Any) -> dict[str, Any]:
    return {"type": type, "hostname": "w1", "timestamp": NOW + at, "clock": int(at * 1000), "pid": 1, **fields}


def story(state: State, uuid: str, *kinds: str, name: str = "add", at: float = 0.0, **fields: Any) -> None:
    for number, kind in enumerate(kinds):
        told = {"name": name, "args": "[1]"} if kind in ("sent", "received") else {}
        state.event(event(f"task-{kind}", at + number, uuid=uuid, **told, **fields))


def test_a_task_from_its_sending_to_its_end() -> None:
    state = State()
    story(state, "a", "sent", "received", "started")
    (task, is_new), kind = state.event(event("task-succeeded", 3, uuid="a", result="3", runtime=0.5))
    assert (is_new, kind) == (False, "succeeded")
    assert (task.state, task.name, task.result, task.runtime) == ("SUCCESS", "add", "3", 0.5)
    assert task.ready
    assert [task.sent, task.received, task.started, task.succeeded] == [NOW, NOW + 1, NOW + 2, NOW + 3]
    assert task.timestamp == NOW + 3
    assert task.worker is state.workers["w1"]
    assert (task.client, task.failed, task.exception) == ("w1", None, None)
    assert task.as_dict()["worker"] == "w1"
    assert task.info() == {"args": "[1]", "result": "3", "runtime": 0.5}
    assert (state.event_count, state.task_count) == (4, 1)


@pytest.mark.parametrize(
    ("kind", "state"),
    [
        ("failed", "FAILURE"),
        ("retried", "RETRY"),
        ("rejected", "REJECTED"),
        ("revoked", "REVOKED"),
        ("progress", "PROGRESS"),
    ],
)
def test_each_end_is_a_state(kind: str, state: str) -> None:
    kept = State()
    story(kept, "a", "received", "started", kind)
    assert kept.tasks["a"].state == state


def test_what_comes_late_takes_nothing_back() -> None:
    state = State()
    state.event(event("task-started", 2, uuid="a"))
    state.event(event("task-succeeded", 3, uuid="a", result="3"))
    state.event(event("task-sent", 0, uuid="a", name="add", queue="mail", hostname="producer"))
    state.event(event("task-received", 1, uuid="a", name="add", args="[1]"))
    task = state.tasks["a"]
    assert (task.state, task.name, task.args, task.queue) == ("SUCCESS", "add", "[1]", "mail")
    assert (task.timestamp, task.sent, task.received) == (NOW + 3, NOW, NOW + 1)
    assert (task.client, task.hostname) == ("producer", "w1")
    assert [uuid for uuid, _ in state.tasks_by_type("add")] == ["a"]


def test_a_task_that_runs_again_does() -> None:
    state = State()
    story(state, "a", "received", "started", "retried", "received", "started")
    assert state.tasks["a"].state == "STARTED"
    story(state, "a", "received", "started", at=10, hostname="w2")  # its worker died
    assert (state.tasks["a"].state, state.tasks["a"].hostname) == ("STARTED", "w2")
    assert list(state.tasks_by_worker) == ["w2"]


def test_the_indexes() -> None:
    state = State()
    story(state, "a", "received", name="add")
    story(state, "b", "received", name="mail", at=1, hostname="w2")
    story(state, "c", "received", name="add", at=2)
    assert [uuid for uuid, _ in state.tasks_by_time()] == ["c", "b", "a"]
    assert [uuid for uuid, _ in state.tasks_by_time(limit=2, reverse=False)] == ["a", "b"]
    story(state, "a", "succeeded", at=3)
    assert [uuid for uuid, _ in state.tasks_by_timestamp(limit=1)] == ["a"]
    assert [uuid for uuid, _ in state.tasks_by_type("add")] == ["a", "c"]
    assert [uuid for uuid, _ in state.tasks_by_worker("w2", limit=5)] == ["b"]
    assert state.task_types() == ["add", "mail"]
    assert [uuid for uuid, _ in state.itertasks(2)] == ["b", "c"]
    assert state.counts() == {"RECEIVED": 2, "SUCCESS": 1}


def test_only_so_many_are_remembered() -> None:
    state = State(max_tasks_in_memory=2, max_workers_in_memory=1)
    for number in range(4):
        story(state, str(number), "received", name=f"task{number}", at=number, hostname=f"w{number}")
    assert list(state.tasks) == ["2", "3"]
    assert list(state.workers) == ["w3"]
    assert state.task_types() == ["task2", "task3"]
    assert set(state.tasks_by_worker) == {"w2", "w3"}


def test_workers_come_live_and_go() -> None:
    joined: list[Worker] = []
    left: list[Worker] = []
    state = State(on_node_join=joined.append, on_node_leave=left.append)
    worker, is_new = state.event(event("worker-online", freq=3600, sw_ident="umbel"))
    assert is_new
    assert worker.alive
    assert worker.status_string == "ONLINE"
    assert (worker.freq, worker.sw_ident, worker.pid) == (3600, "umbel", 1)
    state.event(event("worker-heartbeat", 1, active=2, processed=7, loadavg=[0.1, 0.2, 0.3]))
    assert (worker.active, worker.processed, worker.heartbeats) == (2, 7, [NOW, NOW + 1])
    assert state.alive_workers() == [worker]
    state.event(event("worker-offline", 2))
    assert not worker.alive
    assert (joined, left) == ([worker], [worker])
    state.event(event("worker-heartbeat", -7300, hostname="w2", freq=3600))
    assert not state.workers["w2"].alive


def test_relatives() -> None:
    state = State()
    story(state, "root", "received", root_id="root")
    story(state, "child", "received", root_id="root", parent_id="root")
    root, child = state.tasks["root"], state.tasks["child"]
    assert child.parent is root
    assert child.root is root
    assert root.children == [child]
    assert root.parent is None


def test_forgetting() -> None:
    state = State()
    story(state, "a", "received", "succeeded")
    story(state, "b", "received")
    assert state.freeze_while(lambda: len(state.tasks)) == 2
    state.clear_tasks()
    assert list(state.tasks) == ["b"]
    state.freeze_while(lambda: None, clear_after=True)
    assert not state.tasks
    assert state.workers
    state.clear()
    assert not state.workers
    assert state.event_count == 0


def test_what_is_of_neither_is_handed_on() -> None:
    seen: list[dict[str, Any]] = []
    state = State(callback=lambda state, event: seen.append(event))
    mine = event("deploy-begun", version="3")
    assert state.event(mine) == (mine,)
    assert seen == [mine]
    state.task_event("received", event("task-received", uuid="a", name="add"))
    state.worker_event("online", event("worker-online"))
    assert (list(state.tasks), list(state.workers)) == (["a"], ["w1"])
    assert state.get_or_create_worker("w1", freq=3)[0].freq == 3
    assert state.get_or_create_task("b")[1]
