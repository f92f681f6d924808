"""Compression of arguments and results: by name, with what is installed.

`compress` and `decompress` belong together; a message or record bears the name that `compress` returned.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Final, NamedTuple

from umbel.errors import DecodeError, ImproperlyConfigured

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
#: ours -> modules that can do it, the first that is there; and the extra that installs one.
_MODULES: Final = {
    "zlib": (("zlib",), ""),
    "bzip2": (("bz2",), ""),
    "lzma": (("lzma",), ""),
    "zstd": (("compression.zstd", "zstandard"), "zstd"),
    "brotli": (("brotli", "brotlicffi"), "brotli"),
}


class _Method(NamedTuple):
    compress: Callable[[bytes], bytes]
    decompress: Callable[[bytes], bytes]


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


def decompress(name: str | None, raw: bytes) -> bytes:
    """Return what `compress` was given; ``name`` is the one it returned.

    Raises:
        DecodeError: these bytes are not of this method, or it is not installed here.
    """
    if name is None:
        return raw
    try:
        return _method(canonical(name)).decompress(raw)
    except ImproperlyConfigured as error:
        raise DecodeError(f"content that is compressed by {name!r} cannot be read here: {error}") from error
    except Exception as error:
        raise DecodeError(f"not valid for the compression {name!r}: {error!r}") from error


@lru_cache(maxsize=16)
def _method(known: str) -> _Method:
    modules, extra = _MODULES[known]
    for name in modules:
        try:
            module: Any = importlib.import_module(name)
        except ImportError:
            continue
        if name == "zstandard":  # its objects must not be shared by threads
            return _zstandard(module)
        return _Method(module.compress, module.decompress)
    raise ImproperlyConfigured(
        f"the compression {known!r} is not installed here: "
        + (f"pip install 'umbel[{extra}]'" if extra else "this Python was built without it")
    )


def _zstandard(module: Any) -> _Method:
    def compress(raw: bytes) -> bytes:
        packed: bytes = module.ZstdCompressor().compress(raw)
        return packed

    def decompress(raw: bytes) -> bytes:
        whole: bytes = module.ZstdDecompressor().decompressobj().decompress(raw)
        return whole

    return _Method(compress, decompress)
