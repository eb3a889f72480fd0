"""Records that did not land, as NDJSON that can be fed back in.

A line that could be parsed is written as it was, with one more field in front that says why it is here; a
record of another format as the line that it stands for. A line that could not be parsed is carried as text.
With the options of its run a dead letter is read as the same record, with the same line number and file.
"""

import base64
import errno
import os
import secrets
import stat
from collections.abc import Iterable, Mapping
from contextlib import suppress
from io import FileIO
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from clinia_async.calls import DeleteRelationship
from clinia_async.errors import ConfigError, InvalidWrite
from clinia_async.errors.settings import path_of
from clinia_async.ingest.outcomes.outcome import Disposition, RecordOutcome
from clinia_async.ingest.records.record import BadRecord, Record
from clinia_async.models.refusal import without_locals
from clinia_async.serialization.exact_json import dumps

PREFIX = b'{"deadLetter":'
"""How every dead letter begins."""
_PIECE = 256 * 1024


class DeadLetters:
    """A file of records that did not land, readable by its owner alone.

    It is made with the first letter and takes the place of a file of a previous run then. Records that were
    never sent are not written: they are the matter of the next run. After a failure nothing more is written:
    the file holds whole letters, and `count` is how many.

    `options` are those that the records were read with, as `RecordStream.options` has them. A letter names
    them, and is not read without them.

    Raises:
        ConfigError: `path` is no regular file of this user, or one that holds what is no dead letter.
    """

    @without_locals
    def __init__(self, path: Path | str, *, options: Mapping[str, str] | None = None) -> None:
        self.path = path_of("path", path)
        self.options: Mapping[str, str] = {} if options is None else options
        _check(self.path)
        if _holds_other_things(self.path):
            raise ConfigError(
                f"the file of the dead letters holds something else, which would be lost: {self.path.name};"
                " name another, or move it away"
            )
        self.count = 0
        self._file: IO[bytes] | None = None
        self._failure: OSError | None = None

    def add(self, outcome: RecordOutcome) -> None:
        """Write the record of an outcome that did not land.

        Raises:
            OSError: it cannot be written, or one before could not. What came before it may be lost, too.
        """
        if outcome.disposition is Disposition.UNSENT:
            return
        if self._failure is not None:
            raise OSError(*self._failure.args)
        try:
            if self._file is None:
                self._file = _made(self.path)
            self._file.write(dead_letter(outcome, self.options))
        except OSError as error:
            self._give_up(error)
            raise
        self.count += 1

    def close(self, *, all_landed: bool = False) -> None:
        """Close the file. With `all_landed`, remove the file that a previous run has left.

        Raises:
            OSError: what was added last cannot be written.
        """
        if self._file is not None:
            try:
                self._file.flush()
                _check_place(self._file, self.path)
            except OSError as error:
                self._give_up(error)
                raise
            self._file.close()
        elif all_landed and self._failure is None and _holds_dead_letters(self.path):
            self.path.unlink()

    def _give_up(self, failure: OSError) -> None:
        """Leave the letters in the file that are whole, and count them."""
        file, self._file, self._failure, self.count = self._file, None, failure, 0
        if file is None:
            return
        with suppress(OSError):
            descriptor = os.dup(file.fileno())
            with suppress(OSError):
                file.close()  # what it still holds cannot be written
            with os.fdopen(descriptor, "r+b", buffering=0) as raw:
                count = _cut_to_whole_lines(raw)
                _check_place(raw, self.path)
                self.count = count

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def remove_dead_letters(path: Path) -> None:
    """Remove the letters that a run which was killed has left at `path`, if there are any.

    Raises:
        ConfigError: there is something else, which would be lost.
    """
    if not path.exists():
        return
    DeadLetters(path)
    path.unlink(missing_ok=True)


def join_dead_letters(path: Path, parts: Iterable[Path], *, all_landed: bool) -> int:
    """Move the letters in `parts` to the file at `path`, which is made anew; return how many there are.

    A letter that a killed process has not written whole is left out: its record is reported again. With
    `all_landed`, a file that a previous run has left is removed.

    Raises:
        OSError: a file cannot be read or written. Then the letters are in `parts` still.
    """
    there = [part for part in parts if part.exists()]
    if not there:
        DeadLetters(path).close(all_landed=all_landed)
        return 0
    count = 0
    joined = _made(path)
    try:
        with joined as file:
            for part in there:
                with part.open("rb") as letters:
                    for letter in letters:
                        if letter.endswith(b"\n"):
                            file.write(letter)
                            count += 1
    except OSError:
        with suppress(OSError):
            path.unlink()  # a part of them, while the parts hold all
        raise
    for part in there:
        part.unlink()
    return count


def dead_letter(outcome: RecordOutcome, options: Mapping[str, str] | None = None) -> bytes:
    """Return the line for a record that did not land, which was read with `options`."""
    record = outcome.record
    about: dict[str, object] = {} if record.file is None else {"file": record.file}
    about |= {"line": outcome.line, "disposition": str(outcome.disposition)}
    reason = f"{record.path}: {record.reason}" if isinstance(record, BadRecord) else outcome.reason
    about |= {"reason": reason} if reason else {}
    about |= {"taskId": str(outcome.task_id)} if outcome.task_id else {}
    about |= {"options": dict(options)} if options else {}
    original = _line(record) if isinstance(record, Record) else None
    if original is None:
        original = b"{}"
        about |= _as_text(record.text)
    rest = original[1:].lstrip()
    separator = b"" if rest.startswith(b"}") else b","
    return PREFIX + dumps(about) + separator + rest + b"\n"


def _as_text(text: bytes | None) -> dict[str, object]:
    """Return the field that carries a line which cannot be parsed; none if it was too large to keep."""
    if text is None:
        return {}
    try:
        return {"text": text.decode()}
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(text).decode()}


def _line(record: Record) -> bytes | None:
    """Return the record as a line; None if no line can say it."""
    if record.text is not None:
        return record.text.strip()
    write = record.write
    if isinstance(write, DeleteRelationship):
        from_, dot, to = write.id.partition(".")
        if not dot or "." in to:
            return None  # an identifier: a line names the two ends
        return dumps({"action": "DELETE", "type": write.type, "from": {"id": from_}, "to": {"id": to}})
    try:
        payload = record.payload()
    except InvalidWrite:
        return None
    return b'{"action":"%b",%b' % (str(record.action).encode(), payload[1:])


def _check(path: Path) -> None:
    if not hasattr(os, "geteuid"):  # Windows: nobody could say who may read the records
        raise ConfigError("dead letters need a POSIX system, such as Linux: run the job without them")
    try:
        found = path.lstat()
    except OSError:
        return  # it is made, or the error is raised when it is
    if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid():
        raise ConfigError(
            "the file of the dead letters must be a regular file of this user, and no link, pipe or folder"
        )


def _made(path: Path) -> IO[bytes]:
    """Make the file anew under another name first: 0600 whatever was there, and no link is followed."""
    _check(path)
    if _holds_other_things(path):  # which came there since the start
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
    draft = path.with_name(f".{secrets.token_hex(8)}.tmp")
    file = os.fdopen(os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "wb")
    try:
        draft.replace(path)
    except BaseException:
        file.close()
        draft.unlink(missing_ok=True)
        raise
    return file


def _check_place(file: IO[bytes] | FileIO, path: Path) -> None:
    """Raise `OSError` if `path` no longer leads to `file`: nobody would find what is in it."""
    if not os.path.samestat(os.fstat(file.fileno()), path.lstat()):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))


def _cut_to_whole_lines(file: FileIO) -> int:
    """Cut off a last line that is not whole; return how many lines there are."""
    count, end, position = 0, 0, 0
    file.seek(0)
    while piece := file.read(_PIECE):
        count += piece.count(b"\n")
        last = piece.rfind(b"\n")
        end = position + last + 1 if last >= 0 else end
        position += len(piece)
    file.truncate(end)
    return count


def _holds_other_things(path: Path) -> bool:
    """Whether a file is there that is neither empty nor of a previous run, as far as that can be read."""
    try:
        return path.stat().st_size > 0 and not _holds_dead_letters(path)
    except FileNotFoundError:
        return False
    except OSError:
        return True


def _holds_dead_letters(path: Path) -> bool:
    """Whether a file of a previous run is there, and nothing else that the user may want to keep."""
    _check(path)
    try:
        with path.open("rb") as file:
            return file.read(len(PREFIX)) == PREFIX
    except FileNotFoundError:
        return False
