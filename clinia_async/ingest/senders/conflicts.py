"""What a record whose key is taken, or that was reviewed, means for a job."""

import asyncio
from typing import cast

from clinia_async.calls import Read, Reconcilable
from clinia_async.calls import conflicts as keys
from clinia_async.calls.conflicts import ConflictEnd, KeyConflict, OnExisting
from clinia_async.calls.reconciliation import REPLICA_LAG, Match, read_back
from clinia_async.errors import CliniaError, Evidence
from clinia_async.ingest.outcomes.outcome import Disposition, Finding
from clinia_async.ingest.records.record import Record
from clinia_async.models import TaskSubmission

NOT_REVIEWED = "it went through a review, and what is there is not what was sent"

_DISPOSITION = {
    ConflictEnd.STORED: Disposition.PERSISTED,
    ConflictEnd.EQUAL: Disposition.EXISTING,
    ConflictEnd.KEPT: Disposition.KEPT,
    ConflictEnd.REFUSED: Disposition.FAILED,
    ConflictEnd.UNKNOWN: Disposition.UNKNOWN,
}


async def resolve_conflict(
    record: Record, error: CliniaError, policy: OnExisting, read: Read, *, maybe_applied: bool
) -> Finding | None:
    """Return what became of a record sent alone; None where its key is not what failed it.

    Raises as `read_back` does.
    """
    write = _write_of(record)
    conflict = await keys.resolve_conflict(write, error, policy, read, maybe_applied=maybe_applied)
    return None if conflict is None else _finding(conflict)


async def compare_existing(record: Record, policy: OnExisting, read: Read, evidence: Evidence) -> Finding:
    """Return what became of a record that was sent once and found its key taken.

    `evidence` is what says that the key is taken. Raises as `read_back` does.
    """
    return _finding(await keys.compare_existing(_write_of(record), policy, read, evidence))


async def compare_within_bundle(record: Record, policy: OnExisting, read: Read, refused: Finding) -> Finding:
    """Return what became of a record whose bundle was refused because one of its keys is taken.

    It is `refused`, if it is not there or has no key to be read by. Raises as `read_back` does.
    """
    if not record.is_create or record.key is None:
        return refused
    conflict = await keys.compare_existing(_write_of(record), policy, read, refused[2], is_taken=False)
    return refused if conflict.end is ConflictEnd.UNKNOWN else _finding(conflict)


async def reconcile_maybe_applied(record: Record, policy: OnExisting, read: Read) -> Finding:
    """Return what became of a record that may have been sent twice and was then refused.

    Raises as `read_back` does.
    """
    return _finding(await keys.reconcile_maybe_applied(_write_of(record), policy, read))


async def reconcile_reviewed(record: Record, read: Read) -> Finding:
    """Return what became of a record whose receipt does not say how its review ended."""
    until = asyncio.get_running_loop().time() + REPLICA_LAG
    back = await read_back(_write_of(record), read, until)
    if back.match is Match.SAME:
        return Disposition.SUCCEEDED, None, back.statement.evidence
    return Disposition.UNKNOWN, NOT_REVIEWED, Evidence.NONE


def _finding(conflict: KeyConflict[TaskSubmission]) -> Finding:
    return _DISPOSITION[conflict.end], conflict.reason, conflict.evidence


def _write_of(record: Record) -> Reconcilable[TaskSubmission]:
    return cast("Reconcilable[TaskSubmission]", record.write)
