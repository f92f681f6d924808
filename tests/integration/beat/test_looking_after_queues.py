"""With no worker alive: beat promotes delayed tasks and buries dead owners, sooner on a hint."""

from __future__ import annotations

from tests.conformance.making import die
from tests.integration.beat.conftest import StartBeat
from tests.integration.beat.mounted import MountedConfig
from tests.integration.beat.process import Seen, eventually
from tests.redis_server import RedisServer

from umbel.broker.base import Outgoing, OwnerInfo
from umbel.broker.redis import RedisBroker
from umbel.message import Message


def outgoing(task_id: str, delay: float = 0.0) -> Outgoing:
    return Outgoing(Message({"id": task_id, "task": "t"}, b"[[],{}]").encode(), task_id, delay)


def test_delayed_tasks_are_promoted(
    redis_server: RedisServer, prefix: str, mounted: MountedConfig, start_beat: StartBeat
) -> None:
    broker = RedisBroker(redis_server.url, prefix=prefix)
    start_beat(redis_server)
    broker.publish("mail", [outgoing("a", 1.5), outgoing("b", 3600)])
    mail = Seen(redis_server.client(), prefix, "mail")
    eventually(lambda: [message.headers["id"] for message in mail.messages()] == ["a"])
    assert broker.info("mail").delayed == 1
    broker.close()


def test_a_dead_owner_is_buried_sooner_on_a_hint(
    redis_server: RedisServer, prefix: str, mounted: MountedConfig, start_beat: StartBeat
) -> None:
    """Given two owners that fall silent at the same moment, one of a pod that is reported gone, then this one is buried first."""
    broker = RedisBroker(redis_server.url, prefix=prefix)
    liveness = broker.liveness()
    consumers = []
    for number, name in enumerate(["mail", "other"]):
        broker.publish(name, [outgoing("a"), outgoing("b")])
        owner = OwnerInfo(f"owner-{number}", [name], worker=f"w{number}", pool="p", pod_uid=f"pod-{number}")
        consumers.append(consumer := broker.consumer(owner))
        consumer.register()
        assert len(consumer.cycle(name, [], 2).deliveries) == 2
    beat = start_beat(redis_server)

    def both_are_seen() -> bool:
        liveness.beat([consumer.owner for consumer in consumers])
        return bool(beat.status()["pools"]["p"]["load"] == 4)

    eventually(both_are_seen)
    assert beat.post("/v1/pods/gone", b'{"uids": ["pod-0"]}')[0] == 202
    eventually(lambda: broker.info("mail").ready == 2)
    assert broker.info("other").in_flight == 2, "the heartbeat was not waited for in full"
    assert broker.info("mail").in_flight == 0
    for consumer in consumers:
        consumer.close()
    liveness.close()
    broker.close()


def test_old_dead_letters_are_dropped(
    redis_server: RedisServer, prefix: str, mounted: MountedConfig, start_beat: StartBeat
) -> None:
    broker = RedisBroker(redis_server.url, prefix=prefix)
    broker.configure("mail", {"dead_retention": 0.2}, 1)
    die(broker, "mail", outgoing("old").payload, {"reason": "Rejected"})
    broker.configure("reports", {}, 1)
    die(broker, "reports", outgoing("young").payload, {"reason": "Rejected"})
    died = broker.dead("mail")[0].died
    eventually(lambda: broker.time() > died + 0.2)
    start_beat(redis_server)
    eventually(lambda: broker.info("mail").dead == 0)
    assert broker.info("reports").dead == 1
    broker.close()
