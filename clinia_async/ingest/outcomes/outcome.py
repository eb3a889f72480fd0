"""What became of one record."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum
from itertools import repeat
from operator import itemgetter
from typing import overload

from attrs import define, field

from clinia_async.ingest.records.chunk import Chunk
from clinia_async.ingest.records.record import BadRecord, Record
from clinia_async.ingest.records.record_batch import RecordBatches
from clinia_async.models.task_id import TaskId


class Disposition(StrEnum):
    PERSISTED = "persisted"
    """It is stored: at once, or found so after an answer was lost (`reconciled`)."""
    SUCCEEDED = "succeeded"
    """It was queued, and its task stored it."""
    EXISTING = "existing"
    """It was there already, and equal."""
    KEPT = "kept"
    """Another record was there under its key, and was left as it is because `on_existing` is `keep`."""
    INVALID = "invalid"
    """It was refused here; nothing was sent."""
    FAILED = "failed"
    """Its task failed, or another record holds its key."""
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


_DISPOSITION, _REASON = itemgetter(0), itemgetter(1)
Finding = tuple[Disposition, str | None]
"""What became of a record, and the reason."""


@define(unsafe_hash=True)
class RecordOutcome:
    """What became of one record: a value, which nobody changes; not frozen, as they come by the million.

    `reason` names a rule or a type of error, and never quotes the record.

    `attempts` counts the requests that carried it; 0 if none did.
    """

    _of: Record | BadRecord | RecordBatches = field(repr=False, alias="record")
    """The record; or, made by the million, those it is one of."""
    disposition: Disposition
    reason: str | None = None
    task_id: TaskId | None = None
    reconciled: bool = False
    """It is stored, and settled by reading it back after an answer was lost."""
    attempts: int = 0
    maybe_applied: bool = False
    """An answer was lost on the way, so it may have arrived more than once."""
    reported_before: bool = False
    """A former run of the job told it already; this one has sent nothing for it."""
    _place: int = field(default=0, repr=False)

    @property
    def record(self) -> Record | BadRecord:
        return self._of[self._place] if isinstance(self._of, RecordBatches) else self._of

    @property
    def line(self) -> int:
        return self.record.line

    @property
    def sent(self) -> Record:
        """The record, where it is one that could be sent."""
        record = self.record
        assert isinstance(record, Record)
        return record


class ChunkOutcomes(Sequence[RecordOutcome]):
    """What became of the records of one chunk. An outcome is made of it when somebody asks for it.

    `reconciles` says that a record found PERSISTED was found so by reading it back.
    """

    __slots__ = ("_attempts", "_reconciles", "_task", "counts", "findings", "maybe_applied", "records")

    def __init__(self, chunk: Chunk, findings: Sequence[Finding], *, reconciles: bool = False) -> None:
        assert len(findings) == len(chunk.records)
        self.records = chunk.records
        self.findings = findings
        self.counts = _counted(findings)
        self.maybe_applied = chunk.maybe_applied
        """Each of them may have arrived twice."""
        self._task = chunk.task
        self._attempts = chunk.requests
        self._reconciles = reconciles

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
        if not self.all_landed:
            return map(self._outcome, range(len(self)))
        dispositions = map(_DISPOSITION, self.findings)
        any_is = any(map(self.is_reconciled, self.counts))
        reconciled = map(self.is_reconciled, self.findings) if any_is else repeat(False)
        about = map(_REASON, self.findings), repeat(self._task), reconciled, repeat(self._attempts)
        more = repeat(self.maybe_applied), repeat(False), range(len(self))
        return map(RecordOutcome, repeat(self.records), dispositions, *about, *more)

    def unlanded(self) -> Sequence[RecordOutcome]:
        if self.all_landed:
            return ()
        return [
            self._outcome(place)
            for place, (disposition, _) in enumerate(self.findings)
            if not disposition.has_landed
        ]

    @property
    def all_landed(self) -> bool:
        return all(disposition.has_landed for disposition, _ in self.counts)

    @property
    def has_unknown(self) -> bool:
        return Disposition.UNKNOWN in map(_DISPOSITION, self.counts)

    def is_reconciled(self, finding: Finding) -> bool:
        return self._reconciles and finding[0] is Disposition.PERSISTED

    def _outcome(self, place: int) -> RecordOutcome:
        """With the record itself: whoever keeps what failed must not keep the whole chunk."""
        disposition, reason = finding = self.findings[place]
        return RecordOutcome(
            self.records[place],
            disposition,
            reason,
            self._task,
            self.is_reconciled(finding),
            self._attempts,
            self.maybe_applied,
        )


def _counted(findings: Sequence[Finding]) -> Mapping[Finding, int]:
    count = findings.count(findings[0]) if findings else 0
    return {findings[0]: count} if count and count == len(findings) else Counter(findings)


def unlanded(outcomes: Sequence[RecordOutcome]) -> Sequence[RecordOutcome]:
    """Those of records that did not land."""
    if isinstance(outcomes, ChunkOutcomes):
        return outcomes.unlanded()
    return [outcome for outcome in outcomes if not outcome.disposition.has_landed]
