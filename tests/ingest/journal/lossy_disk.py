"""What a power loss would leave of the files that SQLite writes.

The `sqlite3` of the standard library works on the SQLite of the machine. This finds that very library and
puts a layer of its own between SQLite and its files (a VFS), which does what the one below does and keeps
account of it: which bytes are on the disk for certain, and which were written since the last sync.

The model:
* what was written or truncated since a file's last sync is there, or in part, or not at all: any subset
  of the writes, and any of them torn at a multiple of 512 bytes;
* a new file is there for certain after its first sync, for SQLite syncs the folder with it; before, it may
  be gone as a whole;
* a deletion is final once the folder is synced, with it or later; before, it may come undone;
* a file that was there before is as it was when SQLite first opened it;
* the number of commits beside a journal, which is not SQLite's, is there for certain, for it is synced with
  its folder when it is made; its content may be that of then or of now.
"""

import ctypes
import os
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from ctypes import CFUNCTYPE, POINTER, Structure, c_char_p, c_int, c_int64, c_void_p, cast
from functools import cache
from pathlib import Path
from random import Random

from attrs import define, field

from clinia_async.ingest.journal.commit_count import _content

SECTOR = 512
NO_COMMITS = _content(0)
"""What is in a number of commits when it is made."""
_OK = 0

_Open = CFUNCTYPE(c_int, c_void_p, c_void_p, c_void_p, c_int, c_void_p)
_Delete = CFUNCTYPE(c_int, c_void_p, c_void_p, c_int)
_Close = CFUNCTYPE(c_int, c_void_p)
_Write = CFUNCTYPE(c_int, c_void_p, c_void_p, c_int, c_int64)
_Truncate = CFUNCTYPE(c_int, c_void_p, c_int64)
_Sync = CFUNCTYPE(c_int, c_void_p, c_int)

_ROWS_OF_VFS = """
xAccess xFullPathname xDlOpen xDlError xDlSym xDlClose xRandomness xSleep xCurrentTime xGetLastError
xCurrentTimeInt64 xSetSystemCall xGetSystemCall xNextSystemCall
"""
_ROWS_OF_METHODS = """
xFileSize xLock xUnlock xCheckReservedLock xFileControl xSectorSize xDeviceCharacteristics
xShmMap xShmLock xShmBarrier xShmUnmap xFetch xUnfetch
"""


def _untouched(rows: str) -> Iterator[tuple[str, type[c_void_p]]]:
    return ((name, c_void_p) for name in rows.split())


class _Vfs(Structure):
    _fields_ = [
        ("iVersion", c_int),
        ("szOsFile", c_int),
        ("mxPathname", c_int),
        ("pNext", c_void_p),
        ("zName", c_char_p),
        ("pAppData", c_void_p),
        ("xOpen", _Open),
        ("xDelete", _Delete),
        *_untouched(_ROWS_OF_VFS),
    ]


class _Methods(Structure):
    _fields_ = [
        ("iVersion", c_int),
        ("xClose", _Close),
        ("xRead", c_void_p),
        ("xWrite", _Write),
        ("xTruncate", _Truncate),
        ("xSync", _Sync),
        *_untouched(_ROWS_OF_METHODS),
    ]


class _File(Structure):
    _fields_ = [("pMethods", POINTER(_Methods))]


class NoSuchLibrary(Exception):
    """The SQLite that `sqlite3` uses cannot be reached from here."""


def library() -> ctypes.CDLL:
    """The very SQLite that the module `sqlite3` has loaded."""
    sqlite3.connect(":memory:").close()
    maps = Path("/proc/self/maps")
    if sys.platform != "linux" or not maps.exists():
        raise NoSuchLibrary("there is no /proc/self/maps to find SQLite in")
    paths = {line.split(maxsplit=5)[5] for line in maps.read_text().splitlines() if "sqlite3" in line}
    for path in sorted(paths, key=lambda path: "libsqlite3" not in path):
        found = ctypes.CDLL(path)
        if hasattr(found, "sqlite3_vfs_register") and _version(found) == sqlite3.sqlite_version:
            return found
    raise NoSuchLibrary("SQLite is linked into `sqlite3` without its names")


def _version(found: ctypes.CDLL) -> str:
    found.sqlite3_libversion.restype = c_char_p
    return str(found.sqlite3_libversion().decode())


@define
class Change:
    """Bytes at an offset; None is a truncation there."""

    offset: int
    data: bytes | None = field(repr=False)

    def apply(self, to: bytearray) -> None:
        if self.data is None:
            del to[self.offset :]
            return
        to.extend(bytes(max(0, self.offset - len(to))))
        to[self.offset : self.offset + len(self.data)] = self.data


@define
class _Recorded:
    """One file: `durable` is None while not even its name is on the disk for certain."""

    durable: bytearray | None = field(repr=False)
    since: list[Change] = field(factory=list)
    deleted: bool = False

    def synced(self) -> None:
        self.durable = bytearray() if self.durable is None else self.durable
        for each in self.since:
            each.apply(self.durable)
        self.since.clear()

    def left(self, random: Random) -> bytes | None:
        if self.deleted and random.random() < 0.5:
            return None
        if self.durable is None and random.random() < 0.5:
            return None
        found = bytearray(self.durable or b"")
        for each in _survivors(random, self.since):
            each.apply(found)
        return bytes(found)


def _survivors(random: Random, writes: list[Change]) -> list[Change]:
    """None, all, the first few, or any: a disk is free to write in its own order."""
    match random.randrange(4):
        case 0:
            kept = []
        case 1:
            kept = writes[:]
        case 2:
            kept = writes[: random.randrange(len(writes) + 1)]
        case _:
            kept = [each for each in writes if random.random() < 0.5]
    return [_torn(random, each) if random.random() < 0.1 else each for each in kept]


def _torn(random: Random, write: Change) -> Change:
    if write.data is None or len(write.data) <= SECTOR:
        return write
    return Change(write.offset, write.data[: SECTOR * random.randrange(len(write.data) // SECTOR + 1)])


class Disk:
    """The account of all files in `folder` that SQLite has opened since `recording` began."""

    def __init__(self, folder: Path, on_event: Callable[[str], None] | None = None) -> None:
        self.folder = folder.resolve()
        self.syncs = 0
        self._on_event = on_event or (lambda _: None)
        found = (path for path in self.folder.iterdir() if path.is_file())
        self._files = {path: _Recorded(bytearray(path.read_bytes())) for path in found}
        self._open: dict[int, Path] = {}
        self._mutex = threading.Lock()

    def image(self, random: Random) -> dict[str, bytes]:
        """The files as a power loss in this moment may leave them."""
        with self._mutex:
            for path in [path for path, each in self._files.items() if not (each.deleted or path.exists())]:
                del self._files[path]  # it was deleted, or renamed, by other means
            left = {path: recorded.left(random) for path, recorded in self._files.items()}
            left |= {path: random.choice(contents) for path, contents in self._counts()}
        return {path.name: data for path, data in left.items() if data is not None}

    def _counts(self) -> Iterator[tuple[Path, list[bytes]]]:
        """Yield the numbers of commits that are there, each as it is and as it was before this block."""
        for path in self.folder.glob("*-count"):
            before = self._files.get(path)
            known = NO_COMMITS if before is None else bytes(before.durable or b"")
            yield path, [path.read_bytes(), known]

    def opened(self, file: int, path: Path, before: bytes | None) -> None:
        with self._mutex:
            recorded = self._files.get(path)
            if recorded is None:
                self._files[path] = _Recorded(None if before is None else bytearray(before))
            elif recorded.deleted:
                # a new file with the name of an old one: nothing of that is in it
                recorded.since.append(Change(0, None))
                recorded.deleted = False
            self._open[file] = path

    def wrote(self, file: int, change: Change) -> None:
        with self._mutex:
            self._files[self._open[file]].since.append(change)
        self._on_event("write")

    def synced(self, file: int) -> None:
        with self._mutex:
            recorded = self._files[self._open[file]]
            if recorded.durable is None:
                self._forget_the_deleted()
            recorded.synced()
            self.syncs += 1
        self._on_event("sync")

    def removed(self, path: Path, *, synced: bool) -> None:
        with self._mutex:
            if path in self._files:
                self._files[path].deleted = True
            if synced:
                self._forget_the_deleted()
        self._on_event("delete")

    def closed(self, file: int) -> None:
        with self._mutex:
            del self._open[file]

    def _forget_the_deleted(self) -> None:
        """The folder is synced."""
        for path in [path for path, recorded in self._files.items() if recorded.deleted]:
            del self._files[path]


class _Layer:
    """A VFS in front of the one that was the default. It stays for good: files point into it."""

    def __init__(self) -> None:
        self.disks: list[Disk] = []
        self._sqlite = library()
        self._sqlite.sqlite3_vfs_find.restype = POINTER(_Vfs)
        self._sqlite.sqlite3_vfs_register.argtypes = [POINTER(_Vfs), c_int]
        self._sqlite.sqlite3_vfs_unregister.argtypes = [POINTER(_Vfs)]
        self._below = self._sqlite.sqlite3_vfs_find(None)
        self._vfs = _Vfs.from_buffer_copy(self._below.contents)
        self._vfs.zName = b"power-loss"
        self._vfs.xOpen, self._vfs.xDelete = _Open(self._open), _Delete(self._delete)
        self._methods: dict[int, _Methods] = {}
        self._owners: dict[int, Disk] = {}

    def begin(self, disk: Disk) -> None:
        self.disks.append(disk)
        assert self._sqlite.sqlite3_vfs_register(self._vfs, 1) == _OK

    def end(self, disk: Disk) -> None:
        self.disks.remove(disk)
        if not self.disks:
            assert self._sqlite.sqlite3_vfs_register(self._below, 1) == _OK
            assert self._sqlite.sqlite3_vfs_unregister(self._vfs) == _OK

    def _disk(self, name: int | None) -> tuple[Disk, Path] | None:
        if name is None:
            return None  # a file that SQLite makes for itself, and deletes when it closes it
        path = Path(ctypes.string_at(name).decode())
        return next(((disk, path) for disk in self.disks if path.parent == disk.folder), None)

    def _open(self, vfs: int, name: int | None, file: int, flags: int, out: int | None) -> int:
        found = self._disk(name)
        # before SQLite opens it: to close a file lets go of all locks that the process has on it
        before = found[1].read_bytes() if found and found[1].exists() else None
        code = int(self._below.contents.xOpen(vfs, name, file, flags, out))
        if code == _OK and found:
            disk, path = found
            self._owners[file] = disk
            disk.opened(file, path, before)
            opened = cast(file, POINTER(_File)).contents
            opened.pMethods = ctypes.pointer(self._ours(opened.pMethods))
        return code

    def _delete(self, vfs: int, name: int | None, sync: int) -> int:
        code = int(self._below.contents.xDelete(vfs, name, sync))
        found = self._disk(name)
        if code == _OK and found:
            found[0].removed(found[1], synced=bool(sync))
        return code

    def _ours(self, theirs: "ctypes._Pointer[_Methods]") -> _Methods:
        below = theirs.contents
        address = ctypes.addressof(below)
        if address not in self._methods:
            ours = _Methods.from_buffer_copy(below)
            ours.xClose, ours.xWrite = _Close(self._close(below)), _Write(self._write(below))
            ours.xTruncate, ours.xSync = _Truncate(self._truncate(below)), _Sync(self._sync)
            self._methods[address] = ours
        return self._methods[address]

    def _close(self, below: _Methods) -> Callable[[int], int]:
        def close(file: int) -> int:
            self._owners.pop(file).closed(file)
            return int(below.xClose(file))

        return close

    def _write(self, below: _Methods) -> Callable[[int, int, int, int], int]:
        def write(file: int, data: int, amount: int, offset: int) -> int:
            code = int(below.xWrite(file, data, amount, offset))
            if code == _OK:
                self._owners[file].wrote(file, Change(offset, ctypes.string_at(data, amount)))
            return code

        return write

    def _truncate(self, below: _Methods) -> Callable[[int, int], int]:
        def truncate(file: int, size: int) -> int:
            code = int(below.xTruncate(file, size))
            if code == _OK:
                self._owners[file].wrote(file, Change(size, None))
            return code

        return truncate

    def _sync(self, file: int, flags: int) -> int:
        # the disk itself is spared: what a sync is worth is what the account says
        self._owners[file].synced(file)
        return _OK


@cache
def _layer() -> _Layer:
    return _Layer()


@contextmanager
def recording(folder: Path, on_event: Callable[[str], None] | None = None) -> Iterator[Disk]:
    """Keeps account of what SQLite does to files in `folder` that it opens within this block.

    `on_event` hears of each "write", "sync" and "delete", on the thread that SQLite works on. Raises
    `NoSuchLibrary` where SQLite cannot be reached.
    """
    disk = Disk(folder, on_event)
    _layer().begin(disk)
    try:
        yield disk
    finally:
        _layer().end(disk)


def restore(image: Mapping[str, bytes], folder: Path) -> None:
    """Makes `folder` what was left: nothing else stays in it."""
    for each in folder.iterdir():
        each.unlink()
    for name, data in image.items():
        handle = os.open(folder / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
