"""Signed messages: the codec ``auth`` puts the signer's certificate id and a signature in front of what another codec wrote.

============ ===== ====================================================================
offset       bytes what
============ ===== ====================================================================
0            4     ``UMS2``
4            2+n   id of the signer's certificate: issuer and serial number
             2+n   what it was signed for, a JSON object: see `about_call`, `about_result`
             2+n   content type of what follows
             2+n   the signature, over all of this but itself
                   what the other codec wrote; of a message's arguments, compressed
============ ===== ====================================================================

Lengths are big-endian. What it was signed for is signed too: arguments cannot be moved to another call, nor the headers changed
that say what is done with them, nor a result be handed on as that of another task.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import orjson

from umbel.errors import DecodeError, EncodeError, SecurityError
from umbel.serialization import AUTH, SIGNED, by_content_type

if TYPE_CHECKING:
    from umbel.security.keys import CertificateStore, PrivateKey
    from umbel.serialization import Codec

MAGIC: Final = b"UMS2"
_LENGTH: Final = struct.Struct(">H")

#: The headers of a message that are signed besides ``id`` and ``task``. All others may change on the way, or are nobody's to trust:
#: the count of retries, the delay, where the answer goes, the run of a schedule, the lock, the group, the trace.
BOUND: Final = (
    "compression",
    "expires",
    "group_id",
    "group_index",
    "headers",
    "parent_id",
    "root_id",
    "stamps",
    "timelimit",
    "w",
)
#: Among them, what is written on the way: into the user's headers where a dead letter is forwarded, and into the place in a
#: workflow what an errback is told of.
_LATER: Final = {"headers": "dead_letter", "w": "e"}

About = Mapping[str, Any]


def about_call(headers: Mapping[str, Any]) -> About:
    """Return what the arguments of a message are signed for: its id, its task, and a digest of the headers in `BOUND`.

    Raises:
        EncodeError: JSON cannot carry the headers.
    """
    bound = {}
    for name in BOUND:
        value = headers.get(name)
        later = _LATER.get(name)
        if later is not None and isinstance(value, Mapping):
            value = {key: held for key, held in value.items() if key != later}
        if value is not None and value != {}:
            bound[name] = value
    try:
        whole = orjson.dumps(bound, option=orjson.OPT_SORT_KEYS)
    except orjson.JSONEncodeError as error:
        raise EncodeError(
            f"{headers['task']}: headers={headers.get('headers')!r} cannot be carried ({error}); "
            "headers take text, numbers, lists and dicts"
        ) from error
    return {"id": headers["id"], "task": headers["task"], "bound": hashlib.sha256(whole).hexdigest()}


def about_result(task_id: str) -> About:
    """Return what a result is signed for: the id of its task, empty for a value that has none."""
    return {"result": task_id}


@dataclass(frozen=True, slots=True)
class SigningCodec:
    """Signs with one key, and reads what the holders of the store's certificates signed.

    Args:
        inner: what encodes the objects.
        key: that signs, with its certificate's id.
        signer: that id.
        store: of the certificates that are trusted.
    """

    inner: Codec
    key: PrivateKey
    signer: str
    store: CertificateStore
    name: str = AUTH
    content_type: str = SIGNED

    def encode(self, obj: Any) -> bytes:
        """Return an object, signed, that is no call's arguments and no task's result.

        Raises:
            EncodeError: the inner codec cannot carry it.
        """
        return self.encode_result("", obj)

    def decode(self, raw: bytes) -> Any:
        """Return what `encode` or `encode_result` was given, whatever task it is the result of.

        Raises:
            SecurityError: nobody who is trusted has signed this, or it was signed as arguments.
            DecodeError: it was signed, and cannot be read.
        """
        about, content_type, content = self._opened(raw)
        if "result" not in about:
            raise SecurityError(f"a result holds what was signed as {_shown(about)}: somebody has put it there")
        return by_content_type(content_type).decode(content)

    def encode_result(self, task_id: str, obj: Any) -> bytes:
        """Return the result of a task, signed; raises as `encode`."""
        return self._sealed(about_result(task_id), self.inner.content_type, self.inner.encode(obj))

    def decode_result(self, task_id: str, raw: bytes) -> Any:
        """Return the result of a task; raises as `decode`, and if it is another task's."""
        content_type, content = self._checked(about_result(task_id), raw)
        return by_content_type(content_type).decode(content)

    def seal(self, headers: Mapping[str, Any], content: bytes) -> bytes:
        """Return the arguments of a message, which the inner codec wrote, signed for that message."""
        return self._sealed(about_call(headers), self.inner.content_type, content)

    def open(self, headers: Mapping[str, Any], raw: bytes) -> tuple[str, bytes]:
        """Return the content type of what a message holds, and that.

        Raises:
            SecurityError: nobody who is trusted has signed this, or it was signed for another message.
            DecodeError: it is cut short.
        """
        return self._checked(about_call(headers), raw)

    def reseal(self, headers: Mapping[str, Any], raw: bytes) -> bytes:
        """Sign the arguments of a message anew, whose headers this process has changed. It must have been opened here, or made."""
        *_, content_type, _, content = _split(raw)
        return self._sealed(about_call(headers), content_type, content)

    def _sealed(self, about: About, content_type: str, content: bytes) -> bytes:
        named = MAGIC + _field(self.signer.encode()) + _field(orjson.dumps(about)) + _field(content_type.encode())
        return named + _field(self.key.sign(named + content)) + content

    def _opened(self, raw: bytes) -> tuple[About, str, bytes]:
        named, signer, about, content_type, signature, content = _split(raw)
        self.store.verify(signer, signature, named + content)
        return about, content_type, content

    def _checked(self, wanted: About, raw: bytes) -> tuple[str, bytes]:
        about, content_type, content = self._opened(raw)
        if about == wanted:
            return content_type, content
        if {**about, "bound": ""} == {**wanted, "bound": ""}:
            raise SecurityError(
                f"headers of {_shown(wanted)} were changed after it was signed, one of {', '.join(BOUND)}: it is refused"
            )
        raise SecurityError(
            f"{_shown(wanted)} holds what was signed for {_shown(about)}: somebody has put it there; it is refused"
        )


def _shown(about: About) -> str:
    if "result" in about:
        return f"the result of {about['result'] or 'no task'}"
    return f"{about.get('task')!r}[{about.get('id')}]"


def _field(content: bytes) -> bytes:
    return _LENGTH.pack(len(content)) + content


def _split(raw: bytes) -> tuple[bytes, str, About, str, bytes, bytes]:
    """Return what was signed before the content, then signer, what it was signed for, content type, signature and content."""
    if raw[:4] != MAGIC:
        raise SecurityError("a message that says it is signed does not begin as signed ones do: it is refused")
    fields, at, ends = [], len(MAGIC), []
    try:
        for _ in range(4):
            (length,) = _LENGTH.unpack_from(raw, at)
            at += _LENGTH.size + length
            fields.append(raw[at - length : at])
            ends.append(at)
        if at > len(raw):
            raise DecodeError("a signed message is cut short")
        about = orjson.loads(fields[1])
        if not isinstance(about, dict):
            raise DecodeError(f"a signed message says that it was signed for {about!r}, which is no JSON object")
        signer, content_type = fields[0].decode(), fields[2].decode()
    except (struct.error, ValueError) as error:
        raise DecodeError(f"a signed message cannot be read: {error}") from error
    return raw[: ends[2]], signer, about, content_type, fields[3], raw[at:]
