"""Compression by name, with what is installed."""

from __future__ import annotations

import lzma
import os
import sys
import tracemalloc

import pytest

from umbel.errors import DecodeError, ImproperlyConfigured
from umbel.serialization import compression, unpacking
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


@pytest.mark.parametrize("name", METHODS)
def test_what_is_cut_short_is_a_decode_error(name: str) -> None:
    packed, used = compress(name, bytes(range(256)) * 40)
    with pytest.raises(DecodeError, match=name):
        decompress(used, packed[:-6])


@pytest.mark.parametrize("name", METHODS)
def test_a_bomb_is_refused_before_it_takes_memory(name: str) -> None:
    packed, used = compress(name, bytes(50_000_000))
    tracemalloc.start()
    try:
        with pytest.raises(
            DecodeError, match=r"are more than the 1,000,000 bytes that decompressed_max_size allows: raise"
        ):
            decompress(used, packed, 1_000_000)
        assert tracemalloc.get_traced_memory()[1] < 25_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", METHODS)
def test_the_bound_itself_is_allowed(name: str) -> None:
    raw = bytes(1_000_000)
    packed, used = compress(name, raw)
    assert decompress(used, packed, len(raw)) == raw
    with pytest.raises(DecodeError, match="more than the 999,999 bytes"):
        decompress(used, packed, len(raw) - 1)


def test_zstd_that_does_not_say_its_size() -> None:
    """As other producers write it who do not know it when they begin."""
    zstandard = pytest.importorskip("zstandard")
    packed = zstandard.ZstdCompressor(write_content_size=False).compress(bytes(1_000_000))
    unpack = unpacking.zstandard(zstandard)
    assert unpack(packed, 1_000_000) == bytes(1_000_000)
    assert len(unpack(packed, 1000)) == 1001
    with pytest.raises(zstandard.ZstdError):
        unpack(packed[:-3], 1_000_000)


def test_lzma_that_asks_for_much_memory_is_refused() -> None:
    filters = [{"id": lzma.FILTER_LZMA2, "preset": 6, "dict_size": 1 << 30}]
    packed = lzma.compress(bytes(1000), lzma.FORMAT_XZ, filters=filters)
    with pytest.raises(DecodeError, match="lzma"):
        decompress("lzma", packed)


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
