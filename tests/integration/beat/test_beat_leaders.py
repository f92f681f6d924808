"""Two beats: no slot twice, whoever dies; and Redis that goes and comes back, with and without its data."""

from __future__ import annotations

import os
import random
import sys
import time
from pathlib import Path

import pytest
from tests.integration.beat.conftest import StartBeat
from tests.integration.beat.mounted import MountedConfig, schedule
from tests.integration.beat.process import BeatProcess, Seen, eventually
from tests.redis_server import RedisServer

from umbel.beat.entry import run_ids

#: How often the leader is killed, as `make beat-kills` says it; four times in the tests, beside other tests that take time.
KILLS = os.environ.get("BEAT_KILLS")
#: Seconds after which another beat takes over, as `BeatProcess` starts them.
LOCK_TTL = 2.0


@pytest.fixture
def mail(redis_server: RedisServer, prefix: str) -> Seen:
    return Seen(redis_server.client(), prefix, "mail")


def slots_of(found: list[str], uid: str, around: float) -> list[int]:
    """Return the slots (Unix seconds) that these runs are for."""
    by_run = {run_ids(uid, second).run: second for second in range(int(around) - 300, int(time.time()) + 60)}
    return [by_run[run] for run in found]


def leader_of(beats: list[BeatProcess]) -> BeatProcess | None:
    leaders = [beat for beat in beats if beat.process.poll() is None and beat.status().get("leader")]
    return leaders[0] if len(leaders) == 1 else None


def kill_leader(beats: list[BeatProcess], mail: Seen) -> list[BeatProcess]:
    """Kill the leader at some moment after it has enqueued something; return the others."""
    leader = eventually(lambda: leader_of(beats), 30, "one leader")
    count = len(mail.of("s1"))
    eventually(lambda: len(mail.of("s1")) > count)
    time.sleep(random.random())
    leader.kill()
    return [beat for beat in beats if beat is not leader]


def test_the_leader_killed_again_and_again_loses_and_repeats_no_slot(
    redis_server: RedisServer, mounted: MountedConfig, start_beat: StartBeat, mail: Seen
) -> None:
    mounted.write({"schedules": [schedule("s1"), schedule("s2")]})
    began = time.time()
    beats = [start_beat(redis_server), start_beat(redis_server)]
    for _ in range(int(KILLS or 4)):
        beats = [*kill_leader(beats, mail), start_beat(redis_server)]
    eventually(lambda: leader_of(beats), 30)
    count = len(mail.of("s1"))
    eventually(lambda: len(mail.of("s1")) > count + 1)
    lags = []
    for uid in ("s1", "s2"):
        found = mail.of(uid)
        slots = slots_of([message.headers["run"] for message in found], uid, began)
        assert len(slots) == len(set(slots)), "a slot was enqueued twice"
        assert sorted(slots) == list(range(min(slots), max(slots) + 1)), "a slot was lost"
        lags += [message.enqueued_ms / 1000 - slot for message, slot in zip(found, slots, strict=True)]
    sys.stdout.write(f"\n{len(lags)} slots, each once; the latest was {max(lags):.2f} s late\n")
    assert max(lags) < LOCK_TTL + (2 if KILLS else 28)


def test_a_beat_that_ends_hands_over_at_once(
    redis_server: RedisServer, mounted: MountedConfig, start_beat: StartBeat, mail: Seen
) -> None:
    mounted.write({"schedules": [schedule("s1")]})
    first = start_beat(redis_server, "--lock-ttl", "60")
    eventually(lambda: first.status().get("leader"))
    second = start_beat(redis_server, "--lock-ttl", "60")
    eventually(lambda: second.status().get("loadedRevision"))
    assert second.status()["leader"] is False
    assert first.end() == 0
    eventually(
        lambda: second.status().get("leader"), what="the second leads before the lock of the first would have ended"
    )


def test_every_replica_tells_the_same_of_the_schedules(
    redis_server: RedisServer, mounted: MountedConfig, start_beat: StartBeat
) -> None:
    mounted.write({"schedules": [schedule("s1", every=86400, manualTrigger="x")]})
    beats = [start_beat(redis_server), start_beat(redis_server)]
    eventually(lambda: all(b.status().get("schedules", {}).get("s1", {}).get("lastTaskID") for b in beats))
    eventually(lambda: beats[0].status()["schedules"] == beats[1].status()["schedules"])
    eventually(lambda: sorted(beat.status()["leader"] for beat in beats) == [False, True])


def test_a_frozen_leader_wakes_up_harmless(
    redis_server: RedisServer, mounted: MountedConfig, start_beat: StartBeat, mail: Seen
) -> None:
    import signal

    mounted.write({"schedules": [schedule("s1")]})
    began = time.time()
    beats = [start_beat(redis_server, "--lock-ttl", "6") for _ in range(2)]  # who is slow does not lose the lead
    leader = eventually(lambda: leader_of(beats), 30)
    eventually(lambda: mail.of("s1"))
    leader.process.send_signal(signal.SIGSTOP)
    other = next(beat for beat in beats if beat is not leader)
    try:
        eventually(lambda: other.status().get("leader"))
        count = len(mail.of("s1"))
        eventually(lambda: len(mail.of("s1")) >= count + 2)
    finally:
        leader.process.send_signal(signal.SIGCONT)
    count = len(mail.of("s1"))
    eventually(lambda: len(mail.of("s1")) >= count + 3)
    slots = slots_of(mail.runs(), "s1", began)
    assert len(slots) == len(set(slots))
    assert leader_of(beats) is other


def test_redis_stopped_and_started_loses_and_repeats_no_slot(
    own_redis: RedisServer, prefix: str, mounted: MountedConfig, start_beat: StartBeat
) -> None:
    mail = Seen(own_redis.client(), prefix, "mail")
    mounted.write({"schedules": [schedule("s1")]})
    began = time.time()
    beat = start_beat(own_redis)
    eventually(lambda: mail.of("s1"))
    own_redis.kill()
    eventually(lambda: beat.status().get("redis", {}).get("ok") is False)
    eventually(lambda: "cannot be reached" in beat.status()["redis"]["error"], what="after what broke it is told why")
    assert beat.status()["redis"]["reason"] == "ConnectionRefused"
    assert beat.get("/livez")[0] == 200
    eventually(lambda: beat.get("/readyz")[0] == 503)
    time.sleep(2)
    own_redis.start()
    back = time.time()
    mail.client = own_redis.client()
    eventually(lambda: max(slots_of(mail.runs(), "s1", began)) > back + 1)
    slots = slots_of(mail.runs(), "s1", began)
    assert sorted(slots) == list(range(min(slots), max(slots) + 1))
    eventually(lambda: beat.status()["redis"]["ok"])


def test_redis_not_there_at_the_start(
    own_redis: RedisServer, prefix: str, mounted: MountedConfig, start_beat: StartBeat
) -> None:
    own_redis.stop()
    mounted.write({"schedules": [schedule("s1")]})
    beat = start_beat(own_redis)
    eventually(lambda: beat.status().get("redis", {}).get("ok") is False)
    own_redis.start()
    eventually(lambda: Seen(own_redis.client(), prefix, "mail").of("s1"))


def test_redis_emptied_loses_no_further_slot(
    own_redis: RedisServer, prefix: str, mounted: MountedConfig, start_beat: StartBeat
) -> None:
    mail = Seen(own_redis.client(), prefix, "mail")
    mounted.write({"schedules": [schedule("s1")]})
    began = time.time()
    start_beat(own_redis)
    eventually(lambda: len(mail.of("s1")) >= 2)
    before = slots_of(mail.runs(), "s1", began)
    mail.client.flushall()
    eventually(lambda: len(mail.of("s1")) >= 3)
    after = slots_of(mail.runs(), "s1", began)
    assert not set(before) & set(after)
    assert sorted(after) == list(range(min(after), max(after) + 1))


APP = """
from datetime import timedelta
from umbel import Umbel, crontab

app = Umbel("shop")

@app.task
def tick(n, by="?"):
    return n

app.conf.beat_schedule = {
    "every-second": {"task": "shop.tick", "schedule": 1.0, "args": (1,), "kwargs": {"by": "beat"}},
    "half": {"task": "shop.tick", "schedule": timedelta(milliseconds=500), "args": (2,), "options": {"queue": "fast"}},
    "rarely": {"task": "shop.tick", "schedule": crontab(0, 0, day_of_month=29, month_of_year=2), "args": (3,)},
}
app.add_periodic_task(1.0, tick.name, args=(4,), name="added", queue="added", priority=9, expires=30)
"""


def test_an_app_without_redis_is_told_at_once(own_redis: RedisServer, tmp_path: Path, start_beat: StartBeat) -> None:
    own_redis.stop()
    (tmp_path / "shop.py").write_text(APP)
    beat = start_beat(own_redis, app="shop", cwd=tmp_path)
    assert beat.process.wait(60) == 69
    assert "cannot be reached" in beat.text()
    assert len(beat.text().strip().splitlines()) == 1


def test_the_apps_own_schedule(redis_server: RedisServer, prefix: str, tmp_path: Path, start_beat: StartBeat) -> None:
    (tmp_path / "shop.py").write_text(APP)
    start_beat(redis_server, app="shop", cwd=tmp_path)
    default, fast, added = (Seen(redis_server.client(), prefix, name) for name in ("default", "fast", "added"))
    eventually(lambda: len(default.messages()) >= 2 and len(fast.messages()) >= 4 and added.messages())
    assert {message.body for message in default.messages()} == {b'[[1],{"by":"beat"}]'}
    found = added.messages()[0]
    assert (found.priority, found.headers["expires"]) == (9, 30)
    assert len(set(fast.runs())) == len(fast.runs())


def test_an_app_and_a_directory_are_two_sources_and_each_fires(
    redis_server: RedisServer, prefix: str, tmp_path: Path, mounted: MountedConfig, start_beat: StartBeat, mail: Seen
) -> None:
    (tmp_path / "shop.py").write_text(APP)
    mounted.write({"schedules": [schedule("s1")]})
    start_beat(redis_server, "--config-dir", str(mounted.path), app="shop", cwd=tmp_path)
    eventually(lambda: mail.of("s1") and Seen(redis_server.client(), prefix, "default").messages())


@pytest.mark.parametrize(
    ("schedule_text", "says"),
    [
        ('{"task": "shop.tick", "schedule": "60 * * * *"}', "60 is not in 0 to 59"),
        ('{"task": "shop.tick", "schedule": 5, "options": {"quue": "x"}}', "quue"),
        ('{"task": "shop.tick", "schedule": 5, "args": [object()]}', "argument 1"),
    ],
)
def test_a_wrong_entry_of_the_app_is_said_in_one_sentence(
    redis_server: RedisServer, tmp_path: Path, start_beat: StartBeat, schedule_text: str, says: str
) -> None:
    (tmp_path / "shop.py").write_text(
        "from umbel import Umbel\napp = Umbel('shop')\n@app.task\ndef tick(n): ...\n"
        f"app.conf.beat_schedule = {{'wrong': {schedule_text}}}\n"
    )
    beat = start_beat(redis_server, app="shop", cwd=tmp_path)
    assert beat.process.wait(60) == 2
    assert "beat_schedule['wrong']" in beat.text()
    assert says in beat.text()
