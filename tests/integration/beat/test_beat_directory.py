"""beat with a directory of definitions: what it enqueues, edits, bad entries, queue settings, HTTP."""

from __future__ import annotations

import hashlib
import json
import time

import pytest
from tests.integration.beat.conftest import StartBeat
from tests.integration.beat.mounted import MountedConfig, queue, schedule
from tests.integration.beat.process import Seen, eventually
from tests.redis_server import RedisServer


@pytest.fixture
def mail(redis_server: RedisServer, prefix: str) -> Seen:
    return Seen(redis_server.client(), prefix, "mail")


def test_each_slot_becomes_one_message(
    redis_server: RedisServer, prefix: str, mounted: MountedConfig, start_beat: StartBeat, mail: Seen
) -> None:
    mounted.write({"schedules": [schedule("s1", task={"name": "t", "args": [1], "kwargs": {"a": "b"}, "priority": 7})]})
    beat = start_beat(redis_server)
    eventually(lambda: len(mail.messages()) >= 3)
    beat.end()
    found = mail.messages()
    around = found[0].enqueued_ms // 1000  # which may be seconds after the slot
    slots = {hashlib.sha1(f"s1:{slot}".encode()).hexdigest(): slot for slot in range(around - 60, around + 60)}
    first = slots[found[0].headers["run"]]
    assert first <= around
    for number, message in enumerate(found):
        assert message.headers["task"] == "t"
        assert message.headers["schedule"] == "s1"
        assert message.priority == 7
        assert json.loads(message.body) == [[1], {"a": "b"}]
        slot = first + number
        assert message.headers["run"] == hashlib.sha1(f"s1:{slot}".encode()).hexdigest()
        assert message.headers["id"].replace("-", "") == message.headers["run"][:32]


def test_a_bad_entry_does_not_stop_the_others(
    redis_server: RedisServer, mounted: MountedConfig, start_beat: StartBeat, mail: Seen
) -> None:
    bad_cron = schedule("bad", trigger={"type": "Cron", "cron": {"expression": "0 0 31 2 *"}})
    bad_zone = schedule("zone", trigger={"type": "Cron", "cron": {"expression": "@daily", "timeZone": "Mars/Base"}})
    serial = mounted.write(
        {"schedules": [bad_cron, schedule("good"), 5, {"uid": "x"}], "queues": [{"name": ""}]},
        {"schedules": [bad_zone], "pools": [{"name": "p", "queues": "mail"}]},
    )
    beat = start_beat(redis_server)
    eventually(lambda: mail.of("good"))
    status = eventually(
        lambda: s if (s := beat.status())["loadedRevision"] == str(serial) and s["redis"]["ok"] else None
    )
    errors = {(error["kind"], error["uid"]): error for error in status["loadErrors"]}
    assert errors["Schedule", "bad"]["reason"] == "InvalidSchedule"
    assert "can never fire" in errors["Schedule", "bad"]["message"]
    assert errors["Schedule", "zone"]["reason"] == "UnknownTimeZone"
    assert errors["Schedule", "x"]["reason"] == "InvalidDefinition"
    assert ("TaskQueue", "") in errors
    assert errors["WorkerPool", ""]["name"] == "p"
    assert set(status["schedules"]) == {"good"}


def test_edits_are_taken_up_and_removed_schedules_end(
    redis_server: RedisServer, mounted: MountedConfig, start_beat: StartBeat, mail: Seen
) -> None:
    mounted.write({"schedules": [schedule("old"), schedule("moved")]})
    beat = start_beat(redis_server)
    eventually(lambda: mail.of("old") and mail.of("moved"))
    serial = mounted.write({"schedules": [schedule("moved", queue="other"), schedule("new")]})
    eventually(lambda: beat.status().get("loadedRevision") == str(serial))
    other = Seen(mail.client, mail.prefix, "other")
    eventually(lambda: mail.of("new") and other.of("moved"))
    before = len(mail.of("old")), len(mail.of("moved"))
    eventually(lambda: len(other.of("moved")) >= 3)
    assert (len(mail.of("old")), len(mail.of("moved"))) == before
    runs = [message.headers["run"] for message in (*mail.of("moved"), *other.of("moved"))]
    assert len(runs) == len(set(runs))


def test_a_half_written_directory_changes_nothing(
    redis_server: RedisServer, mounted: MountedConfig, start_beat: StartBeat, mail: Seen
) -> None:
    serial = mounted.write({"schedules": [schedule("s1")]})
    beat = start_beat(redis_server)
    eventually(lambda: mail.of("s1"))
    digest = hashlib.sha256(b"something else").hexdigest()
    index = {"layout": 1, "serial": 99, "source": "broker-uid", "shards": {"shard-000.json": digest}}
    mounted.put({"shard-000.json": json.dumps({"schedules": []}), "index.json": json.dumps(index)})
    eventually(lambda: any(error["reason"] == "LoadFailed" for error in beat.status().get("loadErrors", [])))
    count = len(mail.of("s1"))
    eventually(lambda: len(mail.of("s1")) >= count + 2)
    assert beat.status()["loadedRevision"] == str(serial)
    mounted.write({"schedules": [schedule("s2")]}, serial=100)
    eventually(lambda: mail.of("s2"))
    eventually(lambda: beat.status()["loadErrors"] == [])


def test_suspend_and_resume(
    redis_server: RedisServer, mounted: MountedConfig, start_beat: StartBeat, mail: Seen
) -> None:
    mounted.write({"schedules": [schedule("s1"), schedule("other")]})
    beat = start_beat(redis_server)
    eventually(lambda: mail.of("s1"))
    serial = mounted.write({"schedules": [schedule("s1", suspend=True, generation=2), schedule("other")]})
    eventually(lambda: beat.status().get("loadedRevision") == str(serial))
    eventually(lambda: beat.status()["schedules"]["s1"]["nextScheduleTime"] is None)
    # Every beat tells that from the definitions. Who leads notes it when it takes them up, and sends nothing from then on.
    eventually(lambda: mail.client.hget(f"{mail.prefix}:{{s1}}:sched", "suspended") == b"1")
    suspended = len(mail.of("s1"))
    others = len(mail.of("other"))
    eventually(lambda: len(mail.of("other")) >= others + 4)
    assert len(mail.of("s1")) == suspended
    resumed = time.time()
    mounted.write({"schedules": [schedule("s1", generation=3), schedule("other")]})
    eventually(lambda: len(mail.of("s1")) > suspended)
    fresh = mail.of("s1")[suspended:]
    passed = {hashlib.sha1(f"s1:{int(resumed) - back}".encode()).hexdigest() for back in range(1, 60)}
    assert not passed & {message.headers["run"] for message in fresh}, "what was missed while suspended was made up for"


def test_a_manual_token_causes_one_run_also_while_suspended(
    redis_server: RedisServer, mounted: MountedConfig, start_beat: StartBeat, mail: Seen
) -> None:
    mounted.write({"schedules": [schedule("s1", every=86400, suspend=True, manualTrigger="now-1")]})
    beat = start_beat(redis_server)
    eventually(lambda: mail.of("s1"))
    handled = "lastHandledTrigger"
    state = eventually(lambda: s if (s := beat.status()["schedules"]["s1"])[handled] == "now-1" else None)
    assert state["lastScheduleTime"] is None
    assert state["lastTaskID"] == mail.of("s1")[0].headers["id"]
    assert mail.runs() == [hashlib.sha1(b"s1:manual:now-1").hexdigest()]
    serial = mounted.write(
        {"schedules": [schedule("s1", every=86400, suspend=True, manualTrigger="now-1", jitterSeconds=5)]}
    )
    eventually(lambda: beat.status().get("loadedRevision") == str(serial))
    mounted.write({"schedules": [schedule("s1", every=86400, suspend=True, manualTrigger="now-2")]})
    eventually(lambda: len(mail.of("s1")) == 2)
    assert hashlib.sha1(b"s1:manual:now-2").hexdigest() in mail.runs()


def test_queue_settings_are_published_again_after_a_flush_and_never_older_ones(
    redis_server: RedisServer, prefix: str, mounted: MountedConfig, start_beat: StartBeat
) -> None:
    client = redis_server.client()
    meta = f"{prefix}:{{mail}}:meta"

    def settings() -> dict[bytes, bytes]:
        return client.hgetall(meta)  # type: ignore[return-value]

    mounted.write(
        {"queues": [queue("mail", dispatch="Held", maxConcurrency=5, deadLetter={"policy": "Discard"})]}, serial=7
    )
    start_beat(redis_server)
    eventually(lambda: settings().get(b"dispatch") == b"Held")
    assert settings()[b"max_concurrency"] == b"5"
    assert settings()[b"dead_policy"] == b"Discard"
    assert settings()[b"serial"] == b"7"
    client.delete(meta)
    eventually(lambda: settings().get(b"dispatch") == b"Held")
    mounted.write({"queues": [queue("mail", intake="Reject")]}, serial=8)
    eventually(lambda: settings().get(b"intake") == b"Reject")
    assert b"max_concurrency" not in settings()
    assert settings()[b"dispatch"] == b"Enabled"
    client.hset(meta, mapping={"serial": 50, "intake": "Accept"})
    mounted.write({"queues": [queue("mail", intake="Reject"), queue("mark")]}, serial=9)
    eventually(lambda: client.hget(f"{prefix}:{{mark}}:meta", "serial") == b"9")
    assert settings()[b"intake"] == b"Accept"


def test_a_closed_queue_gets_nothing_and_the_slots_are_missed(
    redis_server: RedisServer, mounted: MountedConfig, start_beat: StartBeat, mail: Seen
) -> None:
    mounted.write({"schedules": [schedule("s1")], "queues": [queue("mail", intake="Reject")]})
    beat = start_beat(redis_server)
    eventually(lambda: beat.status().get("schedules", {}).get("s1", {}).get("missedRuns", 0) >= 2)
    status = eventually(lambda: beat.status()["schedules"]["s1"])
    assert status["activeRuns"] <= 1
    assert mail.messages() == []
    count = len(mail.messages())
    mounted.write({"schedules": [schedule("s1")], "queues": [queue("mail")]})
    eventually(lambda: len(mail.messages()) > count)


def test_http(redis_server: RedisServer, mounted: MountedConfig, start_beat: StartBeat, mail: Seen) -> None:
    pool = {"name": "reports", "uid": "p", "queues": ["mail"], "slots": 2}
    serial = mounted.write({"schedules": [schedule("s1")], "queues": [queue("mail")], "pools": [pool]})
    beat = start_beat(redis_server)
    eventually(lambda: beat.get("/readyz")[0] == 200)
    assert beat.get("/livez")[0] == 200
    eventually(lambda: len(mail.of("s1")) >= 2)
    status = eventually(lambda: s if (s := beat.status())["leader"] and s["redis"]["ok"] else None)
    assert set(status) == {"leader", "loadedRevision", "loadErrors", "redis", "schedules", "queues", "pools"}  # type: ignore[arg-type]
    assert status["loadedRevision"] == str(serial)
    assert status["redis"]["version"]
    state = eventually(lambda: s if (s := beat.status()["schedules"]["s1"])["lastScheduleTime"] else None)
    assert set(state) == {  # type: ignore[arg-type]
        "lastScheduleTime",
        "lastEnqueueTime",
        "lastTaskID",
        "nextScheduleTime",
        "lastSuccessfulTime",
        "activeRuns",
        "missedRuns",
        "skippedRuns",
        "consecutiveFailures",
        "lastHandledTrigger",
        "stopped",
    }
    assert state["lastScheduleTime"] < state["nextScheduleTime"]
    assert state["activeRuns"] >= 1
    eventually(lambda: beat.status()["queues"]["mail"]["ready"] >= 2)
    assert set(beat.status()["queues"]["mail"]) == {
        "ready",
        "parked",
        "delayed",
        "inFlight",
        "dead",
        "oldestAgeSeconds",
    }
    code, _, body = beat.get("/v1/pools/reports")
    assert code == 200
    found = json.loads(body)
    assert found["load"] >= 2
    assert (found["workers"], found["slots"], found["busy"], found["draining"], found["idlePods"]) == (0, 0, 0, 0, [])
    assert beat.get("/v1/pools/nobody")[0] == 404
    assert beat.get("/v1/nothing")[0] == 404
    assert beat.post("/v1/pods/gone", b'{"uids": ["a", "b"]}')[0] == 202
    assert beat.post("/v1/pods/gone", b"nonsense")[0] == 400


def test_an_unchanged_status_is_not_sent_again(
    redis_server: RedisServer, mounted: MountedConfig, start_beat: StartBeat
) -> None:
    mounted.write({"schedules": [schedule("s1", every=86400)]})
    beat = start_beat(redis_server)
    eventually(lambda: beat.status().get("schedules", {}).get("s1"))
    _, headers, _ = beat.get("/v1/status")

    def unchanged() -> bool:
        code, now, body = beat.get("/v1/status", {"If-None-Match": headers["etag"]})
        headers.update(now)
        return code == 304 and body == b""

    eventually(unchanged)


def test_nothing_to_do_is_said(start_beat: StartBeat, redis_server: RedisServer) -> None:
    beat = start_beat(redis_server, app=None)
    assert beat.process.wait(60) == 2
    assert "nothing to do: give an app" in beat.text()
