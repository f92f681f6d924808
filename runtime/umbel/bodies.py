"""The arguments of a call as bytes, and back: codec, compression, and what the app accepts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from umbel import serialization
from umbel.config import Settings
from umbel.errors import ContentDisallowed
from umbel.serialization.compression import compress, decompress

_json: Final = serialization.json.decode


class _Accepting(NamedTuple):
    """What an app accepts, computed once for each serial of its settings."""

    conf: Settings | None
    serial: int
    types: frozenset[str]
    json: bool


#: Of the app that read last. Replaced as a whole, so that threads need no lock.
_accepting = _Accepting(None, -1, frozenset(), False)


def accepted(conf: Settings) -> frozenset[str]:
    """Return the content types of messages that an app accepts.

    Raises:
        ImproperlyConfigured: ``accept_content`` names what no codec is called.
    """
    return _accepted(conf).types


def _accepted(conf: Settings) -> _Accepting:
    global _accepting
    there = _accepting
    if there.conf is conf and there.serial == conf.serial:
        return there
    serial = conf.serial  # first, since reading a setting may load a source, which raises it
    types = serialization.content_types(conf.accept_content)
    serialization.accept(types)
    _accepting = there = _Accepting(conf, serial, types, serialization.JSON in types)
    return there


def accepted_results(conf: Settings) -> frozenset[str]:
    """Return the content types of results that an app accepts: ``result_accept_content``, else those of messages."""
    if conf.result_accept_content is None:
        return accepted(conf)
    types = serialization.content_types(conf.result_accept_content)
    serialization.accept(types)
    return types


def read(conf: Settings, headers: Mapping[str, Any], raw: bytes) -> Any:
    """Return what the body of a message holds.

    Args:
        conf: the settings of the app that reads.
        headers: of the message; ``content_type``, ``compression`` and ``task`` count.
        raw: the body.

    Raises:
        ContentDisallowed: ``accept_content`` does not list what this is; nothing of it was read.
        SecurityError: it should be signed by somebody who is trusted, and is not.
        DecodeError: it cannot be read.
    """
    there = _accepted(conf)
    if "content_type" not in headers and "compression" not in headers and there.json:
        return _json(raw)
    content_type = headers.get("content_type", serialization.JSON)
    if content_type not in there.types:
        raise refused(content_type, conf.accept_content, "accept_content")
    decode = serialization.decoder(serialization.by_content_type(content_type), str(headers.get("task", "")))
    return decode(decompress(headers.get("compression"), raw))


def refused(content_type: str, listed: Any, setting: str) -> ContentDisallowed:
    """Return the error about content that is not accepted."""
    signed = f" {_UNSIGNED}" if serialization.AUTH in listed else ""
    return ContentDisallowed(
        f"content of type {content_type!r} is not accepted here: {setting} is {list(listed)!r}.{signed} Send it with a "
        "serializer that is listed, or add this one to the list, for all workers"
    )


_UNSIGNED: Final = "Only signed messages are taken (setup_security)."


def packed(headers: dict[str, Any], codec: serialization.Codec, call: Any, method: str | None) -> bytes:
    """Return the arguments of a call as a body, and write into the headers how they are to be read.

    Args:
        headers: with ``task``.
        codec: of the arguments.
        call: (args, kwargs).
        method: the compression, None for none.

    Raises:
        EncodeError: the codec cannot carry something in ``call``.
    """
    raw = serialization.encoder(codec, headers["task"])(call)
    headers.pop("content_type", None)
    headers.pop("compression", None)
    if codec.content_type != serialization.JSON:
        headers["content_type"] = codec.content_type
    if method is not None:
        raw, used = compress(method, raw)
        if used is not None:
            headers["compression"] = used
    return raw


def repacked(headers: dict[str, Any], call: Any) -> bytes:
    """Return other arguments as the body of the same message: same codec, same compression, signed anew."""
    codec = serialization.by_content_type(headers.get("content_type"))
    return packed(headers, codec, call, headers.get("compression"))


def read_result(conf: Settings, meta: Mapping[str, Any], raw: bytes) -> Any:
    """Return the value of a record.

    Args:
        conf: the settings of the app that reads.
        meta: of the record; ``content_type`` and ``compression`` count.
        raw: its value.

    Raises:
        ContentDisallowed: ``result_accept_content`` does not list what this is; nothing of it was read.
        SecurityError, DecodeError: see `read`.
    """
    content_type = meta.get("content_type")
    if content_type is not None and content_type not in accepted_results(conf):
        setting = "accept_content" if conf.result_accept_content is None else "result_accept_content"
        raise refused(content_type, conf[setting], setting)
    return serialization.by_content_type(content_type).decode(decompress(meta.get("compression"), raw))
