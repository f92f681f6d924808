"""Queues of single workers: copies are published once, and a queue ends some time after its worker."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.conformance.making import end, ids, outgoing, owner, several, take
from tests.conformance.waiting import until

from umbel import states
from umbel.broker import ownqueues
from umbel.broker.base import Bell, Broker, Consumer, Outgoing
from umbel.broker.ownqueues import OwnQueues
from umbel.broker.tickets import Ticket
from umbel.clock import SYSTEM_CLOCK
from umbel.control.abandoned import OwnQueueJanitor
from umbel.dropping import end_abandoned
from umbel.message import Message
from umbel.ownqueues import COPY_OF
from umbel.results.base import Results

Consumers = Callable[..., Consumer]


def janitor(broker: Broker) -> OwnQueueJanitor:
    return OwnQueueJanitor(broker, lambda: 1.0, 60.0, SYSTEM_CLOCK)


def wait(seconds: float) -> None:
    """Let time pass: as much as something has to have waited."""
    time.sleep(seconds)


@pytest.fixture
def own_queues(broker: Broker) -> OwnQueues:
    return broker.own_queues


def test_who_runs_what_is_sent_to_all(broker: Broker, own_queues: OwnQueues) -> None:
    liveness = broker.liveness()
    infos = [
        owner("everyone", "a.dq2", hostname="a"),
        owner("everyone", "a.dq2", hostname="a"),  # another child of the same worker
        owner("everyone", "b.dq2", hostname="b"),
        owner("everyone", hostname="knows no broadcasts"),
        owner("c.dq2", "default", hostname="c"),
        owner("everyone", "d.dq2", hostname="d"),
    ]
    consumers = [broker.consumer(info) for info in infos]
    for one in consumers:
        one.register()
    infos[-1].state = "draining"
    liveness.beat(infos)
    assert own_queues.workers("everyone") == ["a", "b"]
    consumers[0].cancel("everyone")
    assert own_queues.workers("everyone") == ["a", "b"]
    liveness.bury(infos[1].id)
    assert own_queues.workers("everyone") == ["b"]
    assert own_queues.workers("nobody") == []
    for one in consumers:
        one.close()
    liveness.close()


def test_the_first_value_is_agreed_upon(broker: Broker, own_queues: OwnQueues) -> None:
    assert own_queues.agree("everyone", "one", b"a", 60.0) == b"a"
    assert own_queues.agree("everyone", "one", b"b", 60.0) == b"a"
    assert own_queues.agree("everyone", "two", b"b", 60.0) == b"b"
    assert own_queues.agree("others", "one", b"c", 60.0) == b"c"


def test_a_copy_is_published_once(broker: Broker, own_queues: OwnQueues, consumers: Consumers) -> None:
    copies = [(f"{name}.dq2", outgoing(f"task.{name}")) for name in "abc"]
    assert own_queues.publish("one", copies[:2], 60.0) == []
    assert own_queues.publish("one", copies, 60.0) == []
    assert own_queues.publish("two", copies[:1], 60.0) == []
    assert [broker.info(queue).ready for queue, _ in copies] == [2, 1, 1]
    assert {queue for queue, _ in copies} <= set(broker.queues())
    one = consumers("b.dq2")
    assert ids(take(one, "b.dq2")) == ["task.b"]
    # Also when the first one was taken
    assert own_queues.publish("one", copies, 60.0) == []
    assert take(one, "b.dq2") == []


def test_a_copy_rings(own_queues: OwnQueues, bell: Bell) -> None:
    bell.ask(["a.dq2"], 10.0)
    own_queues.publish("one", [("a.dq2", outgoing("task"))], 60.0)
    assert bell.answer() == "a.dq2"


def test_queues_that_take_nothing_are_told(broker: Broker, own_queues: OwnQueues) -> None:
    broker.configure("a.dq2", {"intake": "Reject"}, 1)
    copies = [(f"{name}.dq2", outgoing(f"task.{name}")) for name in "ab"]
    assert own_queues.publish("one", copies, 60.0) == ["a.dq2"]
    assert [broker.info(queue).ready for queue, _ in copies] == [0, 1]


# The end of a queue


def test_who_is_gone_for_long_is_found_by_one_janitor_at_a_time(
    broker_factory: Callable[[], Broker], own_queues: OwnQueues, consumers: Consumers
) -> None:
    other = broker_factory().own_queues
    consumers("here.dq2", "default")
    own_queues.publish("one", [("gone.dq2", outgoing("task"))], 60.0)
    # At the first look nobody has been gone for long; and while one looks, nobody else does
    assert own_queues.abandoned(0.05, 0.02) == []
    wait(0.1)
    assert own_queues.abandoned(0.05, 60.0) == ["gone.dq2"]
    assert other.abandoned(0.05, 60.0) == []


def test_a_worker_that_is_back_begins_anew(own_queues: OwnQueues, consumers: Consumers) -> None:
    own_queues.publish("one", [("a.dq2", outgoing("task"))], 60.0)
    assert own_queues.abandoned(0.2, 0.01) == []
    back = consumers("a.dq2")
    wait(0.25)
    assert own_queues.abandoned(0.2, 0.01) == []
    back.leave()
    wait(0.02)
    assert own_queues.abandoned(0.2, 0.01) == []
    assert until(lambda: own_queues.abandoned(0.2, 0.01)) == ["a.dq2"]


def test_after_a_time_in_which_nobody_looked_all_begin_anew(
    own_queues: OwnQueues, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ownqueues, "LATE", 0.01)
    own_queues.publish("one", [("a.dq2", outgoing("task"))], 60.0)
    assert own_queues.abandoned(0.1, 0.01) == []
    # All was down for longer than the grace: the worker may be about to come back
    wait(0.3)
    assert own_queues.abandoned(0.1, 0.01) == []
    monkeypatch.setattr(ownqueues, "LATE", 10.0)
    assert until(lambda: own_queues.abandoned(0.1, 0.01)) == ["a.dq2"]


def test_what_waits_ends_with_the_queue(
    broker: Broker, results: Results, own_queues: OwnQueues, consumers: Consumers
) -> None:
    # Given what waits in each way: ready, delayed, of a group, and left by a worker that died
    one = consumers("a.dq2")
    broker.publish("a.dq2", [outgoing("held")])
    take(one, "a.dq2")
    copy = Message({"id": "copy", "task": "conformance", COPY_OF: ["all"]}, b"[]")
    own_queues.publish("copied", [("a.dq2", Outgoing(copy.encode(), "copy"))], 60.0)
    broker.publish("a.dq2", [outgoing("delayed", delay=600.0), outgoing("ready", priority=9)])
    broker.publish("a.dq2", [outgoing("grouped", group="g"), outgoing("grouped 2", group="h")])
    liveness = broker.liveness()
    assert liveness.bury(one.owner.id) == 1
    liveness.close()
    # When the queue ends
    assert janitor(broker).end("a.dq2") == 6
    # Then the copy is revoked, since the others have theirs, and nothing else is lost
    record = results.get("copy")
    assert record is not None
    assert record.state == states.REVOKED
    letters = {letter.reason["id"]: letter.reason["reason"] for letter in broker.dead("a.dq2")}
    direct = {"held", "delayed", "ready", "grouped", "grouped 2"}
    assert letters == dict.fromkeys(direct, "WorkerGone")
    ended = [results.get(name) for name in direct]
    assert [record.state for record in ended if record] == [states.FAILURE] * 5
    info = broker.info("a.dq2")
    assert (info.ready, info.delayed, info.parked, info.in_flight, info.dead) == (0, 0, 0, 0, 5)
    # Its name stays with its dead letters, and goes with them
    assert "a.dq2" in broker.queues()
    broker.drop_dead("a.dq2", broker.dead("a.dq2"))
    janitor(broker).end("a.dq2")
    assert "a.dq2" not in broker.queues()


def test_what_runs_of_a_queue_that_nobody_consumes_is_finished_first(broker: Broker, consumers: Consumers) -> None:
    worker = consumers("a.dq2", "default")
    broker.publish("a.dq2", [outgoing("runs"), outgoing("parked")])
    runs, parks = take(worker, "a.dq2")
    place = Ticket(place="k", places=1)
    assert [worker.admit(delivery, place) for delivery in (runs, parks)] == ["go", "parked"]
    worker.cancel("a.dq2")
    assert janitor(broker).end("a.dq2") == 1
    assert ids(broker.dead("a.dq2")) == ["parked"]
    assert broker.info("a.dq2").in_flight == 1
    assert worker.cycle("a.dq2", [end(runs, place=True)], 0).lost_tags == []
    broker.drop_dead("a.dq2", broker.dead("a.dq2"))
    worker.leave()
    janitor(broker).end("a.dq2")
    assert "a.dq2" not in broker.queues()


def test_a_queue_that_has_ended_begins_anew(broker: Broker, consumers: Consumers) -> None:
    broker.publish("a.dq2", [outgoing("one")])
    assert janitor(broker).end("a.dq2") == 1
    broker.drop_dead("a.dq2", broker.dead("a.dq2"))
    janitor(broker).end("a.dq2")
    assert "a.dq2" not in broker.queues()
    # The name was told to the broker a moment ago, and has to be told again
    broker.publish("a.dq2", [outgoing("two")])
    assert "a.dq2" in broker.queues()
    assert ids(take(consumers("a.dq2"), "a.dq2")) == ["two"]


def test_dead_letters_that_are_sent_again_end_again(broker: Broker) -> None:
    broker.publish("a.dq2", [outgoing("one")])
    janitor(broker).end("a.dq2")
    broker.retry_dead("a.dq2", broker.dead("a.dq2"))
    assert broker.info("a.dq2").ready == 1
    assert janitor(broker).end("a.dq2") == 1
    assert ids(broker.dead("a.dq2")) == ["one"]


def test_a_worker_that_comes_back_in_this_moment_keeps_what_is_left(
    broker: Broker, own_queues: OwnQueues, consumers: Consumers
) -> None:
    broker.publish("a.dq2", several(str(n) for n in range(10)))
    assert own_queues.begin("a.dq2", "janitor")
    aside = own_queues.take("a.dq2", "janitor", 4)
    assert len(aside) == 4
    back = consumers("a.dq2")
    # Nothing more is taken, and what was taken is told
    assert len(own_queues.take("a.dq2", "janitor", 4)) == 4
    end_abandoned(broker, aside, 60.0)
    assert own_queues.take("a.dq2", "janitor", 4) == []
    assert not own_queues.end("a.dq2", "janitor")
    assert not own_queues.begin("a.dq2", "janitor")
    assert len(take(back, "a.dq2")) == 6
    assert len(broker.dead("a.dq2")) == 4


def test_what_a_janitor_left_when_it_died_is_told_though_the_worker_is_back(
    broker: Broker, own_queues: OwnQueues, consumers: Consumers
) -> None:
    broker.publish("a.dq2", several("abc"))
    assert own_queues.begin("a.dq2", "dies")
    own_queues.take("a.dq2", "dies", 2)
    consumers("a.dq2")
    assert until(lambda: own_queues.abandoned(60.0, 0.01)) == ["a.dq2"]
    assert janitor(broker).end("a.dq2") == 2
    assert (broker.info("a.dq2").ready, broker.info("a.dq2").in_flight, broker.info("a.dq2").dead) == (1, 0, 2)
    wait(0.02)
    assert own_queues.abandoned(60.0, 0.01) == []


def test_two_janitors_end_each_task_once(broker_factory: Callable[[], Broker], broker: Broker) -> None:
    broker.publish("a.dq2", several(str(n) for n in range(3000)))
    brokers = [broker_factory() for _ in range(3)]
    with ThreadPoolExecutor(3) as pool:
        for _ in pool.map(lambda one: janitor(one).end("a.dq2"), brokers):
            pass
    janitor(broker).end("a.dq2")
    info = broker.info("a.dq2")
    assert (info.ready, info.in_flight, info.dead) == (0, 0, 3000)


def test_a_queue_that_a_worker_consumes_does_not_end(broker: Broker, consumers: Consumers) -> None:
    broker.publish("a.dq2", [outgoing("one")])
    worker = consumers("a.dq2")
    assert janitor(broker).end("a.dq2") == 0
    assert ids(take(worker, "a.dq2")) == ["one"]


def test_a_worker_that_lets_go_of_its_queue_may_have_it_again(broker: Broker, consumers: Consumers) -> None:
    worker = consumers("a.dq2", "default")
    worker.cancel("a.dq2")
    broker.publish("a.dq2", [outgoing("one")])
    assert janitor(broker).end("a.dq2") == 1
    worker.consume("a.dq2")
    broker.publish("a.dq2", [outgoing("two")])
    (delivery,) = take(worker, "a.dq2")
    assert worker.cycle("a.dq2", [end(delivery)], 0).lost_tags == []
    assert broker.info("a.dq2").in_flight == 0
