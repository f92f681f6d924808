"""Compression by name, with what is installed."""

from __future__ import annotations

import os
import sys

import pytest

from umbel.errors import DecodeError, ImproperlyConfigured
from umbel.serialization import compression
from umbel.serialization.compression import compress, decompress

METHODS = ("zlib", "bzip2", "lzma", "zstd", "brotli")


@pytest.mark.parametrize("name", [*METHODS, "gzip", "bz2", "xz", "zstandard"])
def test_what_is_compressed_comes_back(name: str) -> None:
    raw = b"umbel " * 10_000
    packed, used = compress(name, raw)
    assert used in METHODS
    assert len(packed) < len(raw) / 10
    assert decompress(used, packed) == raw


@pytest.mark.parametrize("name", METHODS)
def test_what_would_not_shrink_goes_as_it_is(name: str) -> None:
    assert compress(name, b"short") == (b"short", None)
    noise = os.urandom(4096)
    assert compress(name, noise) == (noise, None)
    assert decompress(None, noise) == noise


@pytest.mark.parametrize("name", METHODS)
def test_rubbish_is_a_decode_error(name: str) -> None:
    with pytest.raises(DecodeError, match=name):
        decompress(name, b"rubbish" * 40)


def test_a_name_that_is_none_lists_those_that_are() -> None:
    with pytest.raises(ImproperlyConfigured, match="give one of brotli, bzip2, lzma, zlib, zstd"):
        compress("rar", b"x" * 200)


def test_what_is_not_installed_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "brotli", None)
    monkeypatch.setitem(sys.modules, "brotlicffi", None)
    compression._method.cache_clear()
    try:
        with pytest.raises(ImproperlyConfigured, match=r"pip install 'umbel\[brotli\]'"):
            compress("brotli", b"x" * 200)
        with pytest.raises(DecodeError, match=r"umbel\[brotli\]"):
            decompress("brotli", b"x" * 200)
    finally:
        compression._method.cache_clear()
