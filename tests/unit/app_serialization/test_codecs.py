"""Every codec brings back what it was given, and refuses in words what it cannot carry."""

from __future__ import annotations

import datetime as dt
import enum
import math
import uuid
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from umbel import serialization
from umbel.errors import ContentDisallowed, DecodeError, EncodeError, ImproperlyConfigured
from umbel.serialization import PICKLE


class Colour(enum.Enum):
    RED = "red"


NAMES = ("json", "msgpack", "yaml", "pickle")
VALUES: list[Any] = [
    None,
    True,
    0,
    -1,
    2**70,
    1.5,
    "",
    "ä\u2028",
    b"\x00\xff",
    [],
    {},
    [1, [2, {"a": None}]],
    {"a": {"b": [1, 2]}},
    {1: "one", "two": 2},
    {(1, 2): "pair"},
    {dt.date(2026, 1, 2): 1},
    {"__type__": "uuid", "__value__": 3},
    dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.timezone.utc),  # noqa: UP017 - as elsewhere
    dt.date(2026, 1, 2),
    dt.timedelta(days=1, seconds=2),
    Decimal("1.10"),
    uuid.UUID(int=7),
    {1, 2},
    "2026-01-02",
    "yes",
    "~",
    "1e3",
]


@pytest.fixture
def reads_pickle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serialization, "_reads_pickle", [True])


@pytest.mark.usefixtures("reads_pickle")
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_what_goes_in_comes_out(name: str, value: Any) -> None:
    codec = serialization.by_name(name)
    call = ((value, "after"), {"named": value})
    args, kwargs = codec.decode(codec.encode(call))
    assert [*args] == [value, "after"]
    assert kwargs == {"named": value}
    assert type(args[0]) is type(value)


@pytest.mark.parametrize("name", ["msgpack", "yaml"])
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary() | st.dates(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.integers() | st.dates(), inner),
        max_leaves=12,
    )
)
def test_any_plain_value_comes_back(name: str, value: Any) -> None:
    codec = serialization.by_name(name)
    assert codec.decode(codec.encode([value])) == [value]


@pytest.mark.parametrize("name", ["json", "msgpack", "yaml"])
def test_enumeration_members_go_as_their_values(name: str) -> None:
    codec = serialization.by_name(name)
    assert codec.decode(codec.encode([Colour.RED, math.inf])) == ["red", math.inf]


@pytest.mark.usefixtures("reads_pickle")
def test_pickle_carries_objects() -> None:
    codec = serialization.by_name("pickle")
    assert codec.decode(codec.encode((Colour.RED, 1 + 2j))) == (Colour.RED, 1 + 2j)


@pytest.mark.parametrize("name", NAMES)
def test_what_cannot_be_carried_is_found(name: str) -> None:
    codec = serialization.by_name(name)
    with pytest.raises(EncodeError) as raised:
        codec.encode(((1, [2, lambda: None]), {}))
    assert raised.value.path == (0, 1, 1)


@pytest.mark.usefixtures("reads_pickle")
@pytest.mark.parametrize(
    ("name", "raw"), [("msgpack", b"\xc1"), ("yaml", b"[1"), ("pickle", b"no pickle"), ("pickle", b"cos\nnothing\n.")]
)
def test_what_cannot_be_read_is_a_decode_error(name: str, raw: bytes) -> None:
    with pytest.raises(DecodeError):
        serialization.by_name(name).decode(raw)


def test_yaml_runs_no_code() -> None:
    with pytest.raises(DecodeError):
        serialization.by_name("yaml").decode(b"!!python/object/apply:os.system ['true']")


def test_pickle_is_not_read_before_an_app_accepts_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serialization, "_reads_pickle", [])
    with pytest.raises(ContentDisallowed, match="run whatever code it brings: add 'pickle' to accept_content"):
        serialization.by_content_type(PICKLE)


@pytest.fixture
def registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serialization, "_BY_NAME", dict(serialization._BY_NAME))
    monkeypatch.setattr(serialization, "_BY_CONTENT_TYPE", dict(serialization._BY_CONTENT_TYPE))


@pytest.mark.usefixtures("registry")
def test_two_functions_make_a_codec() -> None:
    serialization.register("upper", lambda obj: repr(obj), lambda text: eval(text), "application/x-upper")
    codec = serialization.by_name("upper")
    assert codec.encode([1]) == b"[1]"
    assert serialization.by_content_type("application/x-upper").decode(b"[1]") == [1]


@pytest.mark.usefixtures("registry")
def test_a_binary_codec_gets_bytes() -> None:
    serialization.register("raw", bytes, lambda raw: type(raw), "application/x-raw", "binary")
    assert serialization.by_name("raw").decode(b"\xff") is bytes


@pytest.mark.usefixtures("registry")
def test_what_the_functions_raise_is_told() -> None:
    def refuse(_: object) -> str:
        raise KeyError("no")

    serialization.register("no", refuse, refuse, "application/x-no")
    codec = serialization.by_name("no")
    with pytest.raises(EncodeError, match="serializer 'no'"):
        codec.encode(1)
    with pytest.raises(DecodeError, match="serializer 'no'"):
        codec.decode(b"1")


def test_a_codec_needs_both_functions() -> None:
    with pytest.raises(TypeError, match="needs an encoder, a decoder and a content_type"):
        serialization.register("half", bytes)


def test_an_unknown_name_lists_what_there_is() -> None:
    with pytest.raises(ImproperlyConfigured, match="json, msgpack, pickle, yaml"):
        serialization.by_name("xml")


def test_signing_wants_to_be_set_up() -> None:
    if "auth" not in serialization._BY_NAME:
        with pytest.raises(ImproperlyConfigured, match="setup_security"):
            serialization.by_name("auth")
