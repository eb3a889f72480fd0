"""The SQLite database that holds all state of the emulator."""

import os
import sqlite3
import stat
from contextlib import suppress
from pathlib import Path

from clinia_async.emulator.errors import DataFileBusy, DataFileError

_FORMAT = 4
"""Kept in the file: the tables below under another number would be misread."""

_SCHEMA = f"""
BEGIN;
CREATE TABLE IF NOT EXISTS records (
    source TEXT, target TEXT, type TEXT, id TEXT,
    from_type TEXT, from_id TEXT, to_type TEXT, to_id TEXT,
    data TEXT, contained TEXT, identifier TEXT, created_at TEXT, updated_at TEXT,
    PRIMARY KEY (source, target, type, id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS tasks (
    number INTEGER PRIMARY KEY, id TEXT, source TEXT, target TEXT, status TEXT,
    received_at TEXT, receipts TEXT
);
CREATE TABLE IF NOT EXISTS pending (number INTEGER PRIMARY KEY, latency REAL, operations TEXT);
CREATE TABLE IF NOT EXISTS purges (
    number INTEGER PRIMARY KEY, target TEXT, type TEXT, deleted INTEGER, updated_at TEXT
);
CREATE TABLE IF NOT EXISTS definitions (
    source TEXT, kind TEXT, name TEXT, body TEXT, PRIMARY KEY (source, kind, name)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS sources (name TEXT PRIMARY KEY) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS partitions (name TEXT PRIMARY KEY, status TEXT, modules TEXT, source TEXT);
CREATE TABLE IF NOT EXISTS counters (name TEXT PRIMARY KEY, value INTEGER) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS latest (one INTEGER PRIMARY KEY, stamp TEXT);
PRAGMA user_version = {_FORMAT};
COMMIT;
"""
"""In one transaction: a process that is killed in the middle of it leaves a usable file."""


def open_database(data: Path | None) -> sqlite3.Connection:
    """Open the database in memory, or in a file that only its owner can read. The caller closes it.

    Raises:
        DataFileBusy: another emulator has the file open.
        DataFileError: the file cannot be used.
    """
    if data is not None:
        _claim(data)
    # Absolute, because SQLite gives a file called ":memory:" a meaning of its own.
    name = data.absolute() if data is not None else ":memory:"
    try:
        database = sqlite3.connect(name, timeout=0, isolation_level=None)
    except sqlite3.Error as error:
        raise DataFileError(f"the data file cannot be opened: {error}") from None
    try:
        _prepare(database)
    except BaseException as error:
        database.close()
        if isinstance(error, sqlite3.Error):
            raise _file_error(error) from None
        raise
    return database


def _file_error(error: sqlite3.Error) -> DataFileError:
    if error.sqlite_errorcode == sqlite3.SQLITE_BUSY:
        return DataFileBusy("the data file is locked by another process")
    return DataFileError(f"the data file cannot be used: {error}")


def _claim(data: Path) -> None:
    """Create the file for its owner only; do not follow links."""
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    descriptor = os.open(data, flags, 0o600)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise DataFileError("the emulator keeps its data in a regular file")
        with suppress(AttributeError):  # no such call on Windows before Python 3.13
            os.fchmod(descriptor, 0o600)
    finally:
        os.close(descriptor)


def _prepare(database: sqlite3.Connection) -> None:
    for pragma in (
        "trusted_schema = OFF",
        "cell_size_check = ON",
        "locking_mode = EXCLUSIVE",
        "journal_mode = WAL",
        "synchronous = NORMAL",
    ):
        database.execute(f"PRAGMA {pragma}")
    _check_format(database)
    database.executescript(_SCHEMA)


def _check_format(database: sqlite3.Connection) -> None:
    (version,) = database.execute("PRAGMA user_version").fetchone()
    (tables,) = database.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if tables and version != _FORMAT:
        raise DataFileError("the file was not written by this version of the emulator")


def latest_stamp(database: sqlite3.Connection) -> str | None:
    """Return the latest timestamp that an earlier run gave, as far as the file shows."""
    query = """
    SELECT max(stamp) FROM (
        SELECT stamp FROM latest UNION ALL
        SELECT received_at FROM (SELECT received_at FROM tasks ORDER BY number DESC LIMIT 1)
    )
    """
    (stamp,) = database.execute(query).fetchone()
    return None if stamp is None else str(stamp)


def keep_stamp(database: sqlite3.Connection, stamp: str) -> None:
    """Store a timestamp that a later run must not go behind."""
    database.execute("INSERT OR REPLACE INTO latest VALUES (1, ?)", (stamp,))


def delete_everything(database: sqlite3.Connection) -> None:
    tables = database.execute("SELECT name FROM sqlite_schema WHERE type = 'table' AND name <> 'latest'")
    for (name,) in tables.fetchall():
        database.execute(f"DELETE FROM {name}")  # noqa: S608  the names are those of the schema above
