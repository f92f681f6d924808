"""The message on the wire: every field comes back, Lua finds what it changes, and what is broken is told."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from umbel import message as messages
from umbel.errors import DecodeError, EncodeError
from umbel.memory import head
from umbel.message import HEAD_SIZE, Message

COUNT = st.integers(0, 0xFFFF)
MESSAGES = st.builds(
    Message,
    headers=st.fixed_dictionaries(
        {"id": st.text(), "task": st.text()},
        optional={"retries": st.integers(0, 100), "timelimit": st.lists(st.floats(0, 1e6), max_size=2)},
    ),
    body=st.binary(),
    priority=st.integers(0, 9),
    attempt=COUNT,
    lost=COUNT,
    suspect=COUNT,
    requeues=COUNT,
    enqueued_ms=st.integers(0, 2**64 - 1),
    flags=st.integers(0, 255),
    nonce=st.binary(min_size=8, max_size=8),
)


def _small() -> Message:
    return Message({"id": "1", "task": "t"}, b"[[], {}]", nonce=b"12345678")


@given(MESSAGES)
def test_every_field_comes_back(message: Message) -> None:
    assert messages.decode(message.encode()) == message


def test_the_bytes_are_laid_out_as_the_scripts_know_them() -> None:
    raw = Message(
        {"id": "1", "task": "t"}, b"body", 7, 0x0102, 0x0304, 0x0506, 0x0708, 0x1112131415161718, 0x20, b"ABCDEFGH"
    ).encode()
    assert raw[0] == 1
    assert raw[1] == 0x20
    assert raw[2] == 7
    assert raw[3:5] == b"\x01\x02"
    assert raw[5:7] == b"\x03\x04"
    assert raw[7:9] == b"\x05\x06"
    assert raw[9:11] == b"\x07\x08"
    assert raw[11:19] == b"\x11\x12\x13\x14\x15\x16\x17\x18"
    assert raw[19:27] == b"ABCDEFGH"
    headers = b'{"id":"1","task":"t"}'
    assert raw[27:29] == len(headers).to_bytes(2, "big")
    assert raw[29:] == headers + b"body"
    assert HEAD_SIZE == 29


def test_two_equal_messages_differ_by_their_nonce() -> None:
    assert Message({}, b"").encode() != Message({}, b"").encode()


def test_a_new_message_has_the_middle_priority_and_no_counts() -> None:
    message = Message({}, b"")
    assert (message.priority, message.attempt, message.lost, message.suspect, message.requeues) == (5, 0, 0, 0, 0)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "0 bytes is shorter than its head of 29"),
        (_small().encode()[:28], "28 bytes is shorter"),
        (b"\x02" + _small().encode()[1:], "version 2; this worker reads version 1: upgrade"),
        (_small().encode()[:40], "headers of a message cannot be read"),
        (_small().encode()[:29] + b"x" * 40, "headers of a message cannot be read"),
        (Message({"id": "1"}, b"").encode(), "'task'"),
        (Message({"task": "t"}, b"").encode(), "'id'"),
        (Message(["id", "task"], b"").encode(), "headers of a message cannot be read"),  # type: ignore[arg-type]
        (Message("id task", b"").encode(), "headers of a message cannot be read"),  # type: ignore[arg-type]
    ],
    ids=["empty", "short", "newer", "cut", "not JSON", "no task", "no id", "a list", "a text"],
)
def test_what_cannot_be_read_says_why(raw: bytes, reason: str) -> None:
    with pytest.raises(DecodeError) as told:
        messages.decode(raw)
    assert reason in str(told.value)


@given(st.binary(max_size=200))
def test_rubbish_is_refused_or_read_but_never_crashes(raw: bytes) -> None:
    for data in (raw, b"\x01" + raw):
        try:
            messages.decode(data)
        except DecodeError:
            continue


def test_headers_that_do_not_fit_are_told() -> None:
    message = Message({"id": "1", "task": "t", "headers": {"big": "x" * 70_000}}, b"")
    with pytest.raises(EncodeError, match="65535"):
        message.encode()


# The changes that the in-memory broker makes, as the Lua scripts do.


@given(MESSAGES, st.integers(0, 2**64 - 1))
def test_stamping_changes_the_time_alone(message: Message, now_ms: int) -> None:
    stamped = messages.decode(head.stamp(message.encode(), now_ms))
    message.enqueued_ms = now_ms
    assert stamped == message


@given(MESSAGES, COUNT, COUNT, COUNT, COUNT)
def test_raising_counts_changes_the_counts_alone(message: Message, a: int, b: int, c: int, d: int) -> None:
    raised = messages.decode(head.raise_counts(message.encode(), attempt=a, lost=b, suspect=c, requeues=d))
    message.attempt = min(0xFFFF, message.attempt + a)
    message.lost = min(0xFFFF, message.lost + b)
    message.suspect = min(0xFFFF, message.suspect + c)
    message.requeues = min(0xFFFF, message.requeues + d)
    assert raised == message


@given(MESSAGES)
def test_the_head_is_read_without_decoding(message: Message) -> None:
    raw = message.encode()
    assert head.priority(raw) == message.priority
    assert head.is_suspect(raw) == (message.suspect > 0)
    assert head.enqueued_ms(raw) == message.enqueued_ms


@pytest.mark.parametrize("raw", [b"", b"short", b"\x01" * 28])
def test_what_has_no_head_is_left_alone(raw: bytes) -> None:
    assert head.stamp(raw, 5) == raw
    assert head.raise_counts(raw, attempt=1) == raw
    assert (head.priority(raw), head.is_suspect(raw), head.enqueued_ms(raw)) == (5, False, 0)
