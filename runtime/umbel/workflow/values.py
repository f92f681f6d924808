"""Values on their way from one task to the next: encoded once, by who ends a task, and put in front of other arguments.

JSON travels as it is. What another codec wrote begins with a byte 1, its content type, and a new line.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import orjson

from umbel import bodies, serialization
from umbel.errors import DecodeError, SecurityError
from umbel.serialization import Codec
from umbel.workflow.graph import Nesting

if TYPE_CHECKING:
    from umbel.config import Settings

_OTHER: Final = 1
_EMPTY: Final = b"[["


def pack(raw: bytes, content_type: str | None) -> bytes:
    """Return an encoded value as it travels."""
    if content_type is None or content_type == serialization.JSON:
        return raw
    return bytes((_OTHER,)) + content_type.encode() + b"\n" + raw


def unpack(value: bytes) -> Any:
    """Return a value that travelled.

    Raises:
        DecodeError: it cannot be read here.
    """
    codec, raw = _split(value)
    return codec.decode(raw)


def check_signed(value: bytes) -> None:
    """Refuse a value that says of itself that nobody has signed it, where an app signs what its tasks return.

    Raises:
        SecurityError: with what to do.
    """
    if _split(value)[0].content_type != serialization.SIGNED:
        raise SecurityError(
            "a value on its way between two tasks is not signed, and result_serializer is 'auth': somebody has put it there, or "
            "a worker of this app has another result_serializer"
        )


def unpack_all(values: Iterable[bytes]) -> list[Any]:
    """Return values that travelled, in order; all that is JSON is read in one go."""
    given = list(values)
    if any(value[:1] == b"\x01" for value in given):
        return [unpack(value) for value in given]
    decoded: list[Any] = serialization.json.decode(b"[" + b",".join(given) + b"]")
    return decoded


def nest(flat: Iterable[Any], nested: Nesting) -> list[Any]:
    """Return values as they lie in lists, see `umbel.workflow.graph.Join`; what came later stands at the end."""
    values = iter(flat)
    return [*_nested(values, nested), *values]


def _nested(values: Iterator[Any], nested: Nesting) -> list[Any]:
    found: list[Any] = []
    for part in nested:
        if isinstance(part, list):
            found.append(_nested(values, part))
        else:
            found += islice(values, part)
    return found


def put_first(headers: dict[str, Any], body: bytes, value: bytes, conf: Settings | None) -> bytes:
    """Return the body of a message with a value in front of its arguments.

    Args:
        headers: of the message; what is said there of the body may change.
        body: as it is.
        value: that travelled.
        conf: the settings of the app that reads; None where there is none, and only the id of a failed task is put in front.

    Raises:
        EncodeError, DecodeError: the codec of the message cannot carry the value, or nothing can be read.
    """
    plain = "content_type" not in headers and "compression" not in headers
    if plain and value[:1] != b"\x01" and body.startswith(_EMPTY):
        rest = body[len(_EMPTY) :]
        return _EMPTY + value + (b"" if rest.startswith(b"]") else b",") + rest
    args, kwargs = bodies.unpacked(headers, body) if conf is None else bodies.read(conf, headers, body)
    return bodies.repacked(headers, ([unpack(value), *args], kwargs))


def _split(value: bytes) -> tuple[Codec, bytes]:
    if value[:1] != b"\x01":
        return serialization.json, value
    name, found, raw = value[1:].partition(b"\n")
    if not found:
        raise DecodeError("a value on its way between two tasks is cut short")
    return serialization.by_content_type(name.decode()), raw


def failure_note(record: bytes, message: bytes) -> bytes:
    """Return what errbacks are to know of a failure: its record, and the message that failed."""
    return orjson.dumps([len(record)]) + b"\n" + record + message


def read_failure(note: bytes) -> tuple[bytes, bytes]:
    """Return record and message of a failure.

    Raises:
        DecodeError: it cannot be read.
    """
    head, found, rest = note.partition(b"\n")
    try:
        size = int(orjson.loads(head)[0])
    except (orjson.JSONDecodeError, IndexError, TypeError, ValueError) as error:
        raise DecodeError(f"what was noted of a failure cannot be read: {error}") from error
    if not found or len(rest) < size:
        raise DecodeError("what was noted of a failure is cut short")
    return rest[:size], rest[size:]
