"""Compression of arguments and results: by name, with what is installed.

`compress` and `decompress` belong together; a message or record bears the name that `compress` returned.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final, NamedTuple

from umbel.errors import DecodeError, ImproperlyConfigured
from umbel.serialization import unpacking
from umbel.serialization.unpacking import Unpack
from umbel.settings import LARGEST

#: Bytes below which nothing is gained by compressing.
LEAST: Final = 128

#: Names that Celery's users know -> ours.
_NAMES: Final = {
    "zlib": "zlib",
    "gzip": "zlib",
    "bzip2": "bzip2",
    "bzip": "bzip2",
    "bz2": "bzip2",
    "lzma": "lzma",
    "xz": "lzma",
    "zstd": "zstd",
    "zstandard": "zstd",
    "brotli": "brotli",
}
#: ours -> modules that can do it, the first that is there, with what unpacks; and the extra that installs one.
_MODULES: Final[dict[str, tuple[dict[str, Callable[[Any], Unpack]], str]]] = {
    "zlib": ({"zlib": unpacking.zlib}, ""),
    "bzip2": ({"bz2": unpacking.bz2}, ""),
    "lzma": ({"lzma": unpacking.lzma}, ""),
    "zstd": ({"compression.zstd": unpacking.zstd, "zstandard": unpacking.zstandard}, "zstd"),
    "brotli": ({"brotli": unpacking.brotli, "brotlicffi": unpacking.brotli}, "brotli"),
}


class TooLarge(DecodeError):
    """What is compressed holds more than is to be unpacked."""


class _Method(NamedTuple):
    compress: Callable[[bytes], bytes]
    unpack: Unpack


def canonical(name: str) -> str:
    """Return the name of a method as messages bear it.

    Raises:
        ImproperlyConfigured: there is no such method, or what it needs is not installed.
    """
    known = _NAMES.get(name.lower())
    if known is None:
        raise ImproperlyConfigured(
            f"there is no compression {name!r}: give one of {', '.join(sorted(_MODULES))} (gzip, bz2 and xz are understood)"
        )
    _method(known)
    return known


def compress(name: str, raw: bytes) -> tuple[bytes, str | None]:
    """Return the bytes to send, and the name to send with them: None where they are not smaller compressed.

    Args:
        name: of the method, as settings and options give it.
        raw: what the codec wrote.

    Raises:
        ImproperlyConfigured: see `canonical`.
    """
    known = canonical(name)
    if len(raw) < LEAST:
        return raw, None
    packed = _method(known).compress(raw)
    return (packed, known) if len(packed) < len(raw) else (raw, None)


def decompress(name: str | None, raw: bytes, most: int = LARGEST) -> bytes:
    """Return what `compress` was given.

    Args:
        name: the one it returned.
        raw: the bytes it returned.
        most: bytes to unpack to.

    Raises:
        TooLarge: they hold more than that.
        DecodeError: these bytes are not of this method, or it is not installed here.
    """
    if name is None:
        return raw
    try:
        unpacked = _method(canonical(name)).unpack(raw, most)
    except ImproperlyConfigured as error:
        raise DecodeError(f"content that is compressed by {name!r} cannot be read here: {error}") from error
    except Exception as error:
        raise DecodeError(f"not valid for the compression {name!r}: {error!r}") from error
    if len(unpacked) > most:
        raise TooLarge(f"the contents of {len(raw):,} bytes, compressed by {name!r}, {too_large(most)}")
    return unpacked


def too_large(most: int) -> str:
    """Return how an error ends that tells of too many bytes."""
    return (
        f"are more than the {most:,} bytes that decompressed_max_size allows: raise this setting, in workers and clients, if "
        "it was meant; better pass the name of a file than its content"
    )


@lru_cache(maxsize=16)
def _method(known: str) -> _Method:
    modules, extra = _MODULES[known]
    for name, unpack in modules.items():
        try:
            module: Any = importlib.import_module(name)
        except ImportError:
            continue
        pack = _zstandard(module) if name == "zstandard" else module.compress
        return _Method(pack, unpack(module))
    raise ImproperlyConfigured(
        f"the compression {known!r} is not installed here: "
        + (f"pip install 'umbel[{extra}]'" if extra else "this Python was built without it")
    )


def _zstandard(module: Any) -> Callable[[bytes], bytes]:
    def compress(raw: bytes) -> bytes:  # by an object of its own: threads must not share one
        packed: bytes = module.ZstdCompressor().compress(raw)
        return packed

    return compress
