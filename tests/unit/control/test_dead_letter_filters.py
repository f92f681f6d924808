"""Which dead letters are found, sent again and dropped, over pages of letters that died in the same millisecond."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import pytest
from tests.conformance.making import die

from umbel import Reject, Umbel
from umbel.broker.base import Outgoing
from umbel.cli.dead import moment
from umbel.cli.exits import Fail
from umbel.clock import ManualClock
from umbel.control.deadletters import PAGE
from umbel.message import Message
from umbel.testing import InMemoryWorker

NOW = 1_900_000_000.0


@pytest.fixture
def app() -> Iterator[Umbel]:
    made = Umbel("shop", broker=f"memory://{uuid.uuid4().hex}")
    yield made
    made.close()


def _kill(app: Umbel, name: str, *, task: str = "shop.pay", reason: str = "Rejected", queue: str = "default") -> None:
    message = Message({"id": name, "task": task}, b"[[], {}]")
    die(app.broker, queue, message.encode(), {"reason": reason, "id": name})


def _ids(app: Umbel, **filters: object) -> list[str | None]:
    return sorted(letter.id for letter in app.dead.find(**filters))


def test_filters(app: Umbel) -> None:
    _kill(app, "a")
    _kill(app, "b", task="shop.refund", reason="MaxDeliveries")
    _kill(app, "c", task="mail.send", queue="mail")
    app.broker.publish("mail", [Outgoing(Message({"id": "x", "task": "t"}, b"").encode(), "x")])
    assert _ids(app) == ["a", "b", "c"]
    assert _ids(app, queues=["mail"]) == ["c"]
    assert _ids(app, task="shop.pay") == ["a"]
    assert _ids(app, task="shop.*") == ["a", "b"]
    assert _ids(app, reason="maxdeliveries") == ["b"]
    assert _ids(app, ids=["a", "c"], task="shop.*") == ["a"]
    assert _ids(app, ids=["nope"]) == []
    assert app.dead.get("c").queue == "mail"
    assert app.dead.get("nope") is None


def test_an_unreadable_one_is_found_too(app: Umbel) -> None:
    die(app.broker, "default", b"what is this?", {"reason": "Unreadable", "message": "too short"})
    (letter,) = app.dead.find(reason="Unreadable")
    assert (letter.id, letter.task) == (None, None)
    assert "error" in letter.as_dict()
    assert _ids(app, task="*") == [None]
    assert app.dead.purge(reason="Unreadable") == 1


@pytest.mark.parametrize("spread", [0.0, 0.0001, 0.001, 0.01])
def test_pages_go_on_where_letters_were_taken_out(spread: float) -> None:
    """More than a page of letters of one millisecond, some of which are taken out while the pages are read."""
    from umbel.broker.memory import MemoryBroker

    clock = ManualClock(NOW)
    app = Umbel("shop", broker=f"memory://{uuid.uuid4().hex}")
    app._broker = MemoryBroker(app.broker_url(), prefix=app.conf.key_prefix, clock=clock)
    many = 3 * PAGE + 7
    for number in range(many):
        _kill(app, f"{number:05}", task="shop.even" if number % 2 == 0 else "shop.odd")
        clock.advance(spread)
    assert len(_ids(app)) == many
    assert len(app.dead.retry(task="shop.even")) == (many + 1) // 2
    assert app.broker.info("default").ready == (many + 1) // 2
    assert len(_ids(app)) == many // 2
    assert app.dead.purge(limit=PAGE + 1) == PAGE + 1
    assert app.dead.purge() == many // 2 - PAGE - 1
    assert app.broker.info("default").dead == 0
    app.close()


def test_who_waits_for_a_letter_that_is_sent_again_gets_the_new_end(app: Umbel) -> None:
    broken = True

    @app.task
    def pay(order: int) -> int:
        if broken:
            raise Reject("no such order")
        return order

    result = pay.delay(17)
    InMemoryWorker(app).run()
    with pytest.raises(Reject):
        result.get(timeout=20)
    broken = False
    (again,) = app.dead.retry(task=pay.name)
    assert again.id == result.id
    assert again.state == "PENDING"
    InMemoryWorker(app).run()
    assert again.get(timeout=20) == 17


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90s", NOW - 90),
        ("1.5h", NOW - 5400),
        ("7d", NOW - 604800),
        ("2030-03-17T17:46:40Z", NOW),
        ("2030-03-17 17:46:40", NOW),
        ("2030-03-17T18:46:40+01:00", NOW),
        (None, None),
    ],
)
def test_moments(text: str | None, expected: float | None) -> None:
    assert moment("--since", text, NOW) == expected


@pytest.mark.parametrize("text", ["yesterday", "7", "", "-3h"])
def test_what_is_no_moment_is_refused_with_what_would_be(text: str) -> None:
    with pytest.raises(Fail, match="--since takes an age such as 90s"):
        moment("--since", text, NOW)
