"""A TaskQueue that is deleted with the policy Purge: all of the queue's keys go, in steps, and never under a worker's hands."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.integration.beat.conftest import StartBeat
from tests.integration.beat.mounted import MountedConfig, queue, schedule
from tests.integration.beat.process import BeatProcess, eventually
from tests.redis_cluster import RedisCluster
from tests.redis_server import RedisServer

from umbel import Umbel
from umbel.beat.purger import tell
from umbel.broker.base import Kind, Outcome, Outgoing, OwnerInfo
from umbel.broker.redis import RedisBroker
from umbel.broker.tickets import Lock, Ticket
from umbel.dropping import look_after
from umbel.errors import QueueClosed, TaskRevokedError
from umbel.message import LOCKED, Message
from umbel.options import Conflict
from umbel.record import decode
from umbel.redis import keys
from umbel.redis.endpoint import Endpoint
from umbel.redis.purging import Purge, Purges, Step

Server = RedisServer | RedisCluster


def outgoing(task_id: str, delay: float = 0.0, *, unique: bool = False) -> Outgoing:
    headers = {"id": task_id, "task": "t"}
    lock = Lock(f"lock-{task_id}", 3600.0, Conflict.EXISTING) if unique else None
    flags = LOCKED if unique else 0
    return Outgoing(Message(headers, b"[[],{}]", flags=flags).encode(), task_id, delay, lock=lock)


@pytest.fixture
def broker(redis_server: RedisServer, prefix: str) -> Iterator[RedisBroker]:
    made = RedisBroker(redis_server.url, prefix=prefix)
    yield made
    made.close()


@pytest.fixture
def purges(redis_server: RedisServer, prefix: str) -> Iterator[Purges]:
    made = Purges(Endpoint(redis_server.url), prefix)
    yield made
    made.close()


@pytest.fixture
def left(redis_server: RedisServer, prefix: str) -> Callable[[], set[str]]:
    """Returns the keys of the queue that are there."""
    client = redis_server.client()
    return lambda: {name.decode() for name in client.scan_iter(f"{prefix}:{{mail}}:*")}


def fill(broker: RedisBroker) -> None:
    """Put into a queue whatever a queue can hold."""
    broker.configure("mail", {"max_concurrency": 100}, 1)
    broker.publish("mail", [outgoing("dead")])
    dies = broker.consumer(OwnerInfo("owner-0", ["mail"], worker="w0"))
    dies.register()
    (delivery,) = dies.cycle("mail", [], 1).deliveries
    dies.cycle("mail", [Outcome(delivery.tag, Kind.DEAD, "dead", reason={"reason": "Rejected"})], 0)
    dies.leave()
    dies.close()
    broker.publish("mail", [outgoing(f"u{n}", unique=True) for n in range(20)])
    broker.publish("mail", [outgoing("later", 3600)])
    broker.publish("other", [outgoing("stays")])


def is_purged(beat: BeatProcess) -> bool:
    return bool(beat.status().get("queues", {}).get("mail", {}).get("purged") == "uid-mail")


def test_all_keys_of_the_queue_go_and_no_other(
    redis_server: RedisServer,
    prefix: str,
    mounted: MountedConfig,
    start_beat: StartBeat,
    broker: RedisBroker,
    left: Callable[[], set[str]],
) -> None:
    fill(broker)
    mounted.write({"queues": [queue("mail"), queue("other")], "schedules": [schedule("s1")]})
    beat = start_beat(redis_server)
    eventually(lambda: any(":run:" in name for name in left()))
    assert any(":lock:" in name for name in left())
    mounted.write({"queues": [{**queue("mail"), "purge": "uid-mail"}, queue("other")]})
    eventually(lambda: is_purged(beat))
    assert left() == {keys.purged(prefix, "mail")}
    assert "mail" not in broker.queues()
    assert broker.info("other").ready == 1
    again = start_beat(redis_server)
    eventually(lambda: is_purged(again), what="a beat that did nothing itself tells it too")
    assert beat.text().count("queue.purged") == 1


def test_a_worker_finishes_what_it_holds_before_the_queue_goes(
    redis_server: RedisServer,
    prefix: str,
    mounted: MountedConfig,
    start_beat: StartBeat,
    broker: RedisBroker,
    left: Callable[[], set[str]],
) -> None:
    fill(broker)
    worker = broker.consumer(OwnerInfo("owner-1", ["mail", "other"], worker="w"))
    worker.register()
    liveness = broker.liveness()
    (running,) = worker.cycle("mail", [], 1).deliveries
    mounted.write({"queues": [{**queue("mail"), "purge": "uid-mail"}]})
    beat = start_beat(redis_server)

    def waits() -> bool:
        liveness.beat([worker.owner])
        return broker.info("mail").ready == broker.info("mail").delayed == broker.info("mail").dead == 0

    eventually(waits)
    assert not is_purged(beat)
    with pytest.raises(QueueClosed):
        broker.publish("mail", [outgoing("new")])
    batch = worker.cycle("mail", [Outcome(running.tag, Kind.ACK, "u0")], 1)
    assert batch.lost_tags == []
    assert batch.deliveries == []

    def gone() -> bool:
        liveness.beat([worker.owner])
        return is_purged(beat)

    eventually(gone)
    assert left() == {keys.purged(prefix, "mail"), keys.owned(prefix, "mail", "owner-1")}
    assert len(worker.cycle("other", [], 5).deliveries) == 1, "its owner goes on in its other queues"
    worker.leave()
    assert left() == {keys.purged(prefix, "mail")}
    liveness.close()
    worker.close()


def run(purges: Purges, purge: Purge, broker: RedisBroker) -> list[Step]:
    steps = [purges.step(purge)]
    while steps[-1] in (Step.MORE, Step.ASIDE):
        if steps[-1] is Step.ASIDE:
            tell(purges, broker, purge.queue)
        steps.append(purges.step(purge))
    return steps


def begin(purges: Purges, purge: Purge, broker: RedisBroker) -> Step:
    """Go on until nothing waits any more; return what the next step came to."""
    while (step := purges.step(purge)) is Step.ASIDE:
        tell(purges, broker, purge.queue)
    return step


def test_a_queue_of_another_task_queue_is_left_alone(
    broker: RedisBroker, purges: Purges, left: Callable[[], set[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(broker)
    monkeypatch.setattr("umbel.redis.purging.SCAN_COUNT", 1)
    purge = Purge("mail", "uid-old", "config:b", 3, 7)
    assert begin(purges, purge, broker) is Step.MORE
    # A new TaskQueue with the same name: beat publishes its settings, as the loader does.
    assert broker.configure("mail", {"intake": "Accept", "dispatch": "Enabled", "purge": None}, 9)
    monkeypatch.setattr(Purges, "step", Purges._sweep)  # the step that was under way in this moment
    assert run(purges, purge, broker)[-1] is Step.FENCED
    broker.publish("mail", [outgoing("new")])
    assert broker.info("mail").ready == 1


def test_a_purge_that_arrives_behind_later_settings_does_nothing(broker: RedisBroker, purges: Purges) -> None:
    """Given one that was on its way when it was taken back, then the queue stays as the later definitions want it."""
    fill(broker)
    assert broker.configure("mail", {"intake": "Accept", "dispatch": "Enabled", "purge": None}, 8)
    before = broker.info("mail")
    assert purges.step(Purge("mail", "uid-old", "config:b", 3, 7)) is Step.FENCED
    after = broker.info("mail")
    assert (after.ready, after.delayed, after.dead) == (before.ready, before.delayed, before.dead) == (20, 1, 1)
    assert broker.settings("mail")["intake"] == "Accept"
    assert begin(purges, Purge("mail", "uid-new", "config:b", 3, 9), broker) is not Step.FENCED, "the next one may"


def test_a_leader_that_was_replaced_purges_nothing(
    broker: RedisBroker, purges: Purges, left: Callable[[], set[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(broker)
    before = left()
    client_of_another_epoch = Purge("mail", "uid-mail", "config:b", 5, 7)
    monkeypatch.setattr("umbel.redis.purging.SCAN_COUNT", 1)
    assert begin(purges, client_of_another_epoch, broker) is Step.MORE
    half = left()
    assert len(half) < len(before)
    assert purges.step(Purge("mail", "uid-mail", "config:b", 4, 7)) is Step.FENCED
    assert left() == half
    monkeypatch.setattr("umbel.redis.purging.SCAN_COUNT", 1000)
    assert run(purges, Purge("mail", "uid-mail", "config:b", 6, 7), broker)[-1] is Step.DONE, "a new leader takes it up"
    assert purges.step(client_of_another_epoch) is Step.DONE, "told of the end, it does nothing"
    assert len(left()) == 1


def test_a_large_queue_goes_in_many_small_steps(
    redis_server: RedisServer, prefix: str, broker: RedisBroker, purges: Purges, left: Callable[[], set[str]]
) -> None:
    client = redis_server.client()
    with client.pipeline(transaction=False) as pipe:
        for n in range(5000):
            pipe.set(keys.lock(prefix, "mail", f"k{n}"), "t", ex=3600)
            pipe.set(f"{prefix}:elsewhere:{n}", "t", ex=3600)
        pipe.execute()
    steps = run(purges, Purge("mail", "uid-mail", "config:b", 1, 7), broker)
    assert steps[-1] is Step.DONE
    assert len(steps) >= 5
    assert left() == {keys.purged(prefix, "mail")}
    assert client.exists(f"{prefix}:elsewhere:17")


@pytest.mark.parametrize("name", ["mail", "a*b[c]?\\", "x^y"])
def test_on_a_cluster_and_whatever_the_name(redis_cluster: RedisCluster, prefix: str, name: str) -> None:
    broker = RedisBroker(redis_cluster.url, prefix=prefix)
    purges = Purges(Endpoint.from_environment(redis_cluster.url), prefix)
    broker.publish(name, [outgoing("a", unique=True), outgoing("b", 3600)])
    broker.publish("aXb", [outgoing("c")])
    assert run(purges, Purge(name, "uid", "config:b", 1, 7), broker)[-1] is Step.DONE
    assert broker.info(name).ready == broker.info(name).delayed == 0
    assert broker.info("aXb").ready == 1
    assert broker.queues() == ["aXb"]
    assert purges.purged([name, "aXb"]) == {name: "uid"}
    purges.close()
    broker.close()


def test_whoever_waits_for_a_task_that_goes_is_told(
    redis_server: RedisServer, prefix: str, mounted: MountedConfig, start_beat: StartBeat
) -> None:
    """Given callers who wait for tasks of a queue that is purged, then each of them hears that its task was revoked, be the task
    ready, delayed, of a group, or unique; one that has no result leaves none; a Schedule's run ends as revoked too."""
    app = Umbel("shop", broker=redis_server.url, key_prefix=prefix)
    mounted.write({"queues": [queue("mail")], "schedules": [schedule("s1", every=3600)]})
    beat = start_beat(redis_server)
    sent = [app.send_task("t", queue="mail", priority=n % 10) for n in range(300)]
    sent += [app.send_task("t", queue="mail", countdown=3600), app.send_task("t", queue="mail", group="g")]
    silent = app.send_task("t", queue="mail", ignore_result=True)
    with ThreadPoolExecutor(1) as pool:
        waits = pool.submit(sent[0].get, timeout=60)
        mounted.write({"queues": [{**queue("mail"), "purge": "uid-mail"}]})
        with pytest.raises(TaskRevokedError, match="'mail' was deleted"):
            waits.result(70)
    eventually(lambda: is_purged(beat))
    for result in sent:
        assert result.state == "REVOKED"
    assert silent.state == "PENDING"
    app.close()


def test_who_waits_for_a_task_that_waits_for_a_place_is_told(
    broker: RedisBroker, purges: Purges, redis_server: RedisServer, prefix: str
) -> None:
    broker.publish("mail", [outgoing("runs"), outgoing("parked")])
    consumer = broker.consumer(OwnerInfo("somebody", ["mail"]))
    consumer.register()
    runs, parked = consumer.cycle("mail", [], 2).deliveries
    assert [consumer.admit(delivery, Ticket(place="c:7", places=1)) for delivery in (runs, parked)] == ["go", "parked"]
    assert purges.step(Purge("mail", "uid-mail", "config:b", 1, 7)) is Step.ASIDE
    tell(purges, broker, "mail")
    with redis_server.client() as client:
        raw = client.get(keys.result(prefix, "parked"))
    assert isinstance(raw, bytes)
    assert decode(raw).state == "REVOKED"
    consumer.cycle("mail", [Outcome(runs.tag, Kind.ACK)], 0)
    consumer.leave()
    consumer.close()


def test_a_purge_that_was_cut_off_is_taken_up_with_what_it_had_put_aside(
    broker: RedisBroker, purges: Purges, left: Callable[[], set[str]], redis_server: RedisServer, prefix: str
) -> None:
    """Given a beat that died between putting messages aside and telling of them, then workers leave these alone, since they would
    call them dropped, and the next leader tells of them."""
    broker.publish("mail", [outgoing(f"t{n}") for n in range(5)])
    assert purges.step(Purge("mail", "uid-mail", "config:b", 1, 7)) is Step.ASIDE
    assert broker.info("mail").ready == 0
    assert look_after(broker, ["mail"]) == 0
    assert run(purges, Purge("mail", "uid-mail", "config:b", 2, 7), broker)[-1] is Step.DONE
    client = redis_server.client()
    for n in range(5):
        raw = client.get(keys.result(prefix, f"t{n}"))
        assert isinstance(raw, bytes)
        assert decode(raw).state == "REVOKED"
    assert left() == {keys.purged(prefix, "mail")}


def test_what_a_purge_had_put_aside_when_it_was_taken_back_is_not_lost_sight_of(
    broker: RedisBroker, purges: Purges
) -> None:
    broker.publish("mail", [outgoing(f"t{n}") for n in range(5)])
    assert purges.step(Purge("mail", "uid-mail", "config:b", 1, 7)) is Step.ASIDE
    assert broker.configure("mail", {"intake": "Accept", "dispatch": "Enabled", "purge": None}, 9)
    assert look_after(broker, ["mail"]) == 5
    assert broker.info("mail").in_flight == 0


def test_a_redis_without_memory_is_purged_all_the_same(own_redis: RedisServer, prefix: str) -> None:
    broker = RedisBroker(own_redis.url, prefix=prefix)
    purges = Purges(Endpoint(own_redis.url), prefix)
    broker.publish("mail", [outgoing(f"t{n}") for n in range(600)])
    own_redis.client().config_set("maxmemory", 1)
    assert begin(purges, Purge("mail", "uid-mail", "config:b", 1, 7), broker) is Step.DONE
    assert broker.info("mail").ready == broker.info("mail").in_flight == 0
    purges.close()
    broker.close()
