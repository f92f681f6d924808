"""What is told of a message before it becomes a dead letter, and where it goes: decided by a worker, not by Redis."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from umbel import Reject, Umbel
from umbel.broker.base import Death, Outgoing, PostMortem
from umbel.errors import OperationalError, WorkerLostError
from umbel.message import Message
from umbel.testing import InMemoryWorker
from umbel.worker import lastrites


@pytest.fixture
def app() -> Iterator[Umbel]:
    made = Umbel("shop", broker=f"memory://{uuid.uuid4().hex}", unknown_task_grace=0)

    @made.task(name="refuse")
    def refuse() -> None:
        try:
            raise KeyError("order 17")
        except KeyError as error:
            raise Reject("no such order") from error

    @made.task(name="refuse_early", acks_late=False)
    def refuse_early() -> None:
        raise Reject("no such order")

    @made.task(name="add")
    def add(x: int, y: int) -> int:
        return x + y

    @made.task(name="flaky", bind=True)
    def flaky(self: Any) -> None:
        raise self.retry(exc=ValueError("the shop is closed"), countdown=0)

    yield made
    made.close()


def _publish(app: Umbel, task: str, *, queue: str = "default", body: bytes = b"[[],{}]") -> Message:
    message = Message({"id": uuid.uuid4().hex, "task": task}, body)
    app.broker.publish(queue, [Outgoing(message.encode(), message.headers["id"])])
    return message


def _reason(app: Umbel) -> dict[str, Any]:
    (letter,) = app.dead.find()
    return dict(letter.letter.reason)


def test_a_rejection_is_told_with_its_traceback_and_cause(app: Umbel) -> None:
    app.send_task("refuse")
    InMemoryWorker(app).run()
    reason = _reason(app)
    assert (reason["reason"], reason["message"], reason["task"]) == ("Rejected", "no such order", "refuse")
    assert "KeyError: 'order 17'" in reason["traceback"]
    assert reason["traceback"].rstrip().endswith("no such order")
    assert "deaths" not in reason


def test_poison_is_told_with_its_deaths_and_the_last_traceback(app: Umbel) -> None:
    # Given a message that failed and was retried, and then killed its process three times
    result = app.send_task("flaky")
    worker = InMemoryWorker(app)
    worker._turn()
    assert result.state == "RETRY"
    consumer = app.broker.consumer(worker._entered().owner)
    batch = consumer.cycle("default", [], 1)
    payload = bytearray(batch.deliveries[0].payload)
    payload[5:7] = b"\x00\x03"
    for number in range(12):
        death = Death(f"o{number}", hostname=f"host-{number}", pid=number, charge="lost", cause="killed by SIGSEGV")
        app.broker.liveness().note_death(death, {"default": [bytes(payload)]})
    app.broker.publish("default", [Outgoing(bytes(payload), result.id)])
    # When a worker takes it
    worker.run()
    # Then the letter has the whole story, of the last ten deaths
    reason = _reason(app)
    assert reason["reason"] == "MaxDeliveries"
    assert [death["hostname"] for death in reason["deaths"]] == [f"host-{number}" for number in range(2, 12)]
    assert reason["deaths"][0]["cause"] == "killed by SIGSEGV"
    assert "ValueError: the shop is closed" in reason["traceback"]
    with pytest.raises(WorkerLostError):
        result.get(timeout=20)


def test_an_unknown_task_goes_to_the_dead_letters(app: Umbel) -> None:
    _publish(app, "gone")
    InMemoryWorker(app).run()
    assert _reason(app)["reason"] == "UnknownTask"


@pytest.mark.parametrize("body", [b"", b"{}", b"[1]", b"\xff\xfe", b'[{}, "x"]'])
def test_a_message_whose_call_cannot_be_read_goes_to_the_dead_letters(app: Umbel, body: bytes) -> None:
    _publish(app, "add", body=body)
    InMemoryWorker(app).run()
    assert _reason(app)["reason"] == "Unreadable"


@pytest.mark.parametrize("raw", [b"", b"x", b"\x01" * 40, bytes(29)])
def test_a_message_whose_head_cannot_be_read_goes_to_the_dead_letters(app: Umbel, raw: bytes) -> None:
    app.broker.publish("default", [Outgoing(raw, "?")])
    InMemoryWorker(app).run()
    assert _reason(app)["reason"] == "Unreadable"


def test_what_is_rejected_after_it_was_acknowledged_goes_to_the_dead_letters_too(app: Umbel) -> None:
    result = app.send_task("refuse_early")
    InMemoryWorker(app).run()
    assert _reason(app)["reason"] == "Rejected"
    with pytest.raises(Reject):
        result.get(timeout=20)


def test_it_is_forwarded_with_the_reason_and_its_failure_is_stored(app: Umbel) -> None:
    app.broker.configure("default", {"dead_policy": "Forward", "dead_forward": "graveyard"}, 1)
    seen: dict[str, Any] = {}

    result = app.send_task("gone", priority=7, headers={"tenant": "t1"})
    InMemoryWorker(app, queues=["default"]).run()
    with pytest.raises(Exception, match="no task is registered as 'gone'"):
        result.get(timeout=20)
    assert app.broker.info("default").dead == 0
    assert app.broker.info("graveyard").ready == 1

    @app.task(name="gone", bind=True)
    def gone(self: Any) -> str:
        seen.update(self.request.headers)
        return "at last"

    InMemoryWorker(app, queues=["graveyard"]).run()
    assert seen["tenant"] == "t1"
    assert seen["dead_letter"]["reason"] == "UnknownTask"
    assert seen["dead_letter"]["path"] == ["default"]
    assert app.AsyncResult(result.id).get(timeout=20) == "at last"


def test_two_queues_that_forward_to_each_other_do_not_spin(app: Umbel) -> None:
    app.broker.configure("a", {"dead_policy": "Forward", "dead_forward": "b"}, 1)
    app.broker.configure("b", {"dead_policy": "Forward", "dead_forward": "a"}, 1)
    _publish(app, "gone", queue="a")
    InMemoryWorker(app, queues=["a", "b"]).run()
    (letter,) = app.dead.find()
    assert letter.queue == "b"
    assert letter.letter.reason["kept"] == "not forwarded to 'a': it has come from there"


def test_what_cannot_be_forwarded_is_kept(app: Umbel) -> None:
    app.broker.configure("default", {"dead_policy": "Forward", "dead_forward": "graveyard"}, 1)
    app.broker.configure("graveyard", {"intake": "Reject"}, 1)
    _publish(app, "gone")
    InMemoryWorker(app).run()
    assert _reason(app)["kept"] == "not forwarded to 'graveyard': its intake is Reject"


def test_while_the_broker_is_away_the_message_goes_back_uncharged(app: Umbel, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(queue: str, payload: bytes) -> PostMortem:
        raise OperationalError("Redis cannot be reached")

    result = app.send_task("refuse")
    with monkeypatch.context() as patch:
        patch.setattr(app.broker, "post_mortem", away)
        patch.setattr(lastrites, "REQUEUE_PAUSE", 0.05)
        InMemoryWorker(app).run()
    assert app.broker.info("default").dead == 0
    assert result.state == "PENDING"
    InMemoryWorker(app).run(wait=20)
    assert _reason(app)["reason"] == "Rejected"


def test_a_message_that_may_not_begin_waits_for_its_story_though_its_task_runs_at_most_once(
    app: Umbel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(queue: str, payload: bytes) -> PostMortem:
        raise OperationalError("Redis cannot be reached")

    message = Message({"id": "a", "task": "refuse_early"}, b"[[],{}]", lost=3)
    app.broker.publish("default", [Outgoing(message.encode(), "a")])
    with monkeypatch.context() as patch:
        patch.setattr(app.broker, "post_mortem", away)
        patch.setattr(lastrites, "REQUEUE_PAUSE", 0.05)
        InMemoryWorker(app).run()
    assert app.broker.info("default").dead == 0
    InMemoryWorker(app).run(wait=20)
    assert _reason(app)["reason"] == "MaxDeliveries"


def test_long_texts_are_cut(app: Umbel) -> None:
    @app.task(name="verbose")
    def verbose() -> None:
        raise Reject("x" * 100_000)

    app.send_task("verbose")
    InMemoryWorker(app).run()
    reason = _reason(app)
    assert len(reason["message"]) == lastrites.TEXT + 1
    assert len(reason["traceback"]) == lastrites.TRACEBACK + 1
