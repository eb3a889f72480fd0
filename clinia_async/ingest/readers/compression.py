"""The bytes of an input, block by block: plain, gzip or zstd, told apart by their first bytes.

What is packed is unpacked as it is read, several members or frames one after another too. No block and
no window is larger than a bound, whatever the archive says about itself.
"""

import asyncio
import gzip
import re
import sys
import zlib
from collections.abc import AsyncGenerator, Callable
from importlib import import_module
from io import BufferedReader
from pathlib import Path
from typing import Protocol, cast

from clinia_async.errors import CliniaError, Outcome

BLOCK = 256 * 1024
"""The most bytes that are read at once."""
LARGEST_WINDOW = 2**27
"""The most that a zstd frame may ask to be kept while it is unpacked, in bytes: as `zstd -d` has it."""

_MAGIC = 4
_GZIP = b"\x1f\x8b"
_ZSTD = re.compile(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18")
"""A frame, or one that is there to be skipped."""
_STEP = 64
"""Bytes of a zstd frame unpacked at once: a block of 128 KiB may be as short as four bytes."""


class InputError(CliniaError, OSError):
    """The input cannot be read on: it is missing, no file, damaged, or not what it is said to be."""

    outcome = Outcome.NOT_SENT


class ByteStream(Protocol):
    def read1(self, size: int = ..., /) -> bytes: ...


async def read_blocks(path: Path | None) -> AsyncGenerator[bytes, None]:
    """The content of `path`, or of standard input for None. Reads in a thread, closes what it opened."""
    raw = open_input(path)  # not in a thread: a cancel could not take back what that one opens
    try:
        stream = await asyncio.to_thread(decompressed, raw)
        while block := await asyncio.to_thread(read_block, stream):
            yield block
    finally:
        if path is not None:
            raw.close()


def open_input(path: Path | None) -> BufferedReader:
    if path is not None and not path.is_file():
        raise InputError("the input must be a regular file, or `-` for standard input")
    if path is None and sys.stdin is None:
        raise InputError("there is no standard input")
    try:
        return cast("BufferedReader", sys.stdin.buffer if path is None else path.open("rb"))
    except OSError as error:
        number = error.errno
    raise InputError(f"the input cannot be opened (error {number})")


def decompressed(raw: BufferedReader) -> ByteStream:
    try:
        start = raw.peek(_MAGIC)
    except OSError as error:
        number = error.errno
    else:
        if start.startswith(_GZIP):
            return gzip.open(raw)
        return _Zstd(raw) if _ZSTD.match(start) else raw
    raise InputError(f"the input cannot be read (error {number})")


def read_block(stream: ByteStream) -> bytes:
    """The next bytes, none at the end."""
    try:
        # read1 gives what a pipe holds now: a slow source is not made to wait for a full block
        return stream.read1(BLOCK)
    except (EOFError, OSError, ValueError, zlib.error) as error:
        if isinstance(error, InputError):
            raise
    raise InputError("the input is a damaged archive or cannot be read to its end")


class _Frame(Protocol):
    """What is used of `zstandard`'s decompression object."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, /) -> bytes: ...


class _Zstd:
    """zstd frames one after another. Fed in small steps, so that no step unpacks to more than 2 MiB."""

    def __init__(self, raw: BufferedReader) -> None:
        self._raw = raw
        self._start, self._error_class = _zstandard()
        self._frame: _Frame | None = None
        self._compressed = memoryview(b"")

    def read1(self, size: int = BLOCK, /) -> bytes:
        pieces: list[bytes] = []
        length = 0
        while length < size:
            if not self._compressed:
                if length:
                    break
                self._compressed = memoryview(self._raw.read1(BLOCK))
                if not self._compressed:
                    self._check_end()
                    break
            pieces.append(self._decompress(self._compressed[:_STEP]))
            length += len(pieces[-1])
        return b"".join(pieces)

    def _decompress(self, step: memoryview) -> bytes:
        frame = self._frame or self._start()
        try:
            output = frame.decompress(step.tobytes())
        except self._error_class:
            pass  # raised below, without an error of the library as its context
        else:
            left = len(frame.unused_data) if frame.eof else 0
            self._compressed = self._compressed[len(step) - left :]
            self._frame = None if frame.eof else frame
            return output
        raise InputError("the input is a damaged archive, or one whose window is too large")

    def _check_end(self) -> None:
        if self._frame is not None:
            raise InputError("the input is a damaged archive: its end is missing")


def _zstandard() -> tuple[Callable[[], _Frame], type[Exception]]:
    try:
        library = import_module("zstandard")
    except ImportError:
        pass
    else:
        decompressor = library.ZstdDecompressor(max_window_size=LARGEST_WINDOW)
        return decompressor.decompressobj, library.ZstdError
    raise InputError("a zstd archive needs `zstandard`: pip install 'clinia-async[zstd]'")
