"""What may be said of a write, by its answer, by its receipts, or by the record when it is read back.

This is the only place for such rules, with `receipts` for what receipts prove, `equality` for whether a
record is what was sent, `conflicts` for a key that is taken, and `error_answers` for HTTP.
`transport`, `tasks`, `session.coalescing` and `ingest.senders` ask here, so a single write, a
coalesced one, a bulk, a bundle and a job say the same of the same answers.

* A negative statement (not stored, dropped, cancelled) needs a proof about this very write: a receipt of its
  own task, or the service's own error envelope, and no earlier attempt whose answer was lost.
* A positive statement needs a proof that the content of this write is stored: a receipt without a
  pipeline, a PERSISTED answer, or the record read back and equal.
* Whatever is neither is unknown. A record that is not found is no proof that it was refused: a replica may
  lag behind, and a lost attempt may still be carried out.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from enum import Enum, auto
from typing import Generic, NamedTuple, Protocol, TypeVar

from clinia_async.calls.call import Call, R, R_co, Read
from clinia_async.calls.receipts import Proof, are_consistent, proof_of, proves_stored
from clinia_async.errors import (
    AlreadyExists,
    ApiError,
    CliniaError,
    Evidence,
    FailedPrecondition,
    NotFound,
    Outcome,
    RequestError,
    WriteConflict,
    copy_for_raise,
)
from clinia_async.models import Receipt, TaskStatus
from clinia_async.models.struct import Struct

E = TypeVar("E", bound=CliniaError)

READ_BACK_FOR = 30.0
"""Seconds for which a record is read after a lost answer: the first attempt may still be carried out."""
REPLICA_LAG = 5.0
"""Seconds for which a record is read again that a receipt proves stored: a stale replica may answer."""

DIFFERENT_RECORD = "the key is taken by a record that differs from the one that was sent"
STILL_THERE = "the next attempt to delete it found nothing, and the record can still be read"

_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 5.0

DuplicateErrors = tuple[type[ApiError], ...]
"""What the second of two equal attempts is answered when the first was carried out."""
EXISTS_ALREADY: DuplicateErrors = (AlreadyExists,)
DELETED_ALREADY: DuplicateErrors = (NotFound,)
PARTITION_EXISTS_ALREADY: DuplicateErrors = (AlreadyExists, FailedPrecondition)


class Reconcilable(Call[R_co], Protocol[R_co]):
    """A write whose lost answer can be found out by reading back what it was about."""

    @property
    def duplicate_errors(self) -> DuplicateErrors:
        """The errors that say that an earlier attempt may have been carried out."""
        ...

    def readback(self, receipts: Sequence[Receipt] = ()) -> Call[object]:
        """Return the call that reads what this write leaves.

        Raises:
            ProtocolError: the service makes the id, and no receipt names it.
        """
        ...

    def reconciled(self, found: object) -> R_co | None:
        """Return the answer that was lost, if `found` is what this write leaves.

        `found` is None where there is no record.
        """
        ...


class Statement(NamedTuple):
    """What may be said of a write, and what proves it."""

    outcome: Outcome
    evidence: Evidence

    def on(self, error: E) -> E:
        """Return a copy of `error` that says this."""
        error = copy_for_raise(error)
        error.outcome, error.evidence = self
        if isinstance(error, RequestError):
            error.is_read = False  # from now on it is about the write
        return error


UNPROVEN = Statement(Outcome.UNKNOWN, Evidence.NONE)


def is_keyed_create(write: object) -> bool:
    """Whether the write never replaces what is there, and its key is known before it is sent."""
    return AlreadyExists in getattr(write, "duplicate_errors", ())


def conflict_of(write: object) -> WriteConflict:
    """Return the error of a write that met what may be its own result, where something else is there."""
    if is_keyed_create(write):
        return WriteConflict(DIFFERENT_RECORD)
    conflict = WriteConflict(STILL_THERE)
    conflict.advice = "read it again, and delete it again if it stays there"
    return conflict


def statement_of_failure(error: CliniaError, *, maybe_applied: bool) -> Statement:
    """What the last failure of a write proves; once an answer was lost, that nothing happened is unproven."""
    return UNPROVEN if maybe_applied else Statement(error.outcome, error.evidence)


def statement_of_end(
    status: TaskStatus,
    receipts: Sequence[Receipt],
    *,
    maybe_applied: bool,
    is_single: bool = False,
    is_whole: bool = True,
) -> Statement:
    """What a task that did not end well proves about its operations taken together.

    Args:
        status: that of the task.
        receipts: those that could be read, of whichever operations.
        maybe_applied: an earlier attempt was sent and its answer lost.
        is_single: the task is about one write, which its status speaks for.
        is_whole: no operation is without a receipt.
    """
    if not is_whole:
        return UNPROVEN
    if not receipts:
        return outcome_without_receipts(status, maybe_applied=maybe_applied, is_single=is_single)
    if not are_consistent(status, receipts):
        return UNPROVEN
    return outcome_of(receipts, maybe_applied=maybe_applied)


def outcome_of(receipts: Iterable[Receipt], *, maybe_applied: bool) -> Statement:
    """What the receipts of a task that failed or was cancelled prove about its operations taken together."""
    proofs = {proof_of(receipt, maybe_applied=maybe_applied) for receipt in receipts}
    if proofs and proofs <= {Proof.NOT_APPLIED, Proof.DROPPED}:
        return Statement(Outcome.REJECTED, Evidence.RECEIPT)
    return UNPROVEN


def outcome_without_receipts(
    status: TaskStatus, *, maybe_applied: bool, is_single: bool = False
) -> Statement:
    """What the status alone of a task that did not succeed proves about its operations.

    CANCELLED says that every operation was cancelled; FAILURE says so of a single write (`is_single`) only.
    """
    is_proven = status == TaskStatus.CANCELLED or (is_single and status == TaskStatus.FAILURE)
    if is_proven and not maybe_applied:
        return Statement(Outcome.REJECTED, Evidence.TASK)
    return UNPROVEN


def carried_out(receipt: Receipt | None = None) -> Statement:
    """What a task that succeeded proves, by the receipt of the write, or by its status alone."""
    return Statement(Outcome.DONE, Evidence.TASK if receipt is None else Evidence.RECEIPT)


def statement_of_success(receipt: Receipt) -> Statement:
    """What the receipt of a write that is not known here proves, where its task succeeded."""
    return carried_out(receipt) if proves_stored(receipt) else UNPROVEN


def evidence_of_operation(*, persisted: bool) -> Evidence:
    """What proves an operation of a bulk that is stored: the answer to the bulk, or its receipt."""
    return Evidence.ENVELOPE if persisted else Evidence.RECEIPT


def evidence_of_batch(receipts: Iterable[Receipt]) -> Evidence:
    """What proves a batch of which every write is known to be stored: the receipts, or records read back."""
    return Evidence.RECEIPT if all(map(proves_stored, receipts)) else Evidence.READ_BACK


def statement_after(status: TaskStatus | None, *, is_contradicted: bool = False) -> Statement:
    """What is proven where a task ended with `status`, or is not known to have ended, and a read failed."""
    return carried_out() if status == TaskStatus.SUCCESS and not is_contradicted else UNPROVEN


def proves_content(error: CliniaError) -> bool:
    """Whether `error` came after a proof that the content of the write is stored.

    The SUCCESS of its task alone is none: it is also said of what a reviewer refused.
    """
    return error.outcome is Outcome.DONE and error.evidence is not Evidence.TASK


def statement_of_answer(*, reconciled: bool) -> Statement:
    """What proves a write that was PERSISTED: the answer, or, after a lost one, the record read back."""
    return Statement(Outcome.DONE, Evidence.READ_BACK if reconciled else Evidence.ENVELOPE)


class Match(Enum):
    SAME = auto()
    """What is there is what the write leaves."""
    DIFFERENT = auto()
    """Something else is there."""
    ABSENT = auto()
    """Nothing was found. That is no proof that the write was refused."""


class ReadBack(Struct, Generic[R]):
    """The end of reading a record back."""

    match: Match
    answer: R | None = None
    """Return the answer that was lost, if `match` is SAME."""
    found: object = None
    """The record as it was read last; None if there was none."""
    missing: NotFound | None = None
    """What the last read was answered, if `match` is ABSENT."""

    @property
    def statement(self) -> Statement:
        """That the write was carried out, where the record is what it leaves; else nothing."""
        return Statement(Outcome.DONE, Evidence.READ_BACK) if self.match is Match.SAME else UNPROVEN


async def read_back(
    write: Reconcilable[R],
    read: Read,
    until: float,
    *,
    receipts: Sequence[Receipt] = (),
    is_final: Callable[[object], bool] | None = None,
) -> ReadBack[R]:
    """Read what `write` was about and compare, again with growing pauses until it is the same.

    `until` is a time of the event loop's clock, in seconds. A record that is not there is read again: a
    replica may lag, or an earlier attempt may still be carried out. So is one that differs, unless `is_final`
    says of it that to read again is of no use; by default it says so of all that a create finds, which never
    replaces a record. May be called again at any time.

    Raises:
        RequestError: a read failed other than by `NotFound`.
    """
    loop, pause = asyncio.get_running_loop(), _FIRST_PAUSE
    call = write.readback(receipts)
    if is_final is None:
        is_final = _is_final_for_creates(write)
    while True:
        found, missing = None, None
        try:
            found = await read(call)
        except NotFound as error:
            missing = error
        answer = write.reconciled(found)
        if answer is not None:
            return ReadBack(Match.SAME, answer, found)
        match = Match.ABSENT if found is None else Match.DIFFERENT
        if (match is Match.DIFFERENT and is_final(found)) or loop.time() + pause >= until:
            return ReadBack(match, None, found, missing)
        await asyncio.sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE)


def _is_final_for_creates(write: Reconcilable[R]) -> Callable[[object], bool]:
    return lambda _: is_keyed_create(write)
