"""Hooks: who is called, for whom, and what happens when one fails."""

from __future__ import annotations

import gc
from typing import Any

import pytest

from umbel.signals import Signal


@pytest.fixture
def signal() -> Signal:
    return Signal("tested", ("value",))


def test_a_receiver_gets_the_signal_the_sender_and_the_arguments(signal: Signal) -> None:
    def receiver(**got: Any) -> Any:
        return got

    assert signal.connect(receiver) is receiver
    assert signal.send("someone", value=1) == [(receiver, {"signal": signal, "sender": "someone", "value": 1})]


def test_it_decorates_with_and_without_options(signal: Signal) -> None:
    @signal.connect
    def plain(**got: Any) -> str:
        return "plain"

    @signal.connect(sender="mine", weak=False)
    def of_mine(**got: Any) -> str:
        return "of mine"

    assert [answer for _, answer in signal.send("mine")] == ["plain", "of mine"]
    assert [answer for _, answer in signal.send("yours")] == ["plain"]


def test_what_one_raises_keeps_no_other_from_being_called(signal: Signal, caplog: pytest.LogCaptureFixture) -> None:
    @signal.connect
    def fails(**got: Any) -> None:
        raise LookupError("broken")

    @signal.connect
    def works(**got: Any) -> int:
        return 1

    answers = [answer for _, answer in signal.send()]
    assert isinstance(answers[0], LookupError)
    assert answers[1] == 1
    assert "signal.failed" in caplog.text


def test_a_receiver_that_nobody_holds_is_forgotten_unless_it_is_held_here(signal: Signal) -> None:
    class Holder:
        def called(self, **got: Any) -> int:
            return 1

    holder = Holder()
    signal.connect(holder.called)
    signal.connect(lambda **got: 2, weak=False)
    assert [answer for _, answer in signal.send()] == [1, 2]
    del holder
    gc.collect()
    assert [answer for _, answer in signal.send()] == [2]


def test_connecting_twice_calls_once(signal: Signal) -> None:
    def receiver(**got: Any) -> None: ...
    def other(**got: Any) -> None: ...

    signal.connect(receiver)
    signal.connect(receiver)
    assert signal.receivers == [receiver]
    signal.connect(receiver, dispatch_uid="one")
    signal.connect(other, dispatch_uid="one")
    assert signal.receivers == [receiver, other]


def test_disconnected_it_is_not_called(signal: Signal) -> None:
    def receiver(**got: Any) -> None: ...

    signal.connect(receiver)
    assert signal.has_receivers
    assert signal.disconnect(receiver)
    assert not signal.disconnect(receiver)
    assert signal.send() == []


def test_only_functions_can_be_connected(signal: Signal) -> None:
    with pytest.raises(TypeError, match="takes a function"):
        signal.connect("name")  # type: ignore[call-overload]


def test_one_that_is_to_be_tried_again_is(signal: Signal, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("umbel.signals.base.time.sleep", pauses.append)
    tries = []

    @signal.connect(retry=True)
    def second_time(**got: Any) -> str:
        tries.append(1)
        if len(tries) == 1:
            raise OSError("away")
        return "there"

    @signal.connect(retry=True)
    def never(**got: Any) -> None:
        raise OSError("away")

    answers = [answer for _, answer in signal.send()]
    assert answers[0] == "there"
    assert isinstance(answers[1], OSError)
    assert len(pauses) == 1 + 4
    assert sum(pauses) < 4
