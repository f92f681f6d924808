"""MessagePack: smaller than JSON where bytes travel, which it carries as they are; all else as the markers of JSON do."""

from __future__ import annotations

from typing import Any, Final

from umbel.errors import DecodeError, EncodeError, ImproperlyConfigured
from umbel.serialization.markers import mark, marker_of, unmark

try:
    import msgpack
except ImportError as error:
    raise ImproperlyConfigured("the serializer 'msgpack' needs msgpack: pip install 'umbel[msgpack]'") from error

_TYPE: Final = b"__type__"
_KEYS: Final = frozenset({str, int, bool, bytes, type(None)})


class MessagePackCodec:
    """See the module."""

    name: Final = "msgpack"
    content_type: Final = "application/x-msgpack"

    def encode(self, obj: Any) -> bytes:
        """Return ``obj`` as MessagePack.

        Raises:
            EncodeError: something in it cannot be carried; ``path`` leads there.
        """
        marked = 0

        def plain(value: Any) -> Any:
            nonlocal marked
            if type(value) is tuple:
                return list(value)
            marked += 1
            return marker_of(value)

        try:
            raw: bytes = msgpack.packb(obj, default=plain, strict_types=True)
        except (TypeError, ValueError, OverflowError):
            return _closely(obj)
        # What was marked may have stood where only a key can; and a dict of the user's may look like a marker.
        return raw if raw.count(_TYPE) == marked and _has_plain_keys(obj) else _closely(obj)

    def decode(self, raw: bytes) -> Any:
        """Return what `encode` was given, tuples as lists.

        Raises:
            DecodeError: it is not MessagePack, or a marker in it cannot be read.
        """
        try:
            obj = msgpack.unpackb(raw, strict_map_key=False)
        except Exception as error:
            raise DecodeError(f"not valid MessagePack: {error!r}") from error
        return unmark(obj) if _TYPE in raw else obj


def _has_plain_keys(obj: Any) -> bool:
    kind = type(obj)
    if kind is dict:
        return all(type(key) in _KEYS and _has_plain_keys(item) for key, item in obj.items())
    return (kind is not list and kind is not tuple) or all(_has_plain_keys(item) for item in obj)


def _closely(obj: Any) -> bytes:
    """Return ``obj`` after the walk of JSON, which says where the fault is; bytes are text then."""
    marked = mark(obj)
    try:
        packed: bytes = msgpack.packb(marked)
    except (TypeError, ValueError, OverflowError) as error:
        raise EncodeError(f"the value cannot be carried by MessagePack: {error}") from error
    return packed


codec: Final = MessagePackCodec()
