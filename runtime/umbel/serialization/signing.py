"""Signed messages: the codec ``auth`` wraps what another codec wrote with the signer's certificate id and a signature.

============ ===== ====================================================================
offset       bytes what
============ ===== ====================================================================
0            4     ``UMS1``
4            2+n   id of the signer's certificate: issuer and serial number
             2+n   name of the task that the arguments are for; empty for a result
             2+n   content type of what is wrapped
             2+n   the signature, over all of this but itself
                   what is wrapped
============ ===== ====================================================================

Lengths are big-endian. The task's name is signed too, so arguments that were signed for one task cannot be handed to another.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from umbel.errors import DecodeError, SecurityError
from umbel.serialization import AUTH, SIGNED, by_content_type

if TYPE_CHECKING:
    from umbel.security.keys import CertificateStore, PrivateKey
    from umbel.serialization import Codec

MAGIC: Final = b"UMS1"
_LENGTH: Final = struct.Struct(">H")


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
        """Return an object, signed, that is no task's arguments: a result.

        Raises:
            EncodeError: the wrapped codec cannot carry it.
        """
        return self._sign("", obj)

    def decode(self, raw: bytes) -> Any:
        """Return what `encode` was given.

        Raises:
            SecurityError: nobody who is trusted has signed this.
            DecodeError: it was signed, and cannot be read.
        """
        return self._verify("", raw)

    def encode_for(self, task: str) -> Callable[[Any], bytes]:
        """Return what signs the arguments of a task's calls."""
        return lambda obj: self._sign(task, obj)

    def decode_for(self, task: str) -> Callable[[bytes], Any]:
        """Return what reads the arguments of a task's calls; raises as `decode`."""
        return lambda raw: self._verify(task, raw)

    def _sign(self, task: str, obj: Any) -> bytes:
        wrapped = self.inner.encode(obj)
        named = MAGIC + _field(self.signer.encode()) + _field(task.encode()) + _field(self.inner.content_type.encode())
        return named + _field(self.key.sign(named + wrapped)) + wrapped

    def _verify(self, task: str, raw: bytes) -> Any:
        named, signer, signed_for, content_type, signature, wrapped = _split(raw)
        self.store.verify(signer, signature, named + wrapped)
        if signed_for != task:
            raise SecurityError(
                f"a message for {task or 'a result'!r} holds what {signer} signed for {signed_for or 'a result'!r}: "
                "somebody has put it there; it is refused"
            )
        return by_content_type(content_type).decode(wrapped)


def _field(content: bytes) -> bytes:
    return _LENGTH.pack(len(content)) + content


def _split(raw: bytes) -> tuple[bytes, str, str, str, bytes, bytes]:
    """Return what was signed before the content, then signer, task, content type, signature and content."""
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
        signer, task, content_type = (field.decode() for field in fields[:3])
    except (struct.error, UnicodeDecodeError) as error:
        raise DecodeError(f"a signed message cannot be read: {error}") from error
    return raw[: ends[2]], signer, task, content_type, fields[3], raw[at:]
