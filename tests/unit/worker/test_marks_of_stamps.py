"""By which stamps a message is revoked."""

from __future__ import annotations

from umbel.marks import is_stamped, stamp_marks
from umbel.message import Message
from umbel.worker.pulse import named_by


def test_each_value_of_a_stamp_has_a_mark_of_its_own() -> None:
    assert stamp_marks({"by": ["ada", 1], "of": {"b": 2, "a": 1}}) == [
        'stamp:by="ada"',
        "stamp:by=1",
        'stamp:of={"a":1,"b":2}',
    ]
    assert stamp_marks({"by": "ada"}) == stamp_marks({"by": ["ada"]})


def test_a_message_is_meant_by_its_id_or_by_one_of_its_stamps() -> None:
    headers = {"id": "one", "task": "add", "stamps": {"by": ["ada", "bob"]}}
    payload = Message(headers, b"[[],{}]").encode()
    bob, eve = stamp_marks({"by": ["bob", "eve"]})
    assert is_stamped(headers, {bob})
    assert not is_stamped(headers, {eve, "one"})
    assert named_by(payload, {"one", bob}) == "one"
    assert named_by(payload, {bob, eve}) == bob
    assert named_by(payload, {eve}) is None
    assert named_by(Message({"id": "two", "task": "add"}, b"").encode(), {bob, "two"}) == "two"
    assert named_by(b"nothing", {"one"}) is None
