"""JSON by orjson, without its silent changes.

orjson writes NaN as null and UUIDs as text without asking. So what it wrote is trusted only if it holds neither ``null``,
nor the look of a UUID, nor our own marker; else, and when it refuses, the slower walk of `markers` looks at each value.
"""

from __future__ import annotations

import re
from typing import Any, Final

import orjson

from umbel.errors import DecodeError, EncodeError
from umbel.serialization.markers import is_plain, mark, unmark

CONTENT_TYPE: Final = "application/json"

_OPTIONS: Final = orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_SUBCLASS | orjson.OPT_PASSTHROUGH_DATACLASS
_looks_like_uuid: Final = re.compile(rb'"[0-9a-f]{8}-[0-9a-f]{4}-').search
_dumps: Final = orjson.dumps
_loads: Final = orjson.loads


class JSONCodec:
    """The default codec. What JSON has no word for travels as a marker, see `umbel.serialization.markers`."""

    name: Final = "json"
    content_type: Final = CONTENT_TYPE

    def encode(self, obj: Any) -> bytes:
        """Return ``obj`` as JSON.

        Raises:
            EncodeError: something in it cannot be carried; ``path`` leads there.
        """
        if obj is None:
            return b"null"
        try:
            raw = _dumps(obj, None, _OPTIONS)
        except orjson.JSONEncodeError:
            return _closely(obj)
        if b"null" in raw or b"__type__" in raw or (b"-" in raw and _looks_like_uuid(raw)):
            return raw if is_plain(obj) else _closely(obj)
        return raw

    def decode(self, raw: bytes) -> Any:
        """Return what `encode` was given, tuples as lists.

        Raises:
            DecodeError: it is not JSON, or a marker in it cannot be read.
        """
        try:
            obj = _loads(raw)
        except orjson.JSONDecodeError as error:
            raise DecodeError(f"not valid JSON: {error}") from error
        return unmark(obj) if b'"__type__"' in raw else obj


def _closely(obj: Any) -> bytes:
    marked = mark(obj)
    try:
        return _dumps(marked, None, _OPTIONS)
    except orjson.JSONEncodeError as error:
        raise EncodeError(f"the value cannot be carried by JSON: {error}") from error
