"""beat gives queues their bounds and limits, keeps to them itself, and ends what full queues dropped."""

from __future__ import annotations

from tests.integration.beat.conftest import StartBeat
from tests.integration.beat.mounted import MountedConfig, queue, schedule
from tests.integration.beat.process import Seen, eventually
from tests.redis_server import RedisServer

from umbel.broker.base import Outgoing
from umbel.broker.redis import RedisBroker
from umbel.message import Message
from umbel.rates import RateLimit
from umbel.results.redis import RedisResults


def outgoing(task_id: str) -> Outgoing:
    return Outgoing(Message({"id": task_id, "task": "t"}, b"[[],{}]").encode(), task_id)


def test_bounds_and_limits_reach_their_queue(
    redis_server: RedisServer, prefix: str, mounted: MountedConfig, start_beat: StartBeat
) -> None:
    broker = RedisBroker(redis_server.url, prefix=prefix)
    limits = {
        "maxLength": 5,
        "overflowPolicy": "DropOldest",
        "rateLimit": {"tasks": 30, "periodSeconds": 60, "burst": 4},
    }
    mounted.write({"queues": [queue("mail", **limits)]}, serial=1)
    start_beat(redis_server)
    eventually(lambda: broker.settings("mail").get("max_length") == 5)
    assert broker.settings("mail")["overflow"] == "DropOldest"
    assert broker.settings("mail")["rate_limit"] == RateLimit(30, 60.0, 4)
    mounted.write({"queues": [queue("mail")]}, serial=2)
    eventually(lambda: "max_length" not in broker.settings("mail"))
    assert not {"overflow", "rate_limit"} & set(broker.settings("mail"))
    broker.close()


def test_a_full_queue_gets_no_slot(
    redis_server: RedisServer, prefix: str, mounted: MountedConfig, start_beat: StartBeat
) -> None:
    mail = Seen(redis_server.client(), prefix, "mail")
    bounded = queue("mail", maxLength=1, overflowPolicy="Reject")
    mounted.write({"schedules": [schedule("s1")], "queues": [bounded]})
    beat = start_beat(redis_server)
    eventually(lambda: beat.status().get("schedules", {}).get("s1", {}).get("missedRuns", 0) >= 2)
    assert len(mail.messages()) == 1


def test_a_queue_that_drops_keeps_the_newest_slot_and_ends_the_others(
    redis_server: RedisServer, prefix: str, mounted: MountedConfig, start_beat: StartBeat
) -> None:
    mail = Seen(redis_server.client(), prefix, "mail")
    bounded = queue("mail", maxLength=1, overflowPolicy="DropOldest")
    mounted.write({"schedules": [schedule("s1")], "queues": [bounded]})
    start_beat(redis_server)
    broker = RedisBroker(redis_server.url, prefix=prefix)
    letters = eventually(lambda: broker.dead("mail"), 30)
    assert letters[-1].reason["reason"] == "Dropped"
    assert len(mail.messages()) == 1
    broker.close()


def test_beat_ends_what_a_dead_producer_had_dropped(
    redis_server: RedisServer, prefix: str, mounted: MountedConfig, start_beat: StartBeat
) -> None:
    broker, results = RedisBroker(redis_server.url, prefix=prefix), RedisResults(redis_server.url, prefix=prefix)
    broker.configure("mail", {"max_length": 1, "overflow": "DropOldest"}, 1)
    broker.publish("mail", [outgoing("a")])
    broker.publish("mail", [outgoing("b")])
    start_beat(redis_server)
    record = eventually(lambda: results.get("a"), 30)
    assert record.state == "FAILURE"
    eventually(lambda: broker.dropped("mail") == [], what="it is settled after its end was written")
    results.close()
    broker.close()
