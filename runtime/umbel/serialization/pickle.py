"""Pickle: carries nearly everything, and runs whatever code its writer chose. Read only where ``accept_content`` says so."""

from __future__ import annotations

import pickle
from typing import Any, Final

from umbel.errors import DecodeError, EncodeError

#: Protocol 5 is that of Python 3.8 and later.
_PROTOCOL: Final = 5


class PickleCodec:
    """See the module."""

    name: Final = "pickle"
    content_type: Final = "application/x-python-serialize"

    def encode(self, obj: Any) -> bytes:
        """Return ``obj`` as a pickle.

        Raises:
            EncodeError: something in it cannot be pickled.
        """
        try:
            return pickle.dumps(obj, _PROTOCOL)
        except Exception as error:
            reason = f"cannot be pickled: {error}"
            raise EncodeError(f"the value {reason}", _path(obj), reason) from error

    def decode(self, raw: bytes) -> Any:
        """Return the object.

        Raises:
            DecodeError: it is no pickle, or what it needs cannot be imported here.
        """
        try:
            return pickle.loads(raw)
        except Exception as error:
            raise DecodeError(f"a pickle that cannot be read here: {error!r}") from error


def _path(obj: Any) -> tuple[object, ...]:
    """Return the keys and positions that lead to what cannot be pickled, as far as lists and dicts go."""
    inner = obj.items() if isinstance(obj, dict) else enumerate(obj) if isinstance(obj, (list, tuple)) else ()
    for key, item in inner:
        try:
            pickle.dumps(item, _PROTOCOL)
        except Exception:
            return (key, *_path(item))
    return ()


codec: Final = PickleCodec()
