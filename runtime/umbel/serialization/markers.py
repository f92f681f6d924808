"""What JSON cannot say by itself, written as ``{"__type__": name, "__value__": plain}``, and read back.

The walk copies only what it has to change: an object without any marker comes back as it is.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Callable
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, Final
from uuid import UUID

from umbel.errors import DecodeError, EncodeError

TYPE: Final = "__type__"
VALUE: Final = "__value__"
MAX_DEPTH: Final = 200

_INT64_MIN: Final = -(2**63)
_UINT64_MAX: Final = 2**64 - 1
_REMEDY: Final = (
    "pass plain values (numbers, text, lists, dicts, dates, Decimal, UUID, bytes, sets), or teach the codec this type "
    "with umbel.serialization.register_type()"
)

Encoder = Callable[[Any], Any]
Decoder = Callable[[Any], Any]

_ENCODERS: dict[type, tuple[str, Encoder]] = {}
_DECODERS: dict[str, Decoder] = {}


def register_type(cls: type, marker: str, encode: Encoder, decode: Decoder) -> None:
    """Let the JSON codec carry a type of yours, in arguments and in results.

    Args:
        cls: the type; its subclasses are not meant.
        marker: the name on the wire. Workers and producers must register the same one.
        encode: turns an object of the type into plain values.
        decode: turns these back.
    """
    _ENCODERS[cls] = (marker, encode)
    _DECODERS[marker] = decode


def _pairs(value: Any) -> dict[Any, Any]:
    return {_hashable(key): item for key, item in value}


def _hashable(key: Any) -> Any:
    return tuple(_hashable(item) for item in key) if isinstance(key, list) else key


def _set_of(value: Any) -> set[Any]:
    return {_hashable(item) for item in value}


register_type(datetime, "datetime", datetime.isoformat, datetime.fromisoformat)
register_type(date, "date", date.isoformat, date.fromisoformat)
register_type(time, "time", time.isoformat, time.fromisoformat)
register_type(timedelta, "timedelta", lambda d: [d.days, d.seconds, d.microseconds], lambda v: timedelta(*v))
register_type(Decimal, "decimal", str, Decimal)
register_type(UUID, "uuid", lambda u: {"hex": u.hex}, lambda v: UUID(**v))
register_type(bytes, "bytes", lambda b: base64.b64encode(b).decode(), base64.b64decode)
register_type(bytearray, "bytearray", lambda b: base64.b64encode(b).decode(), lambda v: bytearray(base64.b64decode(v)))
register_type(set, "set", list, _set_of)
register_type(frozenset, "frozenset", list, lambda v: frozenset(_set_of(v)))
_DECODERS["int"] = int
_DECODERS["float"] = float
_DECODERS["dict"] = _pairs


def _marker(name: str, value: Any) -> dict[str, Any]:
    return {TYPE: name, VALUE: value}


def marker_of(obj: Any) -> dict[str, Any]:
    """Return the marker of an object whose very type is registered.

    Raises:
        TypeError: it is not.
    """
    known = _ENCODERS.get(type(obj))
    if known is None:
        raise TypeError
    return _marker(known[0], known[1](obj))


def is_plain(obj: Any) -> bool:
    """Tell whether what orjson wrote of ``obj`` without complaint is all that there was to write."""
    kind = type(obj)
    if kind is str or kind is int or kind is bool or obj is None:
        return True
    if kind is float:
        return math.isfinite(obj)
    if kind is list or kind is tuple:
        return all(is_plain(item) for item in obj)
    return kind is dict and TYPE not in obj and all(is_plain(item) for item in obj.values())


def mark(obj: Any, path: tuple[object, ...] = ()) -> Any:
    """Return ``obj`` with markers for all that JSON would refuse or change; ``obj`` itself if nothing is to mark.

    Tuples go as lists, enumeration members as their values, subclasses of the built-in types as these.

    Raises:
        EncodeError: with the path to what cannot be carried.
    """
    kind = type(obj)
    if kind is str:
        return _checked(obj, path)
    if kind is bool or obj is None:
        return obj
    if kind is int:
        return obj if _INT64_MIN <= obj <= _UINT64_MAX else _marker("int", str(obj))
    if kind is float:
        return obj if math.isfinite(obj) else _marker("float", repr(obj))
    if len(path) > MAX_DEPTH:
        raise _refused(path[:6], f"is nested deeper than {MAX_DEPTH} levels, or contains itself")
    if kind is list or kind is tuple:
        return _mark_items(obj, path)
    if kind is dict:
        return _mark_dict(obj, path)
    known = _ENCODERS.get(kind)
    if known is not None:
        return _marker(known[0], mark(known[1](obj), path))
    return _mark_other(obj, path)


def _checked(text: str, path: tuple[object, ...]) -> str:
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise _refused(path, "is text with lone surrogates, which is no valid Unicode; pass it as bytes") from None
    return text


def _mark_items(items: list[Any] | tuple[Any, ...], path: tuple[object, ...]) -> Any:
    marked = [mark(item, (*path, index)) for index, item in enumerate(items)]
    return items if all(new is old for new, old in zip(marked, items, strict=True)) else marked


def _mark_dict(items: dict[Any, Any], path: tuple[object, ...]) -> Any:
    if TYPE in items or any(type(key) is not str for key in items):
        return _marker("dict", [[mark(key, (*path, key)), mark(item, (*path, key))] for key, item in items.items()])
    for key in items:
        _checked(key, (*path, key))
    marked = {key: mark(item, (*path, key)) for key, item in items.items()}
    return items if all(marked[key] is item for key, item in items.items()) else marked


def _mark_other(obj: Any, path: tuple[object, ...]) -> Any:
    """Mark what is of no known type: members of enumerations, subclasses of the built-in types, own protocols."""
    if isinstance(obj, Enum):
        return mark(obj.value, path)
    own = getattr(type(obj), "__json__", None)
    if own is not None:
        return mark(own(obj), path)
    if isinstance(obj, str):
        return mark(str(obj), path)
    if isinstance(obj, (int, float)):
        return mark(int(obj) if isinstance(obj, int) else float(obj), path)
    if isinstance(obj, (list, tuple)):
        return mark(list(obj), path)
    if isinstance(obj, dict):
        return mark(dict(obj), path)
    for base, (name, encode) in _ENCODERS.items():
        if isinstance(obj, base) and base.__module__ not in ("datetime",):
            return _marker(name, mark(encode(obj), path))
    if isinstance(obj, (datetime, date, time, timedelta)):
        return mark(_plain_time(obj), path)
    raise _refused(path, f"is {_a(type(obj))}, which JSON cannot carry; {_REMEDY}")


def _plain_time(obj: Any) -> Any:
    """Return a subclass's instance (pandas, pendulum) as the standard type."""
    if isinstance(obj, datetime):
        return datetime.fromisoformat(obj.isoformat())
    if isinstance(obj, date):
        return date(obj.year, obj.month, obj.day)
    if isinstance(obj, time):
        return time.fromisoformat(obj.isoformat())
    return timedelta(obj.days, obj.seconds, obj.microseconds)


def _a(cls: type) -> str:
    name = cls.__qualname__ if cls.__module__ == "builtins" else f"{cls.__module__}.{cls.__qualname__}"
    return f"an object of type {name}"


def _refused(path: tuple[object, ...], reason: str) -> EncodeError:
    place = "".join(f"[{key!r}]" for key in path)
    return EncodeError(f"the value{' at ' + place if place else ''} {reason}", path, reason)


def unmark(obj: Any) -> Any:
    """Return ``obj`` with all markers turned back; lists and dicts are changed in place.

    Raises:
        DecodeError: a marker of an unknown name, or one whose value does not fit it.
    """
    if type(obj) is list:
        for index, item in enumerate(obj):
            if type(item) is dict or type(item) is list:
                obj[index] = unmark(item)
        return obj
    if type(obj) is not dict:
        return obj
    for key, item in obj.items():
        if type(item) is dict or type(item) is list:
            obj[key] = unmark(item)
    name = obj.get(TYPE)
    return obj if name is None else _restore(name, obj)


def _restore(name: Any, obj: dict[str, Any]) -> Any:
    decode = _DECODERS.get(name) if isinstance(name, str) else None
    if decode is None:
        raise DecodeError(
            f"a value is marked as {name!r}, a type that is not known here; "
            "register it with umbel.serialization.register_type() in this process too"
        )
    try:
        return decode(obj[VALUE])
    except DecodeError:
        raise
    except Exception as error:
        raise DecodeError(f"a value marked as {name!r} cannot be read back: {error!r}") from error
