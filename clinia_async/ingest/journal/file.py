"""The file of a journal: made whole or not at all, locked by one job, and refused where it cannot be trusted.

It holds positions, states, task ids and reasons. No record, no id of a record and no key is in it.
"""

import os
import secrets
import sqlite3
import stat
from pathlib import Path

from clinia_async.ingest.journal.errors import GO_ON, JournalBusy, JournalError
from clinia_async.ingest.journal.sync import sync

APPLICATION = 0x436C4A31
VERSION = 4
IN_USE = 256
"""Added to the version for as long as commits may be in the log alone: without it the file is not whole."""
SYNCHRONOUS = "FULL"
"""With NORMAL a power loss takes back commits: a task id that was written down would be lost."""

_TABLES = {
    "job": "one INTEGER PRIMARY KEY, source TEXT NOT NULL, service TEXT NOT NULL, via TEXT NOT NULL,"
    " input TEXT, inode INTEGER NOT NULL, read_to INTEGER NOT NULL, digest BLOB NOT NULL,"
    " commits INTEGER NOT NULL, total BLOB NOT NULL, checksum BLOB NOT NULL",
    "chunk": "id INTEGER PRIMARY KEY, state TEXT NOT NULL, positions TEXT NOT NULL,"
    " attempts INTEGER NOT NULL, maybe_applied INTEGER NOT NULL, task TEXT, landed TEXT,"
    " checksum BLOB NOT NULL",
    "failure": "position INTEGER PRIMARY KEY, disposition TEXT NOT NULL, reason TEXT, evidence TEXT NOT NULL,"
    " attempts INTEGER NOT NULL, maybe_applied INTEGER NOT NULL, task TEXT, checksum BLOB NOT NULL",
}
_SCHEMA = [f"CREATE TABLE {name}({columns})" for name, columns in _TABLES.items()]


def open_file(path: Path) -> sqlite3.Connection:
    """Opens a journal, or makes an empty one. Raises `JournalError`."""
    _check_folder(path)
    if not os.path.lexists(path):
        _make(path)
    check_file(path)
    return _connect(path)


def _check_folder(path: Path) -> None:
    if not hasattr(os, "geteuid"):  # Windows: nobody could say who may read and write the file
        raise JournalError("a journal needs a POSIX system, such as Linux or macOS: run the job without one")
    try:
        folder = path.parent.stat()
    except OSError:
        raise JournalError("the folder of the journal is not there") from None
    if not stat.S_ISDIR(folder.st_mode):
        raise JournalError("the folder of the journal is no folder")
    if folder.st_mode & stat.S_IWOTH and not folder.st_mode & stat.S_ISVTX:
        raise JournalError("the folder of the journal can be written to by everybody")


def check_file(path: Path) -> None:
    """Raise `JournalError` if a file cannot be reached, or not only its user could have written it."""
    try:
        _check_file(path)
    except JournalError:
        raise
    except OSError as error:
        reason = os.strerror(error.errno or 0)
    else:
        return
    raise JournalError(f"the journal cannot be reached: {reason}")


def _check_file(path: Path) -> None:
    for name in (
        path,
        *(path.with_name(path.name + ending) for ending in ("-wal", "-shm", "-journal", "-count")),
    ):
        if name.is_symlink():
            raise JournalError("the journal must not be a symbolic link")
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise JournalError("the journal must be a regular file")
    if found.st_uid != os.geteuid() or found.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise JournalError("the journal must belong to its user and be readable by nobody else")
    if found.st_size == 0:
        raise JournalError("the journal is empty: whatever it said is lost, and it is not begun anew")


def _make(path: Path) -> None:
    """Make it whole under another name first: a stop in here leaves no journal that says nothing."""
    draft = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_WRONLY, 0o600))
    except OSError as error:
        reason = error.strerror
    else:
        try:
            _fill(draft)
            _publish(draft, path)
        finally:
            draft.unlink(missing_ok=True)
        return
    raise JournalError(f"the journal cannot be made: {reason}")


def _fill(draft: Path) -> None:
    fault = None
    connection = sqlite3.connect(draft, isolation_level=None)
    try:
        _write_through(connection)
        if connection.execute("PRAGMA journal_mode=WAL").fetchone() != ("wal",):
            raise JournalError("the journal needs a file system that grants write-ahead logging")
        for statement in (
            "BEGIN",
            f"PRAGMA application_id={APPLICATION}",
            f"PRAGMA user_version={VERSION}",
            *_SCHEMA,
            "COMMIT",
        ):
            connection.execute(statement)
    except sqlite3.Error as error:
        fault = error.sqlite_errorname
    finally:
        connection.close()
    if fault is not None:
        raise JournalError(f"the journal cannot be made ({fault})")
    sync(draft)


def _publish(draft: Path, path: Path) -> None:
    try:
        path.hardlink_to(draft)
    except FileExistsError:
        return  # somebody was faster: then it is his
    except OSError as error:
        reason = error.strerror
    else:
        sync(path.parent)
        return
    raise JournalError(f"the journal cannot be made: {reason}")


def _connect(path: Path) -> sqlite3.Connection:
    # absolute, because SQLite gives ":memory:" and names that begin with "file:" a meaning of its own
    name = path.absolute()
    connection = sqlite3.connect(name, isolation_level=None, timeout=0, check_same_thread=False)
    error: JournalError
    try:
        _prepare(connection)
    except sqlite3.Error as fault:
        error = failure(fault)
    except JournalError as fault:
        error = fault
    except (TypeError, ValueError, OverflowError):
        error = JournalError("the journal is damaged, or is none")
    else:
        return connection
    connection.close()
    raise error


def _prepare(connection: sqlite3.Connection) -> None:
    # exclusive before anything is read: one connection holds the file, and no shared memory is needed
    connection.execute("PRAGMA locking_mode=EXCLUSIVE")
    connection.execute("PRAGMA trusted_schema=OFF")
    _write_through(connection)
    connection.execute("PRAGMA secure_delete=ON")
    if connection.execute("PRAGMA journal_mode=WAL").fetchone() != ("wal",):
        raise JournalError("the journal needs a file system that grants write-ahead logging")
    connection.execute("BEGIN EXCLUSIVE")
    connection.execute("COMMIT")
    (application,) = connection.execute("PRAGMA application_id").fetchone()
    version = version_of(connection)
    if application != APPLICATION:
        raise JournalError("the file is no journal of an ingestion")
    if version != VERSION:
        raise JournalError(f"the journal is of version {version}; this release reads version {VERSION}")
    if connection.execute("PRAGMA quick_check").fetchone() != ("ok",):
        raise JournalError("the journal is damaged")
    # an index, a trigger or another column would change what is read
    if [sql for (sql,) in connection.execute("SELECT sql FROM sqlite_schema ORDER BY rowid")] != _SCHEMA:
        raise JournalError("the journal is damaged: its tables are not as they were made")


def _write_through(connection: sqlite3.Connection) -> None:
    """Let a commit return when the disk holds it."""
    connection.execute(f"PRAGMA synchronous={SYNCHRONOUS}")
    for name in ("fullfsync", "checkpoint_fullfsync"):  # else it may be in the cache of the disk, on macOS
        connection.execute(f"PRAGMA {name}=ON")


def version_of(connection: sqlite3.Connection) -> int:
    """Return the version of a journal, whether or not it is in use."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return int(version) & ~IN_USE


def is_in_use(connection: sqlite3.Connection) -> bool:
    """Return whether the job that had the journal open last has not closed it."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    return bool(version & IN_USE)


def mark(connection: sqlite3.Connection, *, in_use: bool) -> None:
    """Write down in the file itself, and not in the log alone, whether the log is needed from now on."""
    connection.execute(f"PRAGMA user_version={VERSION | IN_USE * in_use}")
    checkpoint(connection)


def checkpoint(connection: sqlite3.Connection) -> None:
    """Move all that is in the log to the file. Raises `sqlite3.Error`."""
    (is_busy, *_) = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    if is_busy:
        raise sqlite3.OperationalError


def failure(fault: sqlite3.Error) -> JournalError:
    """Our own error for SQLite's: its name, never its words."""
    name = getattr(fault, "sqlite_errorname", None) or type(fault).__name__
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return JournalBusy("another job has the journal open")
    if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
        return JournalError(f"the journal is damaged, or is none ({name})")
    error = JournalError(f"the journal cannot be written or read ({name})")
    if name.startswith(("SQLITE_FULL", "SQLITE_IOERR", "SQLITE_READONLY")):
        error.advice = GO_ON
    return error
