"""What to do about a record whose key is taken."""

import asyncio
from enum import StrEnum
from typing import cast

from clinia_async.calls import Read, Reconcilable
from clinia_async.calls.reconciliation import READ_BACK_FOR, REPLICA_LAG, Match, read_back
from clinia_async.errors import Evidence
from clinia_async.ingest.outcomes.outcome import CHANGED_SINCE, Disposition, Finding
from clinia_async.ingest.records.record import Record
from clinia_async.models import ErrorType, TaskSubmission

DIFFERENT = "another record is there, with different data"
NOT_FOUND = "an answer was lost, the next attempt was refused, and nothing is there"
NOT_SAME = "an answer was lost, the next attempt failed, and what is there is not what was sent"
VANISHED = "its key was taken, and nothing is there to be read"
NOT_REVIEWED = "it went through a review, and what is there is not what was sent"


class OnExisting(StrEnum):
    """What becomes of a create whose key another record holds."""

    COMPARE = "compare"
    """Read it back: equal is fine, different is a failure."""
    KEEP = "keep"
    """Read it back: what is there stays and is no failure; the report says if it differs."""
    FAIL = "fail"
    """A failure, without reading."""


async def compare_existing(record: Record, policy: OnExisting, read: Read, evidence: Evidence) -> Finding:
    """Return what became of a record that was sent once and found its key taken.

    `evidence` is what says that the key is taken. Raises as `read_back` does.
    """
    if policy is OnExisting.FAIL:
        return Disposition.FAILED, str(ErrorType.ALREADY_EXISTS), evidence
    match = await _match(record, read, REPLICA_LAG)
    if match is Match.ABSENT:
        return Disposition.UNKNOWN, VANISHED, Evidence.NONE
    if match is Match.SAME:
        return Disposition.EXISTING, None, Evidence.READ_BACK
    kept = policy is OnExisting.KEEP
    return Disposition.KEPT if kept else Disposition.FAILED, DIFFERENT, Evidence.READ_BACK


async def reconcile_maybe_applied(record: Record, policy: OnExisting, read: Read) -> Finding:
    """Return what became of a record that may have been sent twice and was then refused.

    Only what is there can say: the first of the two may have been carried out, and changed or deleted since.
    Raises as `read_back` does.
    """
    match = await _match(record, read, READ_BACK_FOR)
    if match is Match.SAME:
        return Disposition.PERSISTED, None, Evidence.READ_BACK
    if match is Match.ABSENT:
        return Disposition.UNKNOWN, NOT_FOUND, Evidence.NONE
    if policy is OnExisting.KEEP and record.is_create:
        return Disposition.KEPT, DIFFERENT, Evidence.READ_BACK
    return Disposition.UNKNOWN, CHANGED_SINCE if record.is_create else NOT_SAME, Evidence.NONE


async def reconcile_reviewed(record: Record, read: Read) -> Finding:
    """Return what became of a record whose receipt does not say how its review ended."""
    if await _match(record, read, REPLICA_LAG) is Match.SAME:
        return Disposition.SUCCEEDED, None, Evidence.READ_BACK
    return Disposition.UNKNOWN, NOT_REVIEWED, Evidence.NONE


async def _match(record: Record, read: Read, seconds: float) -> Match:
    until = asyncio.get_running_loop().time() + seconds
    write = cast("Reconcilable[TaskSubmission]", record.write)
    return (await read_back(write, read, until)).match
