"""The journal of a job of several processes: a folder with one journal each, and how many there are.

It is made whole or not at all, locked by one job, and resumed with as many processes as it was made for:
which process a record belongs to depends on their number.
"""

import json
import os
import secrets
import shutil
import stat
from collections.abc import Mapping
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Self

from clinia_async.ingest.journal.errors import JournalBusy, JournalError, JournalMismatch
from clinia_async.ingest.journal.file import open_file
from clinia_async.ingest.journal.sync import flush, sync
from clinia_async.transport.forks import leave_in_forks

_MANIFEST = "manifest.json"
_VERSION = 1


class JournalFolder:
    """Locked from `open` to `close`."""

    def __init__(self, path: Path, lock: int) -> None:
        self.path = path
        self._lock: int | None = lock
        leave_in_forks(self, JournalFolder.leave_to_parent)

    @classmethod
    def open(cls, path: Path, processes: int, about: Mapping[str, object]) -> Self:
        """Make the folder, or lock the one that is there. `about` is kept in the manifest, for people.

        Raises:
            JournalBusy: another job has it open.
            JournalMismatch: it is of another number of processes.
            JournalError: it cannot be used.
        """
        try:
            if not os.path.lexists(path):
                _make(path, processes, about)
            return cls(path, _locked(path, processes))
        except OSError as error:
            if isinstance(error, JournalError):
                raise
            reason = error.strerror
        raise JournalError(f"the folder of the journals cannot be made or read: {reason}")

    def part(self, number: int) -> Path:
        """Return the path of the journal of one process."""
        return part_of(self.path, number)

    def close(self) -> None:
        """Unlock it, though a fork may have a copy of the lock open. May be called again."""
        if self._lock is not None:
            fcntl = import_module("fcntl")
            fcntl.flock(self._lock, fcntl.LOCK_UN)
            self.leave_to_parent()

    def leave_to_parent(self) -> None:
        """Close this copy of the lock alone, in a fork: the lock lasts as long as any copy is open."""
        lock, self._lock = self._lock, None
        if lock is not None:
            os.close(lock)


def part_of(folder: Path, number: int) -> Path:
    return folder / f"part-{number}.db"


def processes_of(folder: Path) -> int:
    """Return how many processes a folder was made for. Raises `JournalError`."""
    try:
        found = json.loads((folder / _MANIFEST).read_bytes())
        version, processes = found["version"], found["processes"]
    except (OSError, ValueError, KeyError, TypeError):
        version, processes = None, 0
    if version != _VERSION or type(processes) is not int or processes < 1:
        raise JournalError("the folder holds no journals of a job, or its manifest is damaged")
    return processes


def _make(path: Path, processes: int, about: Mapping[str, object]) -> None:
    """Make it whole under another name first: a stop in here leaves no folder that lacks a journal."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    draft.mkdir(mode=0o700)
    try:
        for number in range(processes):
            open_file(part_of(draft, number)).close()
        manifest = {"version": _VERSION, "processes": processes, **about}
        _write(draft / _MANIFEST, json.dumps(manifest, indent=1).encode() + b"\n")
        sync(draft)
        with suppress(FileExistsError):  # somebody was faster: then it is theirs
            draft.rename(path)
        sync(path.parent)
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _write(path: Path, content: bytes) -> None:
    handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    try:
        os.write(handle, content)
        flush(handle)
    finally:
        os.close(handle)


def _locked(path: Path, processes: int) -> int:
    """Return the locked manifest of a folder that can be used."""
    _check(path)
    try:
        fcntl = import_module("fcntl")
    except ImportError:
        raise JournalError("a journal of several processes needs a system with flock") from None
    handle = os.open(path / _MANIFEST, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        made_for = processes_of(path)
        if made_for != processes:
            raise JournalMismatch(
                f"the journal was made by {made_for} processes, and cannot be resumed by {processes}:"
                " records would change their process"
            )
        if not all(part_of(path, number).exists() for number in range(processes)):
            raise JournalError("a journal of the folder is missing: what it said is lost")
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise JournalBusy("another job has the journal open") from None
    except BaseException:
        os.close(handle)
        raise
    return handle


def _check(path: Path) -> None:
    """Raise `JournalError` if it is no folder that only its user could have written."""
    found = path.lstat()
    if stat.S_ISREG(found.st_mode):
        raise JournalMismatch("the journal is that of one process: resume it with one process")
    if not stat.S_ISDIR(found.st_mode):
        raise JournalError("the journal of several processes must be a folder, and no symbolic link")
    if found.st_uid != os.geteuid() or found.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise JournalError("the journal must belong to its user and be readable by nobody else")
