"""A beat whose way to Redis is cut or loses answers, while another one has its own."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from tests.chaos.proxy import Act, ChaosProxy, each
from tests.integration.beat.conftest import StartBeat
from tests.integration.beat.mounted import MountedConfig, schedule
from tests.integration.beat.process import BeatProcess, Seen, eventually
from tests.redis_server import RedisServer

from umbel.beat.entry import run_ids


@pytest.fixture
def proxy(redis_server: RedisServer) -> Iterator[ChaosProxy]:
    made = ChaosProxy(redis_server.port)
    made.start()
    yield made
    made.stop()


@pytest.fixture
def mail(redis_server: RedisServer, prefix: str) -> Seen:
    return Seen(redis_server.client(), prefix, "mail")


def slots(mail: Seen, uid: str = "s1") -> list[int]:
    now = int(time.time())
    by_run = {run_ids(uid, second).run: second for second in range(now - 300, now + 60)}
    return [by_run[message.headers["run"]] for message in mail.of(uid)]


def check(found: list[int]) -> None:
    assert len(found) == len(set(found)), "a slot was enqueued twice"
    assert sorted(found) == list(range(min(found), max(found) + 1)), "a slot was lost"


def leads(beat: BeatProcess) -> bool:
    return bool(beat.status().get("leader"))


def test_a_leader_that_is_cut_off_is_replaced_and_comes_back_as_the_other(
    redis_server: RedisServer, mounted: MountedConfig, start_beat: StartBeat, mail: Seen, proxy: ChaosProxy
) -> None:
    mounted.write({"schedules": [schedule("s1")]})
    patient = ("--lock-ttl", "6")  # a busy machine does not take the lead from who has it
    cut_off = start_beat(redis_server, *patient, env={"UMBEL_BROKER_URL": proxy.url})
    eventually(lambda: leads(cut_off) and slots(mail))
    other = start_beat(redis_server, *patient)
    eventually(lambda: other.status().get("loadedRevision"))
    proxy.refuse()
    eventually(lambda: leads(other), what="the other one leads")
    eventually(lambda: not leads(cut_off), what="it knows that it does not")
    assert cut_off.get("/livez")[0] == 200, "an outage is no reason to restart it"
    count = len(slots(mail))
    eventually(lambda: len(slots(mail)) >= count + 2)
    proxy.accept()
    eventually(lambda: cut_off.status().get("redis", {}).get("ok"))
    count = len(slots(mail))
    eventually(lambda: len(slots(mail)) >= count + 2)
    assert (leads(cut_off), leads(other)) == (False, True)
    check(slots(mail))


@pytest.mark.parametrize("act", [Act.CUT_AFTER, Act.CUT_BEFORE], ids=["answers lost", "commands lost"])
def test_lost_answers_repeat_and_lose_no_slot(
    redis_server: RedisServer,
    mounted: MountedConfig,
    start_beat: StartBeat,
    mail: Seen,
    proxy: ChaosProxy,
    act: Act,
) -> None:
    proxy.rule = each(7, b"EVALSHA", act)
    mounted.write({"schedules": [schedule(f"s{n}") for n in range(4)]})
    start_beat(redis_server, env={"UMBEL_BROKER_URL": proxy.url})
    eventually(lambda: all(len(slots(mail, f"s{n}")) >= 5 for n in range(4)), 30)
    assert proxy.cut[b"EVALSHA"] > 5
    for n in range(4):
        check(slots(mail, f"s{n}"))


def test_a_slow_way_to_redis_makes_nobody_enqueue_twice(
    redis_server: RedisServer, mounted: MountedConfig, start_beat: StartBeat, mail: Seen, proxy: ChaosProxy
) -> None:
    """Answers that take longer than the lock lives: two beats believe in turn that they lead."""
    mounted.write({"schedules": [schedule("s1")]})
    slow = start_beat(redis_server, env={"UMBEL_BROKER_URL": proxy.url})
    eventually(lambda: leads(slow) and slots(mail))
    other = start_beat(redis_server)
    eventually(lambda: other.status().get("loadedRevision"))
    proxy.delay = 2.5
    eventually(lambda: leads(other), 30)
    count = len(slots(mail))
    eventually(lambda: len(slots(mail)) >= count + 3)
    proxy.delay = 0.0
    eventually(lambda: slow.status().get("redis", {}).get("ok"), 30)
    count = len(slots(mail))
    eventually(lambda: len(slots(mail)) >= count + 2)
    check(slots(mail))
