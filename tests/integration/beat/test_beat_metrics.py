"""``/metrics`` of beat: of the queues only the leader tells."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families
from tests.conformance.making import die
from tests.integration.beat.conftest import StartBeat
from tests.integration.beat.inprocess import Bench
from tests.integration.beat.inprocess import schedule as in_process_schedule
from tests.integration.beat.mounted import MountedConfig, queue, schedule
from tests.integration.beat.process import BeatProcess, eventually
from tests.redis_server import RedisServer

from umbel import meters
from umbel.broker.base import Outgoing
from umbel.broker.redis import RedisBroker
from umbel.message import Message

Samples = dict[tuple[str, ...], float]


def scrape(beat: BeatProcess) -> Samples:
    """Return all samples by name and label values; nothing while nobody listens."""
    status, headers, body = beat.get("/metrics")
    if status == 0:
        return {}
    assert status == 200, body
    assert headers["content-type"].startswith("text/plain; version=0.0.4")
    return {
        (sample.name, *(sample.labels[label] for label in sorted(sample.labels))): sample.value
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
    }


def test_queues_schedules_and_beat_itself(
    redis_server: RedisServer, prefix: str, mounted: MountedConfig, start_beat: StartBeat
) -> None:
    broker = RedisBroker(redis_server.url, prefix=prefix)
    pool = {"name": "reports", "uid": "p", "queues": ["mail"], "slots": 2}
    serial = mounted.write({"queues": [queue("mail")], "schedules": [schedule("s1", every=1)], "pools": [pool]})
    die(broker, "mail", b"??", {"reason": "Unreadable"})
    beat = start_beat(redis_server, env={"UMBEL_NAMESPACE": "shop"})
    broker.publish("slow", [Outgoing(Message({"id": "a", "task": "t"}, b"[[],{}]").encode(), "a", 3600.0)])
    eventually(lambda: scrape(beat).get(("umbel_schedule_runs_total", "enqueued"), 0) >= 2)
    last_run = "umbel_schedule_last_run_timestamp_seconds", "shop", "name-of-s1"  # noted after the run was enqueued
    ready = "umbel_queue_ready_tasks", "shop", "mail"
    found = eventually(lambda: (seen := scrape(beat)).get(ready, 0) >= 2 and last_run in seen and seen)
    assert found["umbel_queue_delayed_tasks", "shop", "slow"] == 1
    assert found["umbel_queue_dead_letter_tasks", "shop", "mail"] == 1
    assert found["umbel_queue_inflight_tasks", "shop", "mail"] == 0
    assert found["umbel_queue_oldest_task_age_seconds", "shop", "mail"] >= 0
    assert abs(found[last_run] - broker.time()) < 60
    assert found["umbel_schedule_lag_seconds_count",] >= 2
    assert found["umbel_schedule_lag_seconds_bucket", "60.0"] >= 2
    assert found["umbel_pool_load", "shop", "reports"] >= 2
    assert found["umbel_beat_leader",] == 1
    assert found["umbel_beat_connected",] == 1
    assert found["umbel_beat_config_revision_info", str(serial)] == 1
    suffixes = ("_bucket", "_count", "_sum")
    names = {next((key[0].removesuffix(s) for s in suffixes if key[0].endswith(s)), key[0]) for key in found}
    assert names == {meter.name for meter in meters.BEAT}
    broker.close()


def test_of_two_beats_one_tells_of_the_queues(
    redis_server: RedisServer, prefix: str, mounted: MountedConfig, start_beat: StartBeat
) -> None:
    mounted.write({"queues": [queue("mail")], "schedules": [schedule("s1", every=3600)]})
    beats = [start_beat(redis_server, "--lock-ttl", "60") for _ in range(2)]
    eventually(lambda: sorted(scrape(beat).get(("umbel_beat_leader",), -1.0) for beat in beats) == [0, 1])
    leader, other = sorted(beats, key=lambda beat: -scrape(beat)["umbel_beat_leader",])
    eventually(lambda: ("umbel_queue_ready_tasks", "", "mail") in scrape(leader))
    assert not [key for key in scrape(other) if key[0].startswith("umbel_queue_")]


def test_it_answers_while_redis_is_away(own_redis: RedisServer, mounted: MountedConfig, start_beat: StartBeat) -> None:
    mounted.write({"queues": [queue("mail")]})
    beat = start_beat(own_redis)
    eventually(lambda: scrape(beat).get(("umbel_beat_connected",)) == 1)
    own_redis.stop()
    eventually(lambda: scrape(beat).get(("umbel_beat_connected",)) == 0)
    assert not [key for key in scrape(beat) if key[0].startswith("umbel_queue_")]
    own_redis.start()
    eventually(lambda: ("umbel_queue_ready_tasks", "", "mail") in scrape(beat))


def test_how_late_runs_are_and_what_came_of_slots(bench: Bench) -> None:
    body = in_process_schedule("s1", every=10, catchUp={"policy": "All", "maxRuns": 2})
    beat = bench.beat(body)
    beat.tick()
    bench.clock.advance(10.2)
    beat.tick()
    assert beat.counts == {"enqueued": 1}
    counts, total = beat.lag.spread()
    assert (round(total, 3), sum(counts), counts[2]) == (0.2, 1, 1)
    bench.clock.advance(40.0)
    beat.tick()
    assert beat.counts == {"enqueued": 3, "missed": 2}
    assert sum(beat.lag.spread()[0]) == 3
