"""beat or Redis is gone for a while: what still works meanwhile, and what is made up for.

``BEAT_AWAY`` says for how many seconds each is gone; two minutes by `make beat-away`.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from tests.integration.beat.conftest import StartBeat
from tests.integration.beat.mounted import MountedConfig, queue, schedule
from tests.integration.beat.process import Seen, eventually
from tests.redis_server import RedisServer
from tests.workers import Worker, runs

from umbel import Umbel
from umbel.beat.entry import run_ids

AWAY = float(os.environ.get("BEAT_AWAY", "3"))
LATEST = {"policy": "Latest"}


def slots(mail: Seen, uid: str = "s1") -> list[int]:
    now = int(time.time())
    by_run = {run_ids(uid, second).run: second for second in range(now - int(AWAY) - 300, now + 60)}
    return [by_run[message.headers["run"]] for message in mail.of(uid)]


def test_an_edit_acts_within_ten_seconds(
    redis_server: RedisServer, prefix: str, mounted: MountedConfig, start_beat: StartBeat
) -> None:
    mounted.write({"schedules": [schedule("s1", every=86400)]})
    beat = start_beat(redis_server)
    eventually(lambda: beat.status().get("leader"))
    mounted.write({"schedules": [schedule("s1", every=1)], "queues": [queue("mail", maxConcurrency=7)]})
    mail = Seen(redis_server.client(), prefix, "mail")
    eventually(lambda: mail.of("s1"), within=10)
    eventually(lambda: mail.client.hget(f"{prefix}:{{mail}}:meta", "max_concurrency") == b"7", within=10)


def test_without_beat_workers_go_on_and_the_latest_slot_is_made_up_for(
    redis_server: RedisServer,
    prefix: str,
    mounted: MountedConfig,
    start_beat: StartBeat,
    start_worker: Callable[..., Worker],
    producer: Callable[..., Umbel],
) -> None:
    mounted.write({"schedules": [schedule("s1", catchUp=LATEST)]})
    mail = Seen(redis_server.client(), prefix, "mail")
    first = start_beat(redis_server)
    eventually(lambda: mail.of("s1"))
    worker = start_worker(redis_server, prefix, "-Q", "work").wait_ready()
    first.kill()
    app = producer(redis_server)
    app.send_task("tests.sample_app.work", (1,), queue="work")
    app.send_task("tests.sample_app.work", (2,), queue="work", countdown=1)
    eventually(lambda: sorted(runs(worker.ledger)) == ["1", "2"], what="queued and delayed tasks run without beat")
    time.sleep(AWAY)
    before = slots(mail)
    second = start_beat(redis_server)
    eventually(lambda: len(slots(mail)) > len(before) + 1, 30)
    found = slots(mail)
    assert len(found) == len(set(found))
    latest = found[len(before)]
    assert latest - before[-1] >= int(AWAY), "one run for all that were missed"
    assert found == sorted(found)
    left_out = found[-1] - before[-1] - (len(found) - len(before))  # more than were missed, where this machine is slow
    eventually(lambda: second.status()["schedules"]["s1"]["missedRuns"] >= left_out)


def test_without_redis_beat_answers_takes_edits_and_acts_on_them_once_it_is_back(
    own_redis: RedisServer, prefix: str, mounted: MountedConfig, start_beat: StartBeat
) -> None:
    mounted.write({"schedules": [schedule("s1", catchUp=LATEST)]})
    mail = Seen(own_redis.client(), prefix, "mail")
    beat = start_beat(own_redis)
    eventually(lambda: mail.of("s1"))
    own_redis.kill()
    eventually(lambda: beat.status().get("redis", {}).get("ok") is False)
    serial = mounted.write(
        {"schedules": [schedule("s1", catchUp=LATEST), schedule("s2")], "queues": [queue("mail", dispatch="Held")]}
    )
    eventually(lambda: beat.status().get("loadedRevision") == str(serial), what="it loads what is mounted all the same")
    time.sleep(AWAY)
    assert beat.get("/livez")[0] == 200
    eventually(lambda: beat.get("/readyz")[0] == 503)
    own_redis.start()
    mail.client = own_redis.client()
    eventually(lambda: mail.of("s2"), within=20)
    eventually(lambda: mail.client.hget(f"{prefix}:{{mail}}:meta", "dispatch") == b"Held")
    found = slots(mail)
    assert len(found) == len(set(found))
    eventually(lambda: slots(mail)[-1] > found[-1])


def test_without_its_directory_beat_goes_on_with_what_it_has_read(
    redis_server: RedisServer, prefix: str, mounted: MountedConfig, start_beat: StartBeat
) -> None:
    serial = mounted.write({"schedules": [schedule("s1")]})
    beat = start_beat(redis_server)
    mail = Seen(redis_server.client(), prefix, "mail")
    eventually(lambda: mail.of("s1"))
    (mounted.path / "..data").unlink()
    count = len(mail.of("s1"))
    eventually(lambda: len(mail.of("s1")) >= count + 3)
    assert beat.status()["loadedRevision"] == str(serial)
    found = slots(mail)
    assert sorted(found) == list(range(min(found), max(found) + 1))
