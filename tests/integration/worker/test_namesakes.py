"""Two workers of one name: commands and own queues cannot tell them apart, so the second one says so."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable

import pytest
from tests.redis_server import RedisServer
from tests.workers import Worker, until

from umbel import Umbel
from umbel.broker.base import OwnerInfo
from umbel.worker.namesakes import namesakes
from umbel.worker.stopped import state_of

Start = Callable[..., Worker]


def test_the_second_worker_of_a_name_warns(
    redis_server: RedisServer, prefix: str, start_worker: Start, producer: Callable[..., Umbel]
) -> None:
    first = start_worker(redis_server, prefix, "--hostname", "twin@here").wait_ready()
    other = start_worker(redis_server, prefix, "--hostname", "other@here").wait_ready()
    assert not first.events("worker.same_name")
    assert not other.events("worker.same_name")
    second = start_worker(redis_server, prefix, "--hostname", "twin@here").wait_ready()
    (told,) = second.events("worker.same_name")
    assert (told["level"], told["worker"]) == ("WARNING", "twin@here")
    pids = {int(who.split("@")[0]) for who in told["processes"].split(",")}
    assert pids <= set(first.children())
    assert "--hostname" in told["hint"]


def test_one_that_follows_a_killed_worker_of_its_name_does_not(
    redis_server: RedisServer, prefix: str, start_worker: Start, producer: Callable[..., Umbel]
) -> None:
    first = start_worker(redis_server, prefix, "--hostname", "twin@here").wait_ready()
    children = first.children()
    os.killpg(first.pid, signal.SIGKILL)
    until(lambda: {state_of(pid) for pid in children} <= {"Z", "X"}, "its children are gone")
    liveness = producer(redis_server).broker.liveness()
    try:
        assert [owner for owner in liveness.owners() if owner.hostname == "twin@here"], "nobody has buried it yet"
    finally:
        liveness.close()
    second = start_worker(redis_server, prefix, "--hostname", "twin@here").wait_ready()
    assert not second.events("worker.same_name")


@pytest.mark.parametrize(
    ("hostname", "machine", "pid", "expected"),
    [
        ("twin@here", "elsewhere.1", 1, True),
        ("twin@here", "here.1", 1, True),
        ("other@here", "here.1", 1, False),
    ],
)
def test_who_is_a_namesake(hostname: str, machine: str, pid: int, expected: bool) -> None:
    owner = OwnerInfo("o", ["q"], hostname=hostname, machine=machine, pid=pid)
    assert namesakes([owner], "twin@here", "here.1") == ([owner] if expected else [])
