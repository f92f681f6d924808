"""A codec of two functions, as ``kombu.serialization.register`` takes them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from umbel.errors import DecodeError, EncodeError

_BINARY: Final = frozenset({"binary", "ascii-8bit"})


@dataclass(frozen=True, slots=True)
class FunctionCodec:
    """See `umbel.serialization.register`."""

    name: str
    encoder: Callable[[Any], bytes | str]
    decoder: Callable[[Any], Any]
    content_type: str
    content_encoding: str = "utf-8"

    def encode(self, obj: Any) -> bytes:
        """Return the bytes of an object.

        Raises:
            EncodeError: the function raised, whatever it was.
        """
        try:
            raw = self.encoder(obj)
        except EncodeError:
            raise
        except Exception as error:
            reason = f"cannot be carried by the serializer {self.name!r}: {error!r}"
            raise EncodeError(f"the value {reason}", (), reason) from error
        return raw.encode(self._charset) if isinstance(raw, str) else bytes(raw)

    def decode(self, raw: bytes) -> Any:
        """Return the object.

        Raises:
            DecodeError: the function raised, whatever it was.
        """
        try:
            return self.decoder(raw if self.content_encoding in _BINARY else raw.decode(self._charset))
        except Exception as error:
            raise DecodeError(f"not valid for the serializer {self.name!r}: {error!r}") from error

    @property
    def _charset(self) -> str:
        return "utf-8" if self.content_encoding in _BINARY else self.content_encoding
