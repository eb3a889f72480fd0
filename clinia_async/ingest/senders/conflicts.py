"""What to do about a record whose key is taken."""

import asyncio
from enum import StrEnum
from typing import cast

from clinia_async.calls import Read, Reconcilable
from clinia_async.calls.reconciliation import Match, read_back
from clinia_async.ingest.outcomes.outcome import Disposition, Finding
from clinia_async.ingest.records.record import Record
from clinia_async.models import Action, ErrorType, TaskSubmission

DIFFERENT = "another record is there, with different data"
UNSEEN = "an answer was lost, its repeat was refused, and nothing is there"
UNSETTLED = "an answer was lost, its repeat was refused, and what is there is not what was sent"
VANISHED = "its key was taken, and nothing is there to be read"


class OnExisting(StrEnum):
    COMPARE = "compare"
    """Read it back: equal is fine, different is a failure."""
    KEEP = "keep"
    """Read it back: what is there stays and is no failure; the report says if it differs."""
    FAIL = "fail"
    """A failure, without looking."""


async def compare_existing(record: Record, policy: OnExisting, read: Read) -> Finding:
    """For a record that was sent once and found its key taken."""
    if policy is OnExisting.FAIL:
        return Disposition.FAILED, str(ErrorType.ALREADY_EXISTS)
    now = asyncio.get_running_loop().time()
    match = (await read_back(reconcilable(record), read, now)).match
    if match is Match.ABSENT:
        return Disposition.UNKNOWN, VANISHED
    return (Disposition.EXISTING, None) if match is Match.SAME else different(policy)


async def reconcile_maybe_applied(record: Record, policy: OnExisting, read: Read, deadline: float) -> Finding:
    """For a record that may have been sent twice and was then refused: what is there tells.

    Until `deadline` on the loop's clock it is waited for: the first of two may still be carried out.
    Only a create that meets another record is refused for good.
    """
    match = (await read_back(reconcilable(record), read, deadline)).match
    if match is Match.SAME:
        return Disposition.PERSISTED, None
    if match is Match.ABSENT:
        return Disposition.UNKNOWN, UNSEEN
    return different(policy) if record.action is Action.CREATE else (Disposition.UNKNOWN, UNSETTLED)


def reconcilable(record: Record) -> Reconcilable[TaskSubmission]:
    return cast("Reconcilable[TaskSubmission]", record.write)


def different(policy: OnExisting) -> Finding:
    kept = policy is OnExisting.KEEP
    return Disposition.KEPT if kept else Disposition.FAILED, DIFFERENT
