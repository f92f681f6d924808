"""Codecs: how arguments and results become bytes.

A codec has a name (the value of ``task_serializer``) and a content type (what a message bears when it is not JSON).
"""

from __future__ import annotations

from typing import Any, Protocol

from umbel.errors import DecodeError, ImproperlyConfigured
from umbel.serialization.json import CONTENT_TYPE as JSON
from umbel.serialization.json import JSONCodec
from umbel.serialization.markers import register_type

__all__ = ["JSON", "Codec", "by_content_type", "by_name", "json", "register", "register_type"]


class Codec(Protocol):
    """Turns plain Python objects into bytes and back."""

    @property
    def name(self) -> str:
        """The name in ``task_serializer``."""

    @property
    def content_type(self) -> str:
        """What messages and records bear."""

    def encode(self, obj: Any) -> bytes:
        """Return the bytes.

        Raises:
            EncodeError: something in ``obj`` cannot be carried; its ``path`` leads there.
        """

    def decode(self, raw: bytes) -> Any:
        """Return the object.

        Raises:
            DecodeError: these bytes are not of this codec.
        """


json = JSONCodec()
_BY_NAME: dict[str, Codec] = {json.name: json}
_BY_CONTENT_TYPE: dict[str, Codec] = {json.content_type: json}


def register(codec: Codec) -> None:
    """Add a codec, or replace the one of the same name; workers and producers both have to do so."""
    _BY_NAME[codec.name] = codec
    _BY_CONTENT_TYPE[codec.content_type] = codec


def by_name(name: str) -> Codec:
    """Return the codec of a ``task_serializer`` value."""
    try:
        return _BY_NAME[name]
    except KeyError:
        known = ", ".join(sorted(_BY_NAME))
        raise ImproperlyConfigured(
            f"no serializer is called {name!r} (known: {known}); register a codec with umbel.serialization.register()"
        ) from None


def by_content_type(content_type: str | None) -> Codec:
    """Return the codec of a message or record; None stands for JSON."""
    if content_type is None:
        return json
    try:
        return _BY_CONTENT_TYPE[content_type]
    except KeyError:
        raise DecodeError(
            f"content of type {content_type!r} cannot be read here (known: {', '.join(sorted(_BY_CONTENT_TYPE))}); "
            "register its codec with umbel.serialization.register() in this process too"
        ) from None
