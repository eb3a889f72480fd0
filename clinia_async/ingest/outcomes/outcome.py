"""What became of each record."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from itertools import repeat
from operator import itemgetter
from typing import Self, overload

from attrs import define, field

from clinia_async.calls.conflicts import CHANGED_SINCE
from clinia_async.errors import Evidence
from clinia_async.ingest.records.chunk import Chunk
from clinia_async.ingest.records.record import BadRecord, Record
from clinia_async.ingest.records.record_batch import RecordBatches
from clinia_async.models.task_id import TaskId


class Disposition(StrEnum):
    """What became of a record, in one word."""

    PERSISTED = "persisted"
    """It is stored: at once, or found so after an answer was lost (`reconciled`)."""
    SUCCEEDED = "succeeded"
    """It was queued, and its task stored it."""
    EXISTING = "existing"
    """An equal record was there already."""
    KEPT = "kept"
    """Another record was there under its key, and was left as it is because `on_existing` is `keep`."""
    INVALID = "invalid"
    """It was refused here; nothing was sent."""
    FAILED = "failed"
    """Its task failed, or another record holds its key; nothing of it was stored."""
    CANCELLED = "cancelled"
    """The service cancelled it, because of a concurrent write of the same record."""
    REJECTED = "rejected"
    """The service refused the request that carried it; nothing of it was stored."""
    DROPPED = "dropped"
    """A reviewer rejected it."""
    UNKNOWN = "unknown"
    """It may or may not be stored."""
    UNSENT = "unsent"
    """The job ended before it was sent."""

    # Enum hashes by name, in Python; outcomes are counted by the million.
    __hash__ = str.__hash__

    has_landed: bool
    """Whether nothing needs to be done about it."""

    def __init__(self, _: str) -> None:
        self.has_landed = self.value in {"persisted", "succeeded", "existing", "kept"}


_DISPOSITION, _REASON, _EVIDENCE = itemgetter(0), itemgetter(1), itemgetter(2)
Finding = tuple[Disposition, str | None, Evidence]
"""What became of a record, the reason, and what proves it."""


@define(unsafe_hash=True)
class RecordOutcome:
    """What became of one record.

    A value that nobody changes; not a frozen class only because outcomes come by the million.

    `reason` names a rule or a type of error, and never quotes the record. `attempts` is the number of
    requests that carried the record; 0 if none did.
    """

    _of: Record | BadRecord | RecordBatches = field(repr=False, alias="record")
    """The record; or, made by the million, those that it is one of."""
    disposition: Disposition
    reason: str | None = None
    task_id: TaskId | None = None
    attempts: int = 0
    maybe_applied: bool = False
    """An answer was lost on the way, so it may have arrived more than once."""
    reported_before: bool = False
    """A previous run of the job reported it; this one has sent nothing for it."""
    evidence: Evidence = Evidence.NONE
    """What proves `disposition`; `Evidence.NONE` where it is unknown."""
    _place: int = field(default=0, repr=False)

    @property
    def record(self) -> Record | BadRecord:
        """The record, or the line that is none."""
        return self._of[self._place] if isinstance(self._of, RecordBatches) else self._of

    @property
    def reconciled(self) -> bool:
        """Whether it is stored, and an answer was lost, so that reading it back had to prove it."""
        return _is_reconciled(self.disposition, self.evidence)

    @property
    def line(self) -> int:
        """The line or row of the record, or its place in the iterable, counted from 1."""
        return self.record.line

    @property
    def file(self) -> str | None:
        """The file of the record where several are read; else None."""
        return self.record.file

    @property
    def sent(self) -> Record:
        """The record, where it is one that could be sent."""
        record = self.record
        assert isinstance(record, Record)
        return record


class ChunkOutcomes(Sequence[RecordOutcome]):
    """What became of the records of one chunk. A `RecordOutcome` is made when it is asked for."""

    __slots__ = ("_attempts", "_task", "counts", "findings", "maybe_applied", "records", "reported_before")

    def __init__(
        self,
        records: Sequence[Record | BadRecord],
        findings: Sequence[Finding],
        *,
        task: TaskId | None = None,
        attempts: int = 0,
        maybe_applied: bool = False,
        reported_before: bool = False,
    ) -> None:
        assert len(findings) == len(records)
        self.records = records
        self.findings = findings
        self.counts = _counted(findings)
        self.maybe_applied = maybe_applied
        self.reported_before = reported_before
        self._task = task
        self._attempts = attempts

    @classmethod
    def of_chunk(cls, chunk: Chunk, findings: Sequence[Finding]) -> Self:
        return cls(
            chunk.records,
            findings,
            task=chunk.task,
            attempts=chunk.requests,
            maybe_applied=chunk.maybe_applied,
        )

    @classmethod
    def same(cls, chunk: Chunk, finding: Finding) -> Self:
        """The same finding for every record of a chunk."""
        return cls.of_chunk(chunk, [finding] * len(chunk.records))

    def __len__(self) -> int:
        return len(self.findings)

    @overload
    def __getitem__(self, place: int) -> RecordOutcome: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[RecordOutcome]: ...
    def __getitem__(self, place: int | slice) -> RecordOutcome | Sequence[RecordOutcome]:
        if isinstance(place, slice):
            return [self._outcome(each) for each in range(*place.indices(len(self)))]
        return self._outcome(range(len(self))[place])

    def __iter__(self) -> Iterator[RecordOutcome]:
        records = self.records
        if not self.all_landed or not isinstance(records, RecordBatches):
            return map(self._outcome, range(len(self)))
        same = self._task, self._attempts, self.maybe_applied, self.reported_before
        return map(
            RecordOutcome,
            repeat(records),
            map(_DISPOSITION, self.findings),
            map(_REASON, self.findings),
            *map(repeat, same),
            map(_EVIDENCE, self.findings),
            range(len(self)),
        )

    def unlanded(self) -> Sequence[RecordOutcome]:
        """The outcomes of records that did not land."""
        if self.all_landed:
            return []
        return [self._outcome(place) for place, (each, *_) in enumerate(self.findings) if not each.has_landed]

    def places_of(self, disposition: Disposition) -> Sequence[int]:
        """The places of the records with that disposition."""
        return [place for place, (each, *_) in enumerate(self.findings) if each is disposition]

    def open_places(self) -> Sequence[int]:
        """The places of records that are unknown, and of which a later run may find out more."""
        return [
            place
            for place, (each, reason, _) in enumerate(self.findings)
            if each is Disposition.UNKNOWN and reason != CHANGED_SINCE
        ]

    @property
    def all_landed(self) -> bool:
        return all(disposition.has_landed for disposition, *_ in self.counts)

    @property
    def has_unknown(self) -> bool:
        return Disposition.UNKNOWN in map(_DISPOSITION, self.counts)

    @property
    def reconciled(self) -> int:
        """The number of records that were found stored by reading them back."""
        return sum(n for (each, _, by), n in self.counts.items() if _is_reconciled(each, by))

    def _outcome(self, place: int) -> RecordOutcome:
        """Make the outcome with its record, so that keeping it does not keep the whole chunk."""
        disposition, reason, evidence = self.findings[place]
        return RecordOutcome(
            self.records[place],
            disposition,
            reason,
            self._task,
            self._attempts,
            self.maybe_applied,
            self.reported_before,
            evidence,
        )


def _is_reconciled(disposition: Disposition, evidence: Evidence) -> bool:
    return disposition is Disposition.PERSISTED and evidence is Evidence.READ_BACK


def _counted(findings: Sequence[Finding]) -> Mapping[Finding, int]:
    count = findings.count(findings[0]) if findings else 0
    return {findings[0]: count} if count and count == len(findings) else Counter(findings)
