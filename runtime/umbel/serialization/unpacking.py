"""Decompression that stops at a bound, so that a few bytes in Redis cannot take all the memory of a worker.

Each function takes the bytes and the most that they may unpack to. It returns what they hold, and no more than one block beyond the
bound where they hold more; `umbel.serialization.compression` looks at the length. It raises ValueError where they are cut short.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

#: Memory that a decoder of lzma may take besides: its largest preset asks for 65 MiB, a forged header for gigabytes.
LZMA_MEMORY: Final = 128 * 2**20

Unpack = Callable[[bytes, int], bytes]


def zlib(module: Any) -> Unpack:
    def unpack(raw: bytes, most: int) -> bytes:
        decoder = module.decompressobj()
        return _whole(decoder.decompress(raw, most + 1), most, decoder.eof)

    return unpack


def bz2(module: Any) -> Unpack:
    def unpack(raw: bytes, most: int) -> bytes:
        decoder = module.BZ2Decompressor()
        return _whole(decoder.decompress(raw, most + 1), most, decoder.eof)

    return unpack


def lzma(module: Any) -> Unpack:
    def unpack(raw: bytes, most: int) -> bytes:
        decoder = module.LZMADecompressor(memlimit=LZMA_MEMORY)
        return _whole(decoder.decompress(raw, most + 1), most, decoder.eof)

    return unpack


def zstd(module: Any) -> Unpack:
    """Of the standard library, from Python 3.14 on."""

    def unpack(raw: bytes, most: int) -> bytes:
        decoder = module.ZstdDecompressor()
        return _whole(decoder.decompress(raw, most + 1), most, decoder.eof)

    return unpack


def zstandard(module: Any) -> Unpack:
    """Of the package; its objects must not be shared by threads."""

    def unpack(raw: bytes, most: int) -> bytes:
        size = module.frame_content_size(raw)
        if size < 0 or size > most:  # not said, or more than is read: look, up to the bound
            begun: bytes = module.ZstdDecompressor().stream_reader(raw).read(most + 1)
            if len(begun) > most:
                return begun
            size = len(begun)
        whole: bytes = module.ZstdDecompressor().decompress(raw, max_output_size=max(1, size))
        return whole

    return unpack


def brotli(module: Any) -> Unpack:
    def unpack(raw: bytes, most: int) -> bytes:
        decoder = module.Decompressor()
        parts = [decoder.process(raw, output_buffer_limit=most + 1)]
        size = len(parts[0])
        while size <= most and not decoder.is_finished():
            part = decoder.process(b"", output_buffer_limit=most + 1 - size)
            if not part and decoder.can_accept_more_data():
                break
            parts.append(part)
            size += len(part)
        return _whole(b"".join(parts), most, decoder.is_finished())

    return unpack


def _whole(unpacked: bytes, most: int, ended: bool) -> bytes:
    if len(unpacked) <= most and not ended:
        raise ValueError("it is cut short")
    return unpacked
