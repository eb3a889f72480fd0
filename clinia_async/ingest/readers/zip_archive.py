"""Zip archives; loaded where an input may be one."""

import lzma
import struct
import zipfile
import zlib
from collections.abc import Callable
from io import BufferedReader
from typing import TypeVar, cast

T = TypeVar("T")

_DAMAGE = (
    EOFError,
    KeyError,
    NotImplementedError,
    OSError,
    RuntimeError,
    ValueError,
    lzma.LZMAError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)
"""What the standard library raises for an archive that it cannot read."""


class BadArchive(ValueError):
    """An archive that is damaged, encrypted or not supported."""


class Archive:
    """The archive that a file is.

    Raises:
        BadArchive: it cannot be read.
    """

    def __init__(self, raw: BufferedReader) -> None:
        self._archive = _read(lambda: zipfile.ZipFile(raw))
        infos = self._archive.infolist()
        self.names = [info.filename for info in infos if not (info.is_dir() or _is_litter(info))]
        """Those of its files."""

    def open(self, name: str) -> "ArchiveMember":
        """Return one of its files. Raises `BadArchive`."""
        return ArchiveMember(cast("zipfile.ZipExtFile", _read(lambda: self._archive.open(name))))


class ArchiveMember:
    """The bytes of a file in an archive."""

    def __init__(self, stream: zipfile.ZipExtFile) -> None:
        self._stream = stream
        self.name = stream.name

    def read1(self, size: int = -1, /) -> bytes:
        """Return the next bytes, none at the end. Raises `BadArchive`."""
        return _read(lambda: self._stream.read1(size))


def ends_with_archive(raw: BufferedReader) -> bool:
    """Return whether a file ends with an archive, whatever stands before that."""
    return zipfile.is_zipfile(raw)


def _read(work: Callable[[], T]) -> T:
    try:
        return work()
    except _DAMAGE:
        pass  # raised below, without an error of the library as its context
    raise BadArchive


def _is_litter(info: zipfile.ZipInfo) -> bool:
    """Return whether it is what macOS or Windows adds to archives about the files in them."""
    *folders, name = info.filename.split("/")
    return "__MACOSX" in folders or name in {".DS_Store", "Thumbs.db", "desktop.ini"}
