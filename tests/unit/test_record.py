"""The stored record: every field comes back, the store script finds what it compares, and what is broken is told."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from umbel import record as records
from umbel import states
from umbel.errors import DecodeError
from umbel.record import Record

CUSTOM = st.text(min_size=1).filter(lambda name: name not in states.CODES)
RECORDS = st.builds(
    Record,
    state=st.sampled_from(sorted(states.CODES)) | CUSTOM,
    value=st.binary(),
    attempt=st.integers(0, 0xFFFF),
    done_ms=st.integers(0, 2**64 - 1),
    meta=st.dictionaries(st.sampled_from(["traceback", "worker", "name"]), st.text() | st.none()),
)


@given(RECORDS)
def test_every_field_comes_back(record: Record) -> None:
    assert records.decode(record.encode()) == record


def test_encoding_leaves_the_record_as_it_is() -> None:
    record = Record("PROGRESS", b"", meta={"worker": "w"})
    record.encode()
    assert record.meta == {"worker": "w"}


def test_the_bytes_are_laid_out_as_the_store_script_knows_them() -> None:
    raw = Record(states.FAILURE, b"value", 0x0102, 0x1112131415161718, {"a": 1}).encode()
    assert raw[0] == 1
    assert raw[1] == 17
    assert raw[2:4] == b"\x01\x02"
    assert raw[4:12] == b"\x11\x12\x13\x14\x15\x16\x17\x18"
    assert raw[12:16] == b"\x00\x00\x00\x07"
    assert raw[16:] == b'{"a":1}value'


def test_a_record_without_meta_data_costs_its_head_alone() -> None:
    assert len(Record(states.SUCCESS, b"42").encode()) == 16 + 2


def test_a_custom_state_has_code_zero() -> None:
    assert Record("PROGRESS", b"").encode()[1] == 0


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "0 bytes is shorter than its head of 16"),
        (Record(states.SUCCESS, b"").encode()[:15], "15 bytes is shorter"),
        (b"\x02" + Record(states.SUCCESS, b"").encode()[1:], "version 2; this library reads version 1: upgrade"),
        (Record(states.SUCCESS, b"", meta={"a": 1}).encode()[:20], "meta data of a result record cannot be read"),
        (b"\x01\x63" + Record(states.SUCCESS, b"").encode()[2:], "meta data of a result record cannot be read"),
        (b"\x01\x00" + Record(states.SUCCESS, b"").encode()[2:], "'state'"),
        (b"\x01\x00" + Record("X", b"").encode()[2:12] + b"\x00\x00\x00\x02[]", "meta data"),
        (b"\x01\x00" + Record("X", b"").encode()[2:12] + b"\x00\x00\x00\x0242", "meta data"),
    ],
)
def test_what_cannot_be_read_says_why(raw: bytes, reason: str) -> None:
    with pytest.raises(DecodeError) as told:
        records.decode(raw)
    assert reason in str(told.value)


@given(st.binary(max_size=100))
def test_rubbish_is_refused_or_read_but_never_crashes(raw: bytes) -> None:
    for data in (raw, b"\x01" + raw, b"\x01\x00" + raw):
        try:
            records.decode(data)
        except DecodeError:
            continue
