"""Records that did not land, as NDJSON that can be fed back in.

A line that could be parsed is written as it was, with one more member in front that says why it is
here; a record of another format as the line that it stands for. A line that could not is carried as text,
or as nothing if it was too large to keep. With the options of its run a letter is read as the same record.
"""

import os
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from clinia_async.calls import DeleteRelationship
from clinia_async.errors import InvalidWrite
from clinia_async.ingest.outcomes.outcome import RecordOutcome
from clinia_async.ingest.records.record import BadRecord, Record
from clinia_async.serialization.exact_json import dumps

PREFIX = b'{"deadLetter":'
"""How every letter begins."""


class DeadLetters:
    """Writes to `path`, readable by its owner alone; the file is made with the first letter."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.count = 0
        self._file: IO[bytes] | None = None

    def add(self, outcome: RecordOutcome) -> None:
        if self._file is None:
            # a record may be in it: 0600, and never through somebody's symbolic link
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
            self._file = os.fdopen(os.open(self.path, flags, 0o600), "wb")
        self._file.write(dead_letter(outcome))
        self.count += 1

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def dead_letter(outcome: RecordOutcome) -> bytes:
    record = outcome.record
    about: dict[str, object] = {"line": outcome.line, "disposition": str(outcome.disposition)}
    reason = f"{record.path}: {record.reason}" if isinstance(record, BadRecord) else outcome.reason
    about |= {"reason": reason} if reason else {}
    about |= {"taskId": str(outcome.task_id)} if outcome.task_id else {}
    original = _line(record) if isinstance(record, Record) else None
    if original is None:
        original = b"{}"
        about["text"] = (record.text or b"").decode(errors="backslashreplace")
    rest = original[1:].lstrip()
    separator = b"" if rest.startswith(b"}") else b","
    return PREFIX + dumps(about) + separator + rest + b"\n"


def _line(record: Record) -> bytes | None:
    """The record as a line; None if there is no line that says it."""
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
