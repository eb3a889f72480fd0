"""Lines of an NDJSON file, plain or gzipped, one at a time and with bounded memory.

Lines end at `\\n` alone: U+2028 and the like may stand inside a string. A carriage return before it
and a byte order mark at the start of the file are taken off.
"""

import asyncio
import gzip
import sys
from collections.abc import AsyncGenerator, Iterator
from io import BufferedReader
from pathlib import Path
from typing import cast

from attrs import field, frozen

from clinia_async.errors import CliniaError, Outcome

LARGEST_LINE = 1024 * 1024
_BLOCK = 256 * 1024
_BOM = b"\xef\xbb\xbf"
_GZIP = b"\x1f\x8b"


class InputError(CliniaError, OSError):
    """The input cannot be read on: it is missing, no file, or a damaged archive."""

    outcome = Outcome.NOT_SENT


@frozen
class Line:
    """`number` counts from 1. `text` is None for a line that was too large to keep."""

    number: int
    text: bytes | None = field(repr=False)


async def read_lines(path: Path | None, largest: int = LARGEST_LINE) -> AsyncGenerator[Line, None]:
    """The lines of `path`, or of standard input for None. Reads in a thread, closes what it opened."""
    raw = await asyncio.to_thread(_open, path)
    try:
        stream = await asyncio.to_thread(_inflated, raw)
        cutter = _Cutter(largest)
        while block := await asyncio.to_thread(_block, stream):
            for line in cutter.cut(block):
                yield line
        for line in cutter.rest():
            yield line
    finally:
        if path is not None:
            raw.close()


def _open(path: Path | None) -> BufferedReader:
    if path is not None and not path.is_file():
        raise InputError("the input must be a regular file, or `-` for standard input")
    if path is None and sys.stdin is None:
        raise InputError("there is no standard input")
    try:
        return cast("BufferedReader", sys.stdin.buffer if path is None else path.open("rb"))
    except OSError as error:
        number = error.errno
    raise InputError(f"the input cannot be opened (error {number})")


def _inflated(raw: BufferedReader) -> BufferedReader | gzip.GzipFile:
    try:
        return gzip.open(raw) if raw.peek(len(_GZIP)).startswith(_GZIP) else raw
    except OSError as error:
        number = error.errno
    raise InputError(f"the input cannot be read (error {number})")


def _block(stream: BufferedReader | gzip.GzipFile) -> bytes:
    try:
        # read1 gives what a pipe holds now: a slow source is not made to wait for a full block
        return stream.read1(_BLOCK)
    except (EOFError, OSError, ValueError):
        pass
    raise InputError("the input is a damaged archive or cannot be read to its end")


class _Cutter:
    """Cuts blocks into lines; of a line beyond the limit only the fact is kept."""

    def __init__(self, largest: int) -> None:
        self._largest = largest
        self._number = 0
        self._start: list[bytes] = []
        self._size = 0

    def cut(self, block: bytes) -> Iterator[Line]:
        *ended, rest = block.split(b"\n")
        for piece in ended:
            self._add(piece)
            yield self._line()
        self._add(rest)

    def rest(self) -> Iterator[Line]:
        if self._size:
            yield self._line()

    def _add(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._size <= self._largest:
            self._start.append(piece)
        else:
            self._start.clear()

    def _line(self) -> Line:
        self._number += 1
        text = b"".join(self._start) if self._size <= self._largest else None
        self._start.clear()
        self._size = 0
        if text is not None:
            text = text.removesuffix(b"\r")
            text = text.removeprefix(_BOM) if self._number == 1 else text
        return Line(self._number, text)
