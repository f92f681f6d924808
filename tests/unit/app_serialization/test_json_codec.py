"""JSON carries what it says it carries, and refuses the rest by name."""

from __future__ import annotations

import enum
import math
from collections import OrderedDict, namedtuple
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from umbel import serialization
from umbel.errors import DecodeError, EncodeError, ImproperlyConfigured
from umbel.serialization import json as codec

hashables = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.text(),
    st.binary(max_size=20),
    st.uuids(),
    st.decimals(allow_nan=False),
    st.dates(),
    st.datetimes(timezones=st.sampled_from([None, timezone.utc, timezone(timedelta(hours=5.5))])),  # noqa: UP017
    st.times(),
    st.timedeltas(),
)
values = st.recursive(
    st.one_of(hashables, st.sets(hashables, max_size=3), st.frozensets(st.integers(), max_size=3)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.text(), inner, max_size=4),
        st.dictionaries(st.one_of(st.integers(), st.sampled_from(["__type__", "__value__"])), inner, max_size=3),
    ),
    max_leaves=12,
)


def _strict(value: Any) -> Any:
    """Return a form that tells 1, 1.0 and True apart."""
    if isinstance(value, dict):
        return ("dict", [(_strict(key), _strict(item)) for key, item in value.items()])
    if isinstance(value, list):
        return ("list", [_strict(item) for item in value])
    if isinstance(value, (set, frozenset)):
        return (type(value), sorted(repr(_strict(item)) for item in value))
    if isinstance(value, (datetime, time)):
        value = value.replace(fold=0)  # of no meaning without a zone, and a zone goes as its offset
    return (type(value), repr(value))


@given(values)
def test_what_goes_in_comes_out(value: Any) -> None:
    assert _strict(codec.decode(codec.encode(value))) == _strict(value)


@pytest.mark.parametrize("value", [float("nan"), [1, float("inf")], {"x": -math.inf}])
def test_numbers_that_orjson_writes_as_null_survive(value: Any) -> None:
    assert repr(codec.decode(codec.encode(value))) == repr(value)


@pytest.mark.parametrize("value", [2**63 - 1, 2**64 - 1, 2**64, -(2**63), -(2**63) - 1, 10**40])
def test_whole_numbers_of_any_size_survive(value: int) -> None:
    assert codec.decode(codec.encode([value])) == [value]


def test_a_uuid_stays_a_uuid_and_its_text_stays_text() -> None:
    one = uuid4()
    assert codec.decode(codec.encode([one, str(one)])) == [one, str(one)]
    assert isinstance(codec.decode(codec.encode({"id": one}))["id"], UUID)


def test_a_dict_that_looks_like_a_marker_comes_back_as_it_was() -> None:
    value = {"__type__": "datetime", "__value__": "tomorrow"}
    assert codec.decode(codec.encode([value])) == [value]


def test_tuples_arrive_as_lists_and_subclasses_as_what_they_extend() -> None:
    class Color(enum.Enum):
        RED = "red"

    point = namedtuple("point", "x y")
    value = ((1, 2), point(1, 2), OrderedDict(a=1), Color.RED)
    assert codec.decode(codec.encode(value)) == [[1, 2], [1, 2], {"a": 1}, "red"]


def test_plain_calls_are_plain_json() -> None:
    assert codec.encode([(1, "x", None), {"y": 2.5}]) == b'[[1,"x",null],{"y":2.5}]'


@pytest.mark.parametrize(
    ("value", "path", "name"),
    [
        (object(), (), "object"),
        ([[1, object()], {}], (0, 1), "object"),
        ([[], {"file": {"at": [open]}}], (1, "file", "at", 0), "builtin_function_or_method"),
        ([1 + 2j], (0,), "complex"),
    ],
)
def test_what_cannot_be_carried_is_named_with_its_place(value: Any, path: tuple[object, ...], name: str) -> None:
    with pytest.raises(EncodeError, match=f"type {name}, which JSON cannot carry; pass plain values") as caught:
        codec.encode(value)
    assert caught.value.path == path


def test_text_that_is_no_unicode_is_refused() -> None:
    with pytest.raises(EncodeError, match="lone surrogates"):
        codec.encode(["\ud800"])


def test_an_endless_structure_is_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(EncodeError, match="contains itself"):
        codec.encode(endless)


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (b"{", "not valid JSON"),
        (b'{"__type__":"nonsense","__value__":1}', "'nonsense', a type that is not known here"),
        (b'{"__type__":"datetime","__value__":"x"}', "cannot be read back"),
        (b'{"__type__":"datetime"}', "cannot be read back"),
        (b'{"__type__":[],"__value__":1}', "not known here"),
    ],
)
def test_what_cannot_be_read_says_why(raw: bytes, message: str) -> None:
    with pytest.raises(DecodeError, match=message):
        codec.decode(raw)


def test_a_type_of_ones_own_can_be_taught(monkeypatch: pytest.MonkeyPatch) -> None:
    from umbel.serialization import markers

    monkeypatch.setattr(markers, "_ENCODERS", dict(markers._ENCODERS))
    monkeypatch.setattr(markers, "_DECODERS", dict(markers._DECODERS))
    serialization.register_type(complex, "complex", lambda c: [c.real, c.imag], lambda v: complex(*v))
    assert codec.decode(codec.encode({"z": 1 + 2j})) == {"z": 1 + 2j}


def test_an_object_may_say_itself_how_it_goes() -> None:
    class Point:
        def __json__(self) -> dict[str, Any]:
            return {"x": 1, "on": date(2024, 2, 29)}

    assert codec.decode(codec.encode([Point()])) == [{"x": 1, "on": date(2024, 2, 29)}]


def test_moments_of_subclasses_arrive_as_moments() -> None:
    class Stamp(datetime):
        pass

    class Money(Decimal):
        pass

    assert codec.decode(codec.encode([Stamp(2024, 1, 1, 12), time(1, 2), Money("1.10")])) == [
        datetime(2024, 1, 1, 12),
        time(1, 2),
        Decimal("1.10"),
    ]


def test_unknown_codecs_are_named_with_the_known_ones() -> None:
    with pytest.raises(ImproperlyConfigured, match=r"no serializer is called 'marshal' \(known: .*json"):
        serialization.by_name("marshal")
    with pytest.raises(DecodeError, match="application/x-python"):
        serialization.by_content_type("application/x-python")
