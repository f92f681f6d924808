"""Codecs: how arguments and results become bytes.

A codec has a name (the value of ``task_serializer``) and a content type (what a message bears when it is not JSON).
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Protocol, TypeGuard

from umbel.errors import ContentDisallowed, DecodeError, ImproperlyConfigured
from umbel.serialization.custom import FunctionCodec
from umbel.serialization.json import CONTENT_TYPE as JSON
from umbel.serialization.json import JSONCodec
from umbel.serialization.markers import register_type

__all__ = [
    "JSON",
    "PICKLE",
    "Codec",
    "accept",
    "by_content_type",
    "by_name",
    "content_types",
    "json",
    "register",
    "register_type",
    "signs",
]

#: The content type of pickle: reading it runs whatever code its writer chose.
PICKLE: Final = "application/x-python-serialize"
#: The name of the codec that signs, and its content type; `umbel.serialization.signing` makes it.
AUTH: Final = "auth"
SIGNED: Final = "application/data"


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


class Signing(Codec, Protocol):
    """A codec that signs: see `umbel.serialization.signing.SigningCodec`."""

    @property
    def inner(self) -> Codec: ...
    def encode_result(self, task_id: str, obj: Any) -> bytes: ...
    def decode_result(self, task_id: str, raw: bytes) -> Any: ...
    def seal(self, headers: Mapping[str, Any], content: bytes) -> bytes: ...
    def open(self, headers: Mapping[str, Any], raw: bytes) -> tuple[str, bytes]: ...
    def reseal(self, headers: Mapping[str, Any], raw: bytes) -> bytes: ...


def signs(codec: Codec) -> TypeGuard[Signing]:
    """Tell whether a codec signs."""
    return codec.content_type == SIGNED


json = JSONCodec()
#: Codecs that are imported when they are asked for: name -> content type. The module is called as the codec is.
_LATER: Final = {"msgpack": "application/x-msgpack", "yaml": "application/x-yaml", "pickle": PICKLE}
_BY_NAME: dict[str, Codec] = {json.name: json}
_BY_CONTENT_TYPE: dict[str, Codec] = {json.content_type: json}
#: Whether an app of this process accepts pickle. Until then nothing here reads any, whoever asks.
_reads_pickle: list[bool] = []


def register(
    codec: Codec | str,
    encoder: Callable[[Any], bytes | str] | None = None,
    decoder: Callable[[Any], Any] | None = None,
    content_type: str = "",
    content_encoding: str = "utf-8",
) -> None:
    """Add a codec, or replace the one of the same name; workers and producers both have to do so.

    Args:
        codec: an object as `Codec` describes it, or the name of a codec that the other arguments make.
        encoder: returns the bytes, or text.
        decoder: returns the object; it gets text, or bytes where ``content_encoding`` is ``"binary"``.
        content_type: what messages bear.
        content_encoding: of text.

    Workers accept its messages once ``accept_content`` names it.
    """
    if isinstance(codec, str):
        if encoder is None or decoder is None or not content_type:
            raise TypeError(f"register({codec!r}) needs an encoder, a decoder and a content_type")
        codec = FunctionCodec(codec, encoder, decoder, content_type, content_encoding)
    _BY_NAME[codec.name] = codec
    _BY_CONTENT_TYPE[codec.content_type] = codec


def by_name(name: str) -> Codec:
    """Return the codec of a ``task_serializer`` value."""
    codec = _BY_NAME.get(name)
    if codec is not None:
        return codec
    if name in _LATER:
        return _load(name)
    if name == AUTH:
        raise ImproperlyConfigured("the serializer 'auth' signs messages: call app.setup_security() first")
    known = ", ".join(sorted({*_BY_NAME, *_LATER}))
    raise ImproperlyConfigured(
        f"no serializer is called {name!r} (known: {known}); register a codec with umbel.serialization.register()"
    )


def _load(name: str) -> Codec:
    codec: Codec = importlib.import_module(f"umbel.serialization.{name}").codec
    register(codec)
    return codec


def by_content_type(content_type: str | None) -> Codec:
    """Return the codec of a message or record; None stands for JSON.

    Raises:
        ContentDisallowed: it is pickle, and no app of this process accepts that.
        DecodeError: no codec of this process reads it.
    """
    if content_type is None:
        return json
    if content_type == PICKLE and not _reads_pickle:
        raise ContentDisallowed(
            "content of type 'application/x-python-serialize' (pickle) is refused, since reading it would run whatever "
            "code it brings: add 'pickle' to accept_content if nobody but you can write to the broker"
        )
    codec = _BY_CONTENT_TYPE.get(content_type)
    if codec is not None:
        return codec
    for name, known in _LATER.items():
        if known == content_type:
            return _load(name)
    if content_type == SIGNED:
        raise DecodeError(
            "signed content can be read only where app.setup_security() has been called, with keys: call it here"
        )
    known_types = ", ".join(sorted({*_BY_CONTENT_TYPE, *_LATER.values()}))
    raise DecodeError(
        f"content of type {content_type!r} cannot be read here (known: {known_types}); "
        "register its codec with umbel.serialization.register() in this process too"
    )


def content_types(names: Iterable[str]) -> frozenset[str]:
    """Return the content types that ``accept_content`` means, which lists names or content types.

    Raises:
        ImproperlyConfigured: a name that no codec has.
    """
    return frozenset(name if "/" in name else _content_type(name) for name in names)


def _content_type(name: str) -> str:
    if name in _LATER:
        return _LATER[name]
    return SIGNED if name == AUTH else by_name(name).content_type


def accept(types: frozenset[str]) -> None:
    """Take note that an app of this process accepts these content types."""
    if PICKLE in types and not _reads_pickle:
        _reads_pickle.append(True)
