"""What became of one record."""

from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from itertools import repeat
from operator import itemgetter
from typing import overload

from attrs import define, field

from clinia_async.ingest.chunks import Chunk
from clinia_async.ingest.records import BadRecord, Record
from clinia_async.task_id import TaskId


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

    @property
    def has_landed(self) -> bool:
        """Whether nothing needs to be done about it."""
        return self in _LANDED


_LANDED = frozenset({Disposition.PERSISTED, Disposition.SUCCEEDED, Disposition.EXISTING, Disposition.KEPT})

_DISPOSITION, _REASON = itemgetter(0), itemgetter(1)
Finding = tuple[Disposition, str | None]
"""What became of a record, and the reason."""


@define(unsafe_hash=True)
class RecordOutcome:
    """What became of one record: a value, which nobody changes; not frozen, as they come by the million.

    `reason` names a rule or a type of error, and never quotes the record.

    `attempts` counts the requests that carried it; 0 if none did.
    """

    record: Record | BadRecord = field(repr=False)
    disposition: Disposition
    reason: str | None = None
    task_id: TaskId | None = None
    reconciled: bool = False
    """It is stored, and settled by reading it back after an answer was lost."""
    attempts: int = 0
    doubtful: bool = False
    """An answer was lost on the way, so it may have arrived more than once."""
    former: bool = False
    """A former run of the job told it already; this one has sent nothing for it."""

    @property
    def line(self) -> int:
        return self.record.line

    @property
    def sent(self) -> Record:
        """The record, where it is one that could be sent."""
        assert isinstance(self.record, Record)
        return self.record


class Settlement(Sequence[RecordOutcome]):
    """What became of the records of one chunk. An outcome is made of it when somebody asks for it.

    `reconciles` says that a record found PERSISTED was found so by reading it back.
    """

    __slots__ = ("_attempts", "_doubtful", "_reconciles", "_task", "findings", "records")

    def __init__(self, chunk: Chunk, findings: Sequence[Finding], *, reconciles: bool = False) -> None:
        assert len(findings) == len(chunk.records)
        self.records = chunk.records
        self.findings = findings
        self._task = chunk.task
        self._attempts = chunk.requests
        self._doubtful = chunk.doubtful
        self._reconciles = reconciles and Disposition.PERSISTED in map(_DISPOSITION, findings)

    def __len__(self) -> int:
        return len(self.records)

    @overload
    def __getitem__(self, place: int) -> RecordOutcome: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[RecordOutcome]: ...
    def __getitem__(self, place: int | slice) -> RecordOutcome | Sequence[RecordOutcome]:
        if isinstance(place, slice):
            return [
                self._outcome(*each) for each in zip(self.records[place], self.findings[place], strict=True)
            ]
        return self._outcome(self.records[place], self.findings[place])

    def __iter__(self) -> Iterator[RecordOutcome]:
        dispositions, reasons = map(_DISPOSITION, self.findings), map(_REASON, self.findings)
        reconciled = map(self.is_reconciled, self.findings) if self._reconciles else repeat(False)
        about = repeat(self._task), reconciled, repeat(self._attempts), repeat(self._doubtful)
        return map(RecordOutcome, self.records, dispositions, reasons, *about)

    def unlanded(self) -> Sequence[RecordOutcome]:
        if _LANDED.issuperset(map(_DISPOSITION, self.findings)):
            return ()
        return [
            self[place] for place, (disposition, _) in enumerate(self.findings) if disposition not in _LANDED
        ]

    @property
    def has_unknown(self) -> bool:
        return Disposition.UNKNOWN in map(_DISPOSITION, self.findings)

    def doubtful(self) -> Iterable[int]:
        """The places of records that may have arrived twice, where none is unknown."""
        return range(len(self.records)) if self._doubtful else ()

    def is_reconciled(self, finding: Finding) -> bool:
        return self._reconciles and finding[0] is Disposition.PERSISTED

    def _outcome(self, record: Record, finding: Finding) -> RecordOutcome:
        disposition, reason = finding
        reconciled = self._reconciles and disposition is Disposition.PERSISTED
        return RecordOutcome(
            record, disposition, reason, self._task, reconciled, self._attempts, self._doubtful
        )


def unlanded(outcomes: Sequence[RecordOutcome]) -> Sequence[RecordOutcome]:
    """Those of records that did not land."""
    if isinstance(outcomes, Settlement):
        return outcomes.unlanded()
    return [outcome for outcome in outcomes if not outcome.disposition.has_landed]
