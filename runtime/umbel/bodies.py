"""The arguments of a call as bytes, and back: codec, compression, and what the app accepts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from umbel import serialization
from umbel.config import Settings
from umbel.errors import ContentDisallowed, EncodeError, InvalidTaskError
from umbel.serialization.compression import compress, decompress, too_large
from umbel.settings import LARGEST

if TYPE_CHECKING:
    from umbel.message import Message

_json: Final = serialization.json.decode


class _Accepting(NamedTuple):
    """What an app accepts, computed once for each serial of its settings."""

    conf: Settings | None
    serial: int
    types: frozenset[str]
    json: bool
    #: Of results; and whether one may be JSON: always, unless the app signs its results, or has listed others only.
    results: frozenset[str]
    json_results: bool


#: Of the app that read last. Replaced as a whole, so that threads need no lock.
_accepting = _Accepting(None, -1, frozenset(), False, frozenset(), True)


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
    listed = conf.result_accept_content
    results = types if listed is None else serialization.content_types(listed)
    serialization.accept(types | results)
    strict = listed is not None or conf.result_serializer == serialization.AUTH
    json_results = not strict or serialization.JSON in results
    _accepting = there = _Accepting(conf, serial, types, serialization.JSON in types, results, json_results)
    return there


def accepts_json_results(conf: Settings) -> bool:
    """Tell whether the value of a record may be JSON that nobody has signed."""
    return _accepted(conf).json_results


def signs_results(conf: Settings) -> bool:
    """Tell whether what tasks return is signed, so that nothing else may stand for it."""
    return bool(conf.result_serializer == serialization.AUTH)


def read(conf: Settings, headers: Mapping[str, Any], raw: bytes) -> Any:
    """Return what the body of a message holds.

    Args:
        conf: the settings of the app that reads.
        headers: of the message; ``content_type`` and ``compression`` count, and where it is signed all that was signed.
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
    return unpacked(headers, raw, conf.decompressed_max_size)


def unpacked(headers: Mapping[str, Any], raw: bytes, most: int = LARGEST) -> Any:
    """Return what the body of a message holds, of whatever content type; raises as `read`.

    Args:
        headers, raw: see there.
        most: bytes that compressed arguments may unpack to.
    """
    codec = serialization.by_content_type(headers.get("content_type"))
    if serialization.signs(codec):  # what nobody has signed who is trusted is not even unpacked
        content_type, raw = codec.open(headers, raw)
        codec = serialization.by_content_type(content_type)
    return codec.decode(decompress(headers.get("compression"), raw, most))


def arguments(conf: Settings, headers: Mapping[str, Any], raw: bytes) -> tuple[list[Any], dict[str, Any]]:
    """Return the arguments that the body of a message holds; see `read`.

    Raises:
        InvalidTaskError: it holds something else.
    """
    body = read(conf, headers, raw)
    if type(body) is list and len(body) == 2 and type(body[0]) is list and type(body[1]) is dict:
        return body[0], body[1]
    if isinstance(body, tuple) and len(body) == 2 and isinstance(body[0], (list, tuple)) and isinstance(body[1], dict):
        return list(body[0]), body[1]  # of a codec that keeps tuples
    raise InvalidTaskError(
        "the body of a message must hold [args, kwargs]: a list of arguments and a dict of named ones"
    )


def refused(content_type: str, listed: Any, setting: str) -> ContentDisallowed:
    """Return the error about content that is not accepted."""
    signed = f" {_UNSIGNED}" if serialization.AUTH in listed else ""
    return ContentDisallowed(
        f"content of type {content_type!r} is not accepted here: {setting} is {list(listed)!r}.{signed} Send it with a "
        "serializer that is listed, or add this one to the list, for all workers"
    )


_UNSIGNED: Final = "Only signed messages are taken (setup_security)."


class Unsealed(bytes):
    """A body that is to be signed once the headers of its message are complete."""


def packed(
    headers: dict[str, Any], codec: serialization.Codec, call: Any, method: str | None, most: int = LARGEST
) -> bytes:
    """Return the arguments of a call as a body, and write into the headers how they are to be read.

    Args:
        headers: of the message; they need not be complete yet.
        codec: of the arguments.
        call: (args, kwargs).
        method: the compression, None for none.
        most: bytes that compressed arguments may take before that: workers refuse more.

    Returns: the body; `Unsealed` where the codec signs: give the message to `seal` before it goes anywhere.

    Raises:
        EncodeError: the codec cannot carry something in ``call``, or it is too large.
    """
    signs = serialization.signs(codec)
    raw = (codec.inner if serialization.signs(codec) else codec).encode(call)
    headers.pop("content_type", None)
    headers.pop("compression", None)
    if codec.content_type != serialization.JSON:
        headers["content_type"] = codec.content_type
    if method is not None:
        size = len(raw)
        raw, used = compress(method, raw)
        if used is not None and size > most:
            raise EncodeError(f"takes, with the others, {size:,} bytes, which {too_large(most)}")
        if used is not None:
            headers["compression"] = used
    return Unsealed(raw) if signs else raw


def seal(message: Message) -> None:
    """Sign the body of a message that was made here, if its codec signs and that is not done yet.

    Its headers must not change any more, but for those that are not signed.
    """
    if type(message.body) is Unsealed:
        message.body = _signing(message.headers).seal(message.headers, bytes(message.body))


def resealed(headers: Mapping[str, Any], body: bytes) -> bytes:
    """Return the body of a message whose headers have changed here: signed anew, if it is signed.

    Only for what was made here, or has been read here with the headers that it had.
    """
    if headers.get("content_type") != serialization.SIGNED or type(body) is Unsealed:
        return body
    return _signing(headers).reseal(headers, body)


def repacked(headers: dict[str, Any], call: Any) -> bytes:
    """Return other arguments as the body of the same message: same codec, same compression, signed anew."""
    codec = serialization.by_content_type(headers.get("content_type"))
    body = packed(headers, codec, call, headers.get("compression"))
    return _signing(headers).seal(headers, bytes(body)) if type(body) is Unsealed else body


def _signing(headers: Mapping[str, Any]) -> serialization.Signing:
    codec = serialization.by_content_type(headers["content_type"])
    assert serialization.signs(codec)
    return codec


def read_result(conf: Settings, meta: Mapping[str, Any], raw: bytes, task_id: str) -> Any:
    """Return the value of a record.

    Args:
        conf: the settings of the app that reads.
        meta: of the record; ``content_type`` and ``compression`` count.
        raw: its value.
        task_id: whose record it is.

    Raises:
        ContentDisallowed: ``result_accept_content`` does not list what this is; nothing of it was read.
        SecurityError, DecodeError: see `read`.
    """
    content_type, there = meta.get("content_type", serialization.JSON), _accepted(conf)
    if not (there.json_results if content_type == serialization.JSON else content_type in there.results):
        setting = "accept_content" if conf.result_accept_content is None else "result_accept_content"
        raise refused(content_type, conf[setting], setting)
    codec = serialization.by_content_type(content_type)
    content = decompress(meta.get("compression"), raw, conf.decompressed_max_size)
    return codec.decode_result(task_id, content) if serialization.signs(codec) else codec.decode(content)
