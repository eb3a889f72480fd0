"""What a coordinator and its workers say to each other: pickled values, each behind its length."""

import pickle
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import IO

from attrs import field, frozen

from clinia_async.errors import CliniaError
from clinia_async.ingest.file_job import ReadFiles
from clinia_async.ingest.options import JobOptions
from clinia_async.ingest.outcomes.report import Report
from clinia_async.ingest.records.input_part import InputPart

LENGTH = 4


@frozen
class WorkerOrder:
    """What a worker does: its share of the input, as a job of its own."""

    part: InputPart
    source: str
    read: ReadFiles
    dead_letters: Path
    options: JobOptions
    session: Mapping[str, object] = field(repr=False)
    """The arguments of `Session.from_env`, but for the key; a token may be among them."""
    api_key: str | None = field(repr=False)


@frozen
class WorkerState:
    """Where a worker is: its report, its load as the limit sees it, and how much of the files is read."""

    report: Report
    in_flight: int
    limit: float
    closed_for: float
    last_throttle: str
    bytes_read: int | None


@frozen
class WorkerEnd:
    """How a worker has ended: the last message of one that was not killed."""

    state: WorkerState | None
    skipped_references: Counter[str] = field(factory=Counter)
    error: CliniaError | None = None
    unexpected_error: str | None = None
    """Where an error that is no `CliniaError` was raised, and its class; its text may quote a record."""
    seen: tuple[int, int] | None = field(default=None, repr=False)
    """The digest of `SeenInput`; None of an input that was not read to its end."""


@frozen
class Stop:
    """Read no further, and complete what is in flight within `grace` seconds."""

    grace: float | None


@frozen
class Cancel:
    """Wait for nothing more."""


def framed(value: object) -> bytes:
    content = pickle.dumps(value)
    return len(content).to_bytes(LENGTH, "big") + content


def length_of(head: bytes) -> int:
    return int.from_bytes(head, "big")


def read_frame(stream: IO[bytes]) -> object:
    """Return the next value. Raises `EOFError` at the end of the stream."""
    head = stream.read(LENGTH)
    content = stream.read(length_of(head)) if len(head) == LENGTH else b""
    if len(head) < LENGTH or len(content) < length_of(head):
        raise EOFError
    return pickle.loads(content)  # noqa: S301  it comes from the process that started this one
