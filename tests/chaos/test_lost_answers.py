"""Connections break between a script call and its answer: nothing is lost, nothing runs twice, nothing is stuck."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator

import pytest
from tests.chaos.proxy import Act, ChaosProxy, Rule, each, first
from tests.conformance.leaks import find_leaks
from tests.conformance.making import end, ids, outgoing, owner, record, several
from tests.redis_server import RedisServer
from tests.workers import Worker, runs, until

from umbel import Umbel
from umbel.broker.base import Charge, ConnectionLost, Delivery, Kind, Outcome
from umbel.broker.redis import RedisBroker
from umbel.errors import OperationalError, PublishUncertain
from umbel.redis import scripts
from umbel.results.redis import RedisResults


@pytest.fixture(autouse=True)
def known_scripts(redis_server: RedisServer) -> None:
    """Let the server know all scripts, whichever test came before: each EVALSHA counts here, and none is to be sent twice."""
    with redis_server.client() as client:
        for script in vars(scripts).values():
            if isinstance(script, scripts.Script):
                client.script_load(script.text)


@pytest.fixture
def proxy(redis_server: RedisServer) -> Iterator[ChaosProxy]:
    proxy = ChaosProxy(redis_server.port)
    proxy.start()
    yield proxy
    proxy.stop()


@pytest.fixture
def direct(redis_server: RedisServer, prefix: str) -> Iterator[RedisBroker]:
    """A broker that does not go through the proxy. At the end, nothing may be left behind."""
    broker = RedisBroker(redis_server.url, prefix=prefix)
    yield broker
    with redis_server.client() as client:
        leaks = find_leaks(client, prefix, broker)
        for key in client.scan_iter(f"{prefix}:*", count=1000):
            client.delete(key)
    broker.close()
    assert not leaks


@pytest.fixture
def shaky(proxy: ChaosProxy, prefix: str) -> Iterator[RedisBroker]:
    """A broker that goes through the proxy."""
    broker = RedisBroker(proxy.url, prefix=prefix)
    yield broker
    broker.close()


def _at_random(share: float, seed: int) -> Rule:
    """Cut a share of all script calls, before or after the server runs them."""
    draw = random.Random(seed)

    def decide(command: list[bytes]) -> Act:
        if command[0] != b"EVALSHA" or draw.random() >= share:
            return Act.PASS
        return draw.choice((Act.CUT_BEFORE, Act.CUT_AFTER))

    return decide


class Child:
    """What a worker's child does about a lost answer, in its barest form: keep the outcomes, resume, compare."""

    def __init__(self, broker: RedisBroker) -> None:
        self.consumer = broker.consumer(owner("q"))
        self.ran: Counter[str] = Counter()
        self.lost_tags: list[int] = []
        self._ready: dict[int, Delivery] = {}
        self._outcomes: dict[int, Outcome] = {}

    def reach(self, step: Callable[[], object]) -> None:
        """Try a step until it gets through."""
        for _ in range(100):
            try:
                step()
                return
            except ConnectionLost:
                continue
        raise AssertionError("no connection gets through")

    def turn(self, want: int) -> bool:
        """Run all that is in hand, report, fetch; whether there was something to do."""
        for tag, delivery in self._ready.items():
            self.ran.update(ids([delivery]))
            self._outcomes[tag] = end(delivery, record=record().encode())
        self._ready.clear()
        sent = list(self._outcomes.values())
        try:
            batch = self.consumer.cycle("q", sent, want)
        except ConnectionLost:
            self.reach(self._resume)
            return True
        self.lost_tags += batch.lost_tags
        self._outcomes.clear()
        self._ready = {delivery.tag: delivery for delivery in batch.deliveries}
        return bool(sent or self._ready)

    def _resume(self) -> None:
        held = self.consumer.resume()["q"]
        self._outcomes = {tag: outcome for tag, outcome in self._outcomes.items() if tag in held}
        self._ready = {tag: Delivery("q", tag, raw) for tag, raw in held.items() if tag not in self._outcomes}


@pytest.mark.parametrize("act", [Act.CUT_BEFORE, Act.CUT_AFTER])
@pytest.mark.parametrize("nth", [2, 3])
def test_a_child_that_resumes_runs_each_message_once(
    nth: int, act: Act, proxy: ChaosProxy, direct: RedisBroker, shaky: RedisBroker, prefix: str
) -> None:
    names = [str(number) for number in range(200)]
    direct.publish("q", several(names))
    child = Child(shaky)
    child.reach(child.consumer.register)
    proxy.rule = each(nth, b"EVALSHA", act)
    while child.turn(7):
        pass
    assert proxy.cut[b"EVALSHA"] >= 8
    assert child.ran == Counter(names)
    assert child.lost_tags == []
    info = direct.info("q")
    assert (info.ready, info.in_flight) == (0, 0)
    results = RedisResults(proxy.url, prefix=prefix)
    assert all(results.get(name) == record() for name in names)
    results.close()
    child.consumer.close()


def _every_cycle(command: list[bytes]) -> Act:
    return Act.CUT_AFTER if command[0] == b"EVALSHA" and command[1] == scripts.cycle.sha else Act.PASS


def test_not_one_cycle_is_ever_answered_and_all_is_done_once(
    proxy: ChaosProxy, direct: RedisBroker, shaky: RedisBroker
) -> None:
    names = [str(number) for number in range(100)]
    direct.publish("q", several(names))
    child = Child(shaky)
    child.consumer.register()
    proxy.rule = _every_cycle
    for _ in range(200):
        child.turn(3)
    assert child.ran == Counter(names)
    info = direct.info("q")
    assert (info.ready, info.in_flight) == (0, 0)
    child.consumer.close()


@pytest.mark.parametrize("seed", range(5))
def test_several_children_share_a_shaky_line(
    seed: int, proxy: ChaosProxy, direct: RedisBroker, shaky: RedisBroker
) -> None:
    names = [str(number) for number in range(300)]
    direct.publish("q", several(names))
    children = [Child(shaky) for _ in range(3)]
    for child in children:
        child.reach(child.consumer.register)
    proxy.rule = _at_random(0.4, seed)
    busy = True
    while busy:
        busy = max(child.turn(5) for child in children)
    assert sum((child.ran for child in children), Counter()) == Counter(names)
    assert direct.info("q").in_flight == 0
    for child in children:
        child.consumer.close()


@pytest.mark.parametrize("act", [Act.CUT_BEFORE, Act.CUT_AFTER])
def test_registering_gets_through_after_any_cut(
    act: Act, proxy: ChaosProxy, direct: RedisBroker, shaky: RedisBroker
) -> None:
    for cuts in (1, 2, 3):
        child = Child(shaky)
        proxy.rule = first(cuts, b"EVALSHA", act)
        child.reach(child.consumer.register)
        direct.publish("q", [outgoing(str(cuts))])
        assert ids(child.consumer.cycle("q", [], 5).deliveries) == [str(cuts)]
        child.consumer.leave()
        direct.purge("q")
        child.consumer.close()


def test_retries_give_backs_and_dead_letters_happen_once(
    proxy: ChaosProxy, direct: RedisBroker, shaky: RedisBroker
) -> None:
    direct.publish("q", several("abcd"))
    child = Child(shaky)
    child.consumer.register()
    a, b, c, d = child.consumer.cycle("q", [], 4).deliveries
    outcomes = [
        end(a, Kind.RETRY, payload=a.payload),
        end(b, Kind.GIVE_BACK),
        end(c, Kind.DEAD, reason={"why": "test"}),
        end(d, Kind.REQUEUE),
    ]
    proxy.rule = first(1, b"EVALSHA")
    with pytest.raises(ConnectionLost):
        child.consumer.cycle("q", outcomes, 0)
    child.reach(child.consumer.resume)
    again = child.consumer.cycle("q", outcomes, 0)
    assert sorted(again.lost_tags) == sorted(delivery.tag for delivery in (a, b, c, d))
    info = direct.info("q")
    assert (info.ready, info.delayed, info.in_flight, info.dead) == (3, 0, 0, 1)
    child.consumer.close()


def test_no_cycle_before_the_uncertainty_is_resolved(
    proxy: ChaosProxy, direct: RedisBroker, shaky: RedisBroker
) -> None:
    direct.publish("q", several("ab"))
    consumer = shaky.consumer(owner("q"))
    consumer.register()
    proxy.rule = first(1, b"EVALSHA")
    with pytest.raises(ConnectionLost):
        consumer.cycle("q", [], 1)
    with pytest.raises(ConnectionLost):
        consumer.cycle("q", [], 1)
    held = consumer.resume()["q"]
    assert [ids([Delivery("q", tag, raw)]) for tag, raw in held.items()] == [["a"]]
    assert ids(consumer.cycle("q", [], 1).deliveries) == ["b"]
    consumer.close()


@pytest.mark.parametrize(("act", "arrived"), [(Act.CUT_AFTER, 3), (Act.CUT_BEFORE, 0)])
def test_an_uncertain_publish_says_so_with_the_ids(
    act: Act, arrived: int, proxy: ChaosProxy, direct: RedisBroker, shaky: RedisBroker
) -> None:
    proxy.rule = first(1, b"EVALSHA", act)
    with pytest.raises(PublishUncertain, match="may have been sent") as told:
        shaky.publish("q", several("abc"))
    assert told.value.task_ids == ("a", "b", "c")
    assert direct.info("q").ready == arrived


def test_a_publish_that_never_connected_sent_nothing(proxy: ChaosProxy, direct: RedisBroker, prefix: str) -> None:
    proxy.refuse()
    hasty = RedisBroker(proxy.url, prefix=prefix, publish_timeout=2.0)
    with pytest.raises(OperationalError, match="cannot be reached") as told:
        hasty.publish("q", several("a"))
    assert not isinstance(told.value, PublishUncertain)
    assert direct.info("q").ready == 0
    proxy.accept()
    hasty.publish("q", several("a"))
    assert direct.info("q").ready == 1
    hasty.close()


def test_an_idle_connection_that_was_cut_costs_a_producer_nothing(
    proxy: ChaosProxy, direct: RedisBroker, shaky: RedisBroker
) -> None:
    import time

    shaky.publish("q", several("a"))
    proxy.cut_all()
    time.sleep(0.2)
    shaky.publish("q", several("b"))
    assert direct.info("q").ready == 2


@pytest.mark.parametrize("seed", range(5))
def test_burials_over_a_shaky_line_move_each_message_once(
    seed: int, proxy: ChaosProxy, direct: RedisBroker, shaky: RedisBroker
) -> None:
    names = [str(number) for number in range(1200)]
    direct.publish("q", several(names))
    dead = direct.consumer(owner("q"))
    dead.register()
    while dead.cycle("q", [], 256).deliveries:
        pass
    proxy.rule = _at_random(0.4, seed)
    liveness = shaky.liveness()

    def buried() -> bool:
        try:
            liveness.bury(dead.owner.id, charge=Charge.SUSPECT)
        except ConnectionLost:
            return False
        return True

    until(buried, "the burial gets through")
    info = direct.info("q")
    assert (info.ready, info.in_flight) == (1200, 0)
    assert liveness.dying() == []
    liveness.close()
    dead.close()


def test_a_waiter_whose_reply_was_lost_is_only_late(
    proxy: ChaosProxy, direct: RedisBroker, redis_server: RedisServer, prefix: str
) -> None:
    waiting = RedisResults(proxy.url, prefix=prefix)
    future = waiting.wait("a")
    until(lambda: proxy.passed[b"BLPOP"], "the inbox is read")
    proxy.refuse()
    writer = RedisResults(redis_server.url, prefix=prefix)
    assert writer.store("a", record(), 60.0)
    proxy.accept()
    assert future.result(30.0) == record()
    waiting.close()
    writer.close()


def test_a_reply_that_was_taken_and_then_cut_is_only_late(
    proxy: ChaosProxy, direct: RedisBroker, redis_server: RedisServer, prefix: str
) -> None:
    """BLPOP removes the reply from the inbox before the connection breaks: nobody else will ever read it."""
    waiting = RedisResults(proxy.url, prefix=prefix)
    proxy.rule = first(1, b"BLPOP")
    future = waiting.wait("a")
    until(lambda: proxy.cut[b"BLPOP"], "the inbox is read")
    writer = RedisResults(redis_server.url, prefix=prefix)
    assert writer.store("a", record(), 60.0)
    assert future.result(30.0) == record()
    waiting.close()
    writer.close()


@pytest.mark.timeout(180)
@pytest.mark.parametrize("rule", [_every_cycle, each(2, b"EVALSHA"), each(7, b"EVALSHA")])
def test_whole_workers_on_a_line_that_breaks_again_and_again(
    rule: Rule,
    proxy: ChaosProxy,
    redis_server: RedisServer,
    prefix: str,
    start_worker: Callable[..., Worker],
    producer: Callable[..., Umbel],
) -> None:
    tasks = 400
    app = producer(redis_server)
    workers = [start_worker(proxy, prefix).wait_ready() for _ in range(2)]
    proxy.rule = rule
    results = [app.send_task("tests.sample_app.work", (number, 0.001)) for number in range(tasks)]
    assert [result.get(timeout=90) for result in results] == list(range(tasks))
    assert proxy.cut[b"EVALSHA"] > 10
    counts = Counter(int(number) for number in runs(workers[0].ledger))
    assert set(counts) == set(range(tasks))
    assert max(counts.values()) == 1, "a lost answer alone makes no task run twice"
    until(lambda: app.broker.info("default").in_flight == 0, "nothing is stuck")
    info = app.broker.info("default")
    assert (info.ready, info.dead) == (0, 0)
