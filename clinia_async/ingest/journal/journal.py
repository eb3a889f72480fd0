"""The journal of a job, on the disk: what is written here is there, whatever fails the moment after.

What is written at the same time shares one commit. SQLite works on a thread of the journal's own.
"""

import asyncio
import contextlib
import ctypes
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Self, TypeVar

from clinia_async.errors import copy_for_raise
from clinia_async.ingest.journal import tables
from clinia_async.ingest.journal.commit_count import (
    CommitCount,
    check_complete,
    has_count,
    has_log,
    lost,
    moved_away,
    without_log,
)
from clinia_async.ingest.journal.errors import JournalError
from clinia_async.ingest.journal.file import (
    checkpoint,
    failure,
    is_in_use,
    mark,
    open_file,
)
from clinia_async.ingest.journal.rows import Change, Failure, History, JobIdentity, JobRow
from clinia_async.transport.forks import leave_in_forks

T = TypeVar("T")

FORKED = "a journal is used by the process that opened it, and not by a fork of it"


class Journal:
    """Made by `open`, and closed by the code that opened it.

    Once a write has failed, every later one fails too.
    """

    def __init__(self, opened: "_Opened", thread: ThreadPoolExecutor, job: JobRow, history: History) -> None:
        self._opened = opened
        self._thread = thread
        self._job = job
        self.history = history
        self._waiting: list[Change] = []
        self._batch: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._committing: asyncio.Future[None] | None = None
        self._writer: asyncio.Task[None] | None = None
        self._is_of_parent = False
        self._broken: JournalError | None = None
        leave_in_forks(self, Journal.leave_to_parent)

    @classmethod
    async def open(cls, path: Path, identity: JobIdentity, *, may_be_copy: bool = False) -> Self:
        """Make the journal at `path`, or open the one that is there.

        Raises:
            JournalBusy: another job has it open.
            JournalMismatch: it is of another job; or a copy, unless `may_be_copy`.
            JournalError: it cannot be used.
        """
        thread = ThreadPoolExecutor(1, thread_name_prefix="clinia-journal")
        opened = _Opened()
        try:
            job, history = await _on(thread, lambda: opened.open(path, identity, may_be_copy=may_be_copy))
        except BaseException:
            # also for a cancel: the thread goes on, and what it opens would stay open and locked
            await _end(thread, opened)
            raise
        return cls(opened, thread, job, history)

    async def write(self, *changes: Change) -> None:
        """Return when the changes are on the disk.

        Raises:
            JournalError: they could not be written. From then on nothing can.
        """
        if self._broken is not None:
            raise copy_for_raise(self._broken)
        self._waiting.extend(changes)
        batch = self._batch
        if self._writer is None:
            self._writer = asyncio.create_task(self._commit_all(), name="clinia-journal")
        try:
            await asyncio.shield(batch)
        except JournalError as error:
            broken = error
        else:
            return
        raise copy_for_raise(broken)

    async def failures(self, first: int) -> Sequence[Failure]:
        """Return a page of what previous runs reported as failed, in order, from the position `first` on."""
        return await _on(self._thread, lambda: tables.failures(self._opened.connection, first))

    async def close(self) -> None:
        if self._is_of_parent:
            return
        try:
            if self._writer is not None:
                await asyncio.wait([self._writer])
        finally:
            await _end(self._thread, self._opened)

    def leave_to_parent(self) -> None:
        """Write no more, in a fork of the process that opened it, and never close the connection.

        With the last connection SQLite removes the log, which the parent still writes to.
        """
        for connection in self._opened.connections:
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(connection))  # nor at the end of the interpreter
        self._broken = JournalError(FORKED)
        self._is_of_parent = True
        if self._writer is not None:
            self._writer.cancel()  # the thread that it waits for is not there
            for batch in (self._batch, self._committing):
                if batch is not None and not batch.done():
                    batch.set_exception(copy_for_raise(self._broken))
                    batch.exception()

    async def _commit_all(self) -> None:
        """One commit after the other, each of all that has come in since the one before began."""
        while self._waiting:
            changes, batch = self._waiting, self._batch
            self._committing = batch
            self._waiting, self._batch = [], asyncio.get_running_loop().create_future()
            try:
                if self._broken is None:
                    self._job = await _on(self._thread, partial(_commit, self._opened, self._job, changes))
            except JournalError as error:
                self._broken = error
            except Exception as fault:  # noqa: BLE001  the code that waits must hear of it, whatever it is
                self._broken = JournalError(f"the journal cannot be written ({type(fault).__name__})")
            if self._broken is None:
                batch.set_result(None)
            else:
                batch.set_exception(copy_for_raise(self._broken))
                batch.exception()  # the code that waited may be gone
        self._writer = None


async def _on(thread: ThreadPoolExecutor, work: Callable[[], T]) -> T:
    try:
        return await asyncio.get_running_loop().run_in_executor(thread, work)
    except sqlite3.Error as fault:
        error = failure(fault)
    except OSError as fault:
        if isinstance(fault, JournalError):
            raise
        error = JournalError(f"the journal cannot be written or read: {fault.strerror}")
    raise error


class _Opened:
    """The files of a journal, as far as they were opened; used on the journal's thread alone."""

    def __init__(self) -> None:
        self.connections: list[sqlite3.Connection] = []
        self.count: CommitCount | None = None
        self._shows_damage = False
        """Whether what the run before has left may not be whole: then it stays, and the next run sees it."""
        self._path: Path | None = None
        self._inode = 0

    @property
    def connection(self) -> sqlite3.Connection:
        return self.connections[0]

    def open(self, path: Path, identity: JobIdentity, *, may_be_copy: bool) -> tuple[JobRow, History]:
        """Open the journal of a job, and return what it says. Raises `JournalError`."""
        check_complete(path, may_be_copy=may_be_copy)
        had_log = has_log(path)
        had_count = has_count(path)
        self.connections.append(open_file(path))
        was_in_use = is_in_use(self.connection)
        self._shows_damage = had_log or had_count or was_in_use
        if was_in_use and not (had_log or had_count):
            is_copy = tables.inode(self.connection) != path.stat().st_ino
            if is_copy or not may_be_copy:
                raise without_log(path)
        self.count = count = CommitCount.open(path, needs_log=had_log or was_in_use, may_be_copy=may_be_copy)
        self._path, self._inode = path, path.stat().st_ino
        job, history = tables.read(self.connection, identity, self._inode, may_be_copy=may_be_copy)
        if job.commits < count.known:
            raise lost(path)
        count.write(job.commits)
        if not was_in_use:
            mark(self.connection, in_use=True)
        self._shows_damage = False
        return job, history

    def check_place(self) -> None:
        """Raise `JournalError` if the file is no longer where it was: a later run would not find it."""
        try:
            is_there = self._path is None or self._path.stat().st_ino == self._inode
        except OSError:
            is_there = False
        if not is_there:
            self._shows_damage = True
            raise moved_away()

    def close(self) -> None:
        is_whole = False
        with contextlib.suppress(sqlite3.Error):
            if self.connections and not self._shows_damage:
                checkpoint(self.connection)
                mark(self.connection, in_use=False)
                is_whole = True
        if self.count is not None:
            # before the lock goes: the job that has it next would take the number that is removed here
            self.count.close(is_kept=not is_whole)
        for connection in self.connections:
            with contextlib.suppress(sqlite3.Error):
                connection.close()


async def _end(thread: ThreadPoolExecutor, opened: _Opened) -> None:
    """Closes behind all that the thread still has to do."""
    closing = asyncio.get_running_loop().run_in_executor(thread, opened.close)
    try:
        await asyncio.shield(closing)  # a cancel would take it back before the thread has come to it
    finally:
        thread.shutdown()  # waits for a moment, where a second cancel came: nothing is left open or locked


def _commit(opened: _Opened, job: JobRow, changes: Iterable[Change]) -> JobRow:
    opened.check_place()
    connection = opened.connection
    connection.execute("BEGIN IMMEDIATE")
    try:
        job = tables.apply(connection, job, changes)
        connection.execute("COMMIT")
    except BaseException:
        # after a failed write or sync nothing more is written: the journal is as it was before
        with contextlib.suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise
    if opened.count is not None:
        opened.count.write(job.commits)
    return job
