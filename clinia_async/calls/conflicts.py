"""A create whose key is taken: the policies, and what the record that is there means under each.

What a record that is read back proves is written in `reconciliation`. Services and jobs both ask here, so
that they say the same.
"""

import asyncio
from enum import Enum, StrEnum, auto
from typing import Generic, TypeVar

from clinia_async.calls.call import R, Read
from clinia_async.calls.receipts import is_duplicate, is_key_taken
from clinia_async.calls.reconciliation import (
    READ_BACK_FOR,
    REPLICA_LAG,
    UNPROVEN,
    Match,
    ReadBack,
    Reconcilable,
    Statement,
    is_keyed_create,
    read_back,
)
from clinia_async.errors import (
    CliniaError,
    ConfigError,
    Evidence,
    RequestError,
    TaskFailed,
    WriteConflict,
    copy_for_raise,
)
from clinia_async.errors.settings import choice
from clinia_async.models import ErrorType
from clinia_async.models.struct import Struct

F = TypeVar("F", bound=CliniaError)

DIFFERENT = "another record is there, with different data"
NOT_FOUND = "an answer was lost, the next attempt was refused, and nothing is there"
NOT_SAME = "an answer was lost, the next attempt failed, and what is there is not what was sent"
CHANGED_SINCE = "an answer was lost, the next attempt was refused, and what is there is not what was sent"
"""The reason of an UNKNOWN that no later run can find out more about: another record holds the key now."""
VANISHED = "its key was taken, and nothing is there to be read"


class OnExisting(StrEnum):
    """What becomes of a create whose key another record holds."""

    COMPARE = "compare"
    """Read it back: equal is fine, different is a failure."""
    KEEP = "keep"
    """Read it back: what is there stays and is no failure; the result says if it differs."""
    FAIL = "fail"
    """A failure, without reading."""


class Existing(StrEnum):
    """The record that a create found under its key."""

    EQUAL = "equal"
    """It holds all that was sent."""
    DIFFERENT = "different"
    """It holds something else, and was left as it is."""


class ConflictEnd(Enum):
    """What became of a create whose key is taken."""

    STORED = auto()
    """It was carried out: an answer was lost, and what is there is what was sent."""
    EQUAL = auto()
    """An equal record was there before."""
    KEPT = auto()
    """Another record is there, and stays."""
    REFUSED = auto()
    """Another record is there, and that is a failure."""
    UNKNOWN = auto()
    """It may or may not be stored."""


class KeyConflict(Struct, Generic[R]):
    """What became of a create whose key is taken, the reason, and what proves it."""

    end: ConflictEnd
    reason: str | None
    evidence: Evidence
    back: ReadBack[R] | None = None
    """What was read; None if nothing was."""

    @property
    def existing(self) -> Existing | None:
        """The record that was there before, where the write ended well; None where there was none."""
        return {ConflictEnd.EQUAL: Existing.EQUAL, ConflictEnd.KEPT: Existing.DIFFERENT}.get(self.end)


class FoundInstead(Struct):
    """The record that is there in place of, or because of, a write that was refused."""

    record: object
    existing: Existing | None
    """The record that was there before; None where the write itself made it."""
    evidence: Evidence


def checked_policy(write: object, on_existing: OnExisting | str) -> OnExisting:
    """Return what becomes of `write` if its key is taken.

    Raises:
        ConfigError: it is no such policy, or the write is no create whose key is known before it is sent.
    """
    policy = on_existing
    if not isinstance(policy, OnExisting):
        policy = choice(OnExisting, "on_existing", policy)
    if policy is not OnExisting.FAIL and not is_keyed_create(write):
        raise ConfigError(f"on_existing must be {OnExisting.FAIL} for a write that is no create with an id")
    return policy


async def found_instead(
    write: Reconcilable[object], failure: F, policy: OnExisting, read: Read, *, maybe_applied: bool
) -> FoundInstead:
    """Return the record that a create is answered with after `failure`, as `policy` says.

    Raises:
        RequestError: the record could not be read. That says nothing of the write.
        CliniaError: `failure` stands, and says what was found out.
    """
    try:
        conflict = await resolve_conflict(write, failure, policy, read, maybe_applied=maybe_applied)
    except RequestError as error:
        raise UNPROVEN.on(error) from None
    if conflict is None:
        raise copy_for_raise(failure)
    if conflict.end is ConflictEnd.REFUSED:
        raise Statement(failure.outcome, conflict.evidence).on(failure)
    if conflict.end is ConflictEnd.UNKNOWN or conflict.back is None:
        raise UNPROVEN.on(failure)
    return FoundInstead(conflict.back.found, conflict.existing, conflict.evidence)


async def resolve_conflict(
    write: Reconcilable[R], error: CliniaError, policy: OnExisting, read: Read, *, maybe_applied: bool
) -> KeyConflict[R] | None:
    """Return what became of a write that ended with `error`; None where its key is not what failed it.

    Raises as `read_back` does.
    """
    if isinstance(error, WriteConflict):
        return await reconcile_maybe_applied(write, policy, read)
    is_taken = _says_taken(error)
    if maybe_applied or not (is_taken or (is_keyed_create(write) and is_duplicate(error, write))):
        return None
    conflict = await compare_existing(write, policy, read, error.evidence)
    # FAILED_PRECONDITION may be about something else, and is where nothing is there
    return conflict if is_taken or conflict.end is not ConflictEnd.UNKNOWN else None


def _says_taken(error: CliniaError) -> bool:
    if isinstance(error, TaskFailed):
        return len(error.failed_receipts) == 1 and is_key_taken(error.failed_receipts[0])
    return is_key_taken(error)


async def compare_existing(
    write: Reconcilable[R], policy: OnExisting, read: Read, evidence: Evidence, *, is_taken: bool = True
) -> KeyConflict[R]:
    """Return what became of a write that was sent once and found its key taken.

    `evidence` is what says that the key is taken. It may say so of another write of the same bundle: without
    `is_taken` the record is read once, whatever the policy. Raises as `read_back` does.
    """
    if is_taken and policy is OnExisting.FAIL:
        return KeyConflict(ConflictEnd.REFUSED, str(ErrorType.ALREADY_EXISTS), evidence)
    back = await _read(write, read, REPLICA_LAG if is_taken else 0.0)
    if back.match is Match.ABSENT:
        return KeyConflict(ConflictEnd.UNKNOWN, VANISHED, Evidence.NONE, back)
    if policy is OnExisting.FAIL:
        return KeyConflict(ConflictEnd.REFUSED, str(ErrorType.ALREADY_EXISTS), evidence, back)
    if back.match is Match.SAME:
        return KeyConflict(ConflictEnd.EQUAL, None, Evidence.READ_BACK, back)
    end = ConflictEnd.KEPT if policy is OnExisting.KEEP else ConflictEnd.REFUSED
    return KeyConflict(end, DIFFERENT, Evidence.READ_BACK, back)


async def reconcile_maybe_applied(write: Reconcilable[R], policy: OnExisting, read: Read) -> KeyConflict[R]:
    """Return what became of a write that may have been sent twice and was then refused.

    Only what is there can say: the first of the two may have been carried out, and changed or deleted since.
    Raises as `read_back` does.
    """
    back = await _read(write, read, READ_BACK_FOR)
    if back.match is Match.SAME:
        return KeyConflict(ConflictEnd.STORED, None, Evidence.READ_BACK, back)
    if back.match is Match.ABSENT:
        return KeyConflict(ConflictEnd.UNKNOWN, NOT_FOUND, Evidence.NONE, back)
    if policy is OnExisting.KEEP and is_keyed_create(write):
        return KeyConflict(ConflictEnd.KEPT, DIFFERENT, Evidence.READ_BACK, back)
    reason = CHANGED_SINCE if is_keyed_create(write) else NOT_SAME
    return KeyConflict(ConflictEnd.UNKNOWN, reason, Evidence.NONE, back)


async def _read(write: Reconcilable[R], read: Read, seconds: float) -> ReadBack[R]:
    return await read_back(write, read, asyncio.get_running_loop().time() + seconds)
