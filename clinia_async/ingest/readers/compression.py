"""The bytes of an input, block by block: plain, or compressed by gzip, bzip2, xz or zstd, or a zip archive
of one file, known by their first bytes.

What is compressed is decompressed as it is read, several streams or frames one after another too. No block
and no window is larger than a bound, whatever the archive says about itself.
"""

import asyncio
import bz2
import lzma
import os
import stat
import sys
import zlib
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from contextvars import ContextVar
from importlib import import_module
from io import BufferedReader
from pathlib import Path
from types import TracebackType
from typing import Protocol, Self, cast

from attrs import define, field

from clinia_async.errors import CliniaError, Outcome
from clinia_async.ingest import readers
from clinia_async.ingest.readers.containers import (
    COMPRESSED,
    PARQUET,
    begins_as_json,
    compression_of,
    is_binary,
    is_known,
    unsupported,
)

BLOCK = 256 * 1024
"""The most bytes that are read at once."""
LARGEST_WINDOW = 2**27
"""The most that a zstd frame may ask to be kept while it is decompressed, in bytes: as `zstd -d` has it."""
_XZ_MEMORY = 2**28
"""The most that an xz stream may take while it is decompressed, in bytes."""
_STEP = 64
"""Bytes of a zstd frame decompressed at once: a block of 128 KiB may be as short as four bytes."""
_PIECE = 16 * 1024
"""Bytes of a bzip2 or xz stream decompressed at once."""
_PARTIAL = 64 * 1024
"""Bytes of any other archive decompressed at once, at most."""


_OFFICE = frozenset({"[Content_Types].xml", "mimetype"})
"""Files in the archives that documents of Office and of OpenDocument are."""


class InputError(CliniaError, OSError):
    """The input cannot be read on: it is missing, no file, damaged, or not of its format."""

    outcome = Outcome.NOT_SENT


class ReadPosition:
    """How many bytes of the input files have been read; of a compressed one, of its compressed bytes.

    A file that was left counts as a whole, even where not all of it was needed.
    """

    def __init__(self) -> None:
        self._file: BufferedReader | None = None
        self._size = 0
        self._share: float | None = None
        self._before: int | None = None
        """The bytes of the files before this one; None before the first whose position is known."""
        self._taken: tuple[int, int] | None = None
        self.ahead = 0
        """Bytes that were read from the file, and that are not decompressed yet."""

    def follow(self, file: BufferedReader) -> None:
        """Report the position in `file` from now on."""
        size = _size_of(file)
        if size is not None:
            self._file, self._size, self._share, self.ahead = file, size, None, 0
            self._before = self._before or 0

    def at(self, share: float) -> None:
        """Say how much of the file was read, from 0 to 1: for one that is not read from front to back."""
        self._share = share

    def leave(self) -> None:
        """Count the file as a whole."""
        if self._file is not None:
            self._before = (self._before or 0) + self._size
            self._file = None

    def __call__(self) -> int | None:
        """Return the position, or None if nothing was opened or its position is unknown, as on a pipe."""
        if self._file is None or self._before is None:
            return self._before
        if self._share is not None:
            return self._before + int(self._share * self._size)
        with suppress(OSError, ValueError):  # closed by now
            return self._before + os.lseek(self._file.fileno(), 0, os.SEEK_CUR) - self.ahead
        return self._before

    def take(self, records: int) -> None:
        """Say that the bytes up to here hold the first `records` records: a block was taken as a whole."""
        position = self()
        self._taken = None if position is None else (records, position)

    def of(self, records: int) -> float | None:
        """Return about how many bytes the first `records` records take; None if no block was taken yet."""
        position = self()
        if self._taken is None or position is None:
            return None
        taken, size = self._taken
        return min(size * records / taken, position) if taken else size


def _size_of(file: BufferedReader) -> int | None:
    """The size of a regular file; None for a pipe or a terminal."""
    size, _ = written(file) or (None, 0)
    return size


def written(file: BufferedReader) -> tuple[int, int] | None:
    """Return what changes when a regular file is written to; None for a pipe or a terminal."""
    try:
        found = os.fstat(file.fileno())
    except (OSError, ValueError):
        return None
    return (found.st_size, found.st_mtime_ns) if stat.S_ISREG(found.st_mode) else None


def check_unchanged(file: BufferedReader, before: tuple[int, int] | None) -> None:
    """Raise `InputError` for a file that was written to since: a part of it may be missing, or of before.

    Call it at the end of the file, before what stands there last is taken for whole.
    """
    check_same(before, written(file))


def check_same(before: object, after: object) -> None:
    """Raise `InputError` unless what a file was before and after it was read is equal."""
    if after != before:
        raise InputError(
            "the input was written to while it was read, so that a part of it may be missing; load it again"
            " when nothing writes to it, with another journal if there is one"
        )


READ_POSITION: ContextVar[ReadPosition | None] = ContextVar("clinia_read_position", default=None)
"""Set it, and the inputs that are read in its context report their position."""


@contextmanager
def followed(file: BufferedReader) -> Iterator[None]:
    """Report the position in `file` to `READ_POSITION` while the block lasts."""
    position = READ_POSITION.get()
    if position is None:
        yield
        return
    position.follow(file)
    try:
        yield
    finally:
        position.leave()


class ByteStream(Protocol):
    """What is read from, block by block."""

    def read1(self, size: int = ..., /) -> bytes: ...


@define
class InputStream:
    """The decompressed bytes of a file, or of standard input for None; a context that closes what it opened.

    `read` and `peek` block, so they run in a thread; both raise `InputError`.
    """

    path: Path | None
    any_encoding: bool = False
    """Text in UTF-16 or UTF-32 is no error."""
    marks: bytes = field(default=b"", repr=False)
    """Control characters that may stand in text, such as those that separate cells."""
    _opened: ExitStack = field(factory=ExitStack, init=False, repr=False)
    _raw: BufferedReader = field(init=False, repr=False)
    _before: tuple[int, int] | None = field(init=False, repr=False)
    _stream: "_Peeked | None" = field(default=None, init=False, repr=False)
    _ahead: bytes = field(default=b"", init=False, repr=False)
    _has_ended: bool = field(default=False, init=False)

    def __attrs_post_init__(self) -> None:
        # not in a thread: a cancel could not take back what that one opens
        self._raw = open_input(self.path)
        self._before = written(self._raw)
        if self.path is not None:
            self._opened.callback(self._raw.close)
        self._opened.enter_context(followed(self._raw))

    @property
    def is_compressed(self) -> bool:
        """Whether it is compressed or in an archive, once its first bytes were read."""
        return self._stream is not None and self._stream.is_decompressed

    @property
    def member(self) -> Path | None:
        """The name of the file in an archive, once its first bytes were read."""
        name = None if self._stream is None else self._stream.name
        return None if name is None else Path(name)

    def read(self) -> bytes:
        """Return the next bytes, none at the end."""
        if self._ahead:
            block, self._ahead = self._ahead, b""
            return block
        return self._next()

    def peek(self, size: int, *, until: Callable[[bytes], bool] = lambda _: False) -> bytes:
        """Return the next `size` bytes or more, fewer if `until` is true of them, without taking them."""
        while len(self._ahead) < size and not (self._ahead and until(self._ahead)):
            block = self._next()
            if not block:
                break
            self._ahead += block
        return self._ahead

    async def blocks(self) -> AsyncGenerator[bytes, None]:
        """Yield what `read` gives, each block read in a thread."""
        while block := await asyncio.to_thread(self.read):
            yield block

    def _next(self) -> bytes:
        if self._has_ended:
            return b""
        if self._stream is None:
            self._stream = decompressed(self._raw, self.marks, any_encoding=self.any_encoding)
            self._check_compressed(self._stream)
        block = read_block(self._stream)
        if not block:
            check_unchanged(self._raw, self._before)
            self._has_ended = True
        return block

    def _check_compressed(self, stream: "_Peeked") -> None:
        """Raise `InputError` for a file of no bytes whose name says that it is compressed."""
        is_empty = not stream.is_decompressed and not stream.start
        if is_empty and self.path is not None and self.path.suffix.lower() in COMPRESSED:
            raise InputError("the file is empty, and its name says that it is compressed; get it again")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._opened.close()


async def read_blocks(path: Path | None) -> AsyncGenerator[bytes, None]:
    """Yield the content of `path`, or of standard input for None. Raises `InputError`."""
    with InputStream(path) as stream:
        async for block in stream.blocks():
            yield block


def open_input(path: Path | None) -> BufferedReader:
    """Open a regular file, or standard input for None. Raises `InputError`."""
    if path is None and sys.stdin is None:
        raise InputError("there is no standard input: name a file")
    try:
        if path is None or path.is_file():
            return cast("BufferedReader", sys.stdin.buffer if path is None else path.open("rb"))
    except OSError as error:
        reason = error.strerror
    else:
        raise InputError("the input must be a regular file, or `-` for standard input")
    raise InputError(f"the input cannot be opened: {reason}; check its name and rights")


def decompressed(raw: BufferedReader, marks: bytes = b"", *, any_encoding: bool = False) -> "_Peeked":
    """Return the decompressed bytes of `raw`, with `marks` and `any_encoding` as `InputStream` has them.

    Raises `InputError` for a container that is not read.
    """
    outer = _Peeked(raw)
    name = compression_of(outer.start)
    if name is None:
        _refuse(outer.start, marks, any_encoding=any_encoding)
        _refuse_archive_behind(raw, outer.start)
        return outer
    if name == "zip":
        member = _member(raw)
        inner = _Peeked(member)
        inner.name = member.name
    else:
        inner = _Peeked(_Decoder(outer, _CODECS[name]()))
    inner.is_decompressed = True
    if compression_of(inner.start) is not None:
        raise InputError("the input is compressed twice; decompress it once")
    _refuse(inner.start, marks, any_encoding=any_encoding)
    return inner


def _refuse(start: bytes, marks: bytes, *, any_encoding: bool) -> None:
    start = start.translate(None, marks)
    name = unsupported(start)
    if name is not None and not (any_encoding and "text" in name):
        raise InputError(f"the input is {name}")
    if not any_encoding and is_binary(start) and not start.startswith(PARQUET):
        raise InputError("the input is no text, and of no format that is read")


def _refuse_archive_behind(raw: BufferedReader, start: bytes) -> None:
    """Raise `InputError` for a file that ends with a zip archive, whatever stands before that."""
    if begins_as_json(start) or start.startswith(PARQUET) or _size_of(raw) is None:
        return
    place = raw.tell()
    has_archive = readers.ends_with_archive(raw)
    raw.seek(place)
    if has_archive:
        raise InputError(
            "the input is a zip archive that unpacks itself, or stands behind something; unpack it"
        )


class _Peeked:
    """A stream whose first bytes are known."""

    name: str | None = None
    """That of the file in an archive."""
    is_decompressed = False

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self.start = b""
        while not is_known(self.start):
            block = read_block(stream)
            if not block:
                break
            self.start += block
        self._rest = self.start

    def read1(self, size: int = BLOCK, /) -> bytes:
        if self._rest:
            block, self._rest = self._rest, b""
            return block
        return self._stream.read1(size)


def read_block(stream: ByteStream) -> bytes:
    """Return the next bytes, none at the end. Raises `InputError`."""
    try:
        # read1 gives what a pipe holds now: a slow source is not made to wait for a full block
        return stream.read1(BLOCK)
    except (EOFError, OSError, RuntimeError, ValueError, zlib.error, lzma.LZMAError) as error:
        if isinstance(error, InputError):
            raise
    raise InputError("the input is a damaged archive or cannot be read to its end")


class _Decompressor(Protocol):
    """What a decompression object of any library has."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...


@define
class _Codec:
    """One kind of compression. `step` gives what some bytes become, and which of them are left."""

    start: Callable[[], _Decompressor]
    step: Callable[[_Decompressor, bytes], tuple[bytes, bytes]]
    errors: tuple[type[Exception], ...]
    padding: bytes = b""
    """What may stand between two streams or frames."""


class _Decoder:
    """Streams or frames one after another. What was decompressed before damage is given before its error."""

    def __init__(self, source: ByteStream, codec: _Codec) -> None:
        self._source = source
        self._codec = codec
        self._decompressor: _Decompressor | None = None
        self._data = b""
        self._is_full = False
        """The last step gave as much as it may, so there may be more without further bytes."""
        self._error: InputError | None = None
        self._position = READ_POSITION.get()

    def read1(self, size: int = BLOCK, /) -> bytes:
        block = self._read(size)
        if self._position is not None:
            self._position.ahead = len(self._data)
        return block

    def _read(self, size: int) -> bytes:
        pieces: list[bytes] = []
        while self._error is None and sum(map(len, pieces)) < size:
            if not (self._data or self._is_full):
                if any(pieces):
                    break
                self._data = self._source.read1(BLOCK)
                if not self._data:
                    self._check_end()
                    break
            pieces.append(self._next())
        if self._error is not None and not any(pieces):
            raise self._error
        return b"".join(pieces)

    def _next(self) -> bytes:
        if self._decompressor is None:
            self._data = self._data.lstrip(self._codec.padding) if self._codec.padding else self._data
            if not self._data:
                return b""
            self._decompressor = self._codec.start()
        try:
            output, self._data = self._codec.step(self._decompressor, self._data)
        except self._codec.errors:
            # without an error of the library as its context
            self._error = InputError(
                "the input is a damaged archive, or its window is too large: decompress it first"
            )
            return b""
        self._is_full = len(output) >= _PARTIAL
        if self._decompressor.eof:
            self._decompressor, self._is_full = None, False
        return output

    def _check_end(self) -> None:
        if self._decompressor is not None:
            self._error = InputError("the input is a damaged archive or cannot be read to its end")


def _zlib_step(decompressor: object, data: bytes) -> tuple[bytes, bytes]:
    output: bytes = decompressor.decompress(data, _PARTIAL)  # type: ignore[attr-defined]
    return output, decompressor.unused_data or decompressor.unconsumed_tail  # type: ignore[attr-defined]


def _buffering_step(decompressor: object, data: bytes) -> tuple[bytes, bytes]:
    """As bz2 and lzma have it: what is not decompressed at once is kept inside, so they are given little."""
    size = _PIECE if decompressor.needs_input else 0  # type: ignore[attr-defined]
    output: bytes = decompressor.decompress(data[:size], _PARTIAL)  # type: ignore[attr-defined]
    return output, decompressor.unused_data + data[size:]  # type: ignore[attr-defined]


def _zstd_step(decompressor: object, data: bytes) -> tuple[bytes, bytes]:
    output: bytes = decompressor.decompress(data[:_STEP])  # type: ignore[attr-defined]
    left = len(decompressor.unused_data) if decompressor.eof else 0  # type: ignore[attr-defined]
    return output, data[min(_STEP, len(data)) - left :]


def _zstd() -> _Codec:
    try:
        library = import_module("zstandard")
    except ImportError:
        pass
    else:
        decompressor = library.ZstdDecompressor(max_window_size=LARGEST_WINDOW)
        return _Codec(decompressor.decompressobj, _zstd_step, (library.ZstdError,))
    raise InputError("a zstd archive needs `zstandard`: pip install 'clinia-async[zstd]'")


_CODECS: dict[str, Callable[[], _Codec]] = {
    "gzip": lambda: _Codec(lambda: zlib.decompressobj(31), _zlib_step, (zlib.error,), b"\0"),
    "bzip2": lambda: _Codec(bz2.BZ2Decompressor, _buffering_step, (OSError, ValueError)),
    "xz": lambda: _Codec(
        lambda: lzma.LZMADecompressor(memlimit=_XZ_MEMORY), _buffering_step, (lzma.LZMAError,), b"\0"
    ),
    "zstd": _zstd,
}


def _member(raw: BufferedReader) -> "readers.ArchiveMember":
    """Return the one file in a zip archive. Raises `InputError` for any other archive."""
    if not raw.seekable():
        raise InputError("a zip archive must be a regular file: it is not read from front to back")
    names: list[str] | None = None
    try:
        archive = readers.Archive(raw)
        names = archive.names
        if len(names) == 1 and not _OFFICE & {*names}:
            return archive.open(names[0])
    except readers.BadArchive:
        names = None  # raised below, without this error as its context
    if names is None:
        raise InputError("the input is a zip archive that is damaged, encrypted or not supported: unpack it")
    if _OFFICE & {*names}:
        raise InputError("the input is an Excel, OpenDocument or Office file; save the sheet as CSV")
    if not names:
        raise InputError("the input is a zip archive without a file in it: name another")
    raise InputError(
        f"the input is a zip archive of {len(names)} files, not of one; give its files one by one, as with"
        " unzip -p ARCHIVE FILE | clinia-async ingest - --format ndjson"
    )
