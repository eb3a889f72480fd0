"""The result of a write of one record, alone or as an operation of a bulk, once its task has ended."""

from collections.abc import Sequence
from typing import Generic, NoReturn, Protocol, cast

from attrs import evolve

from clinia_async import calls
from clinia_async.calls import Call, Read, Write
from clinia_async.calls.addressing import DeleteRecord
from clinia_async.calls.call import R, R_co
from clinia_async.calls.conflicts import FoundInstead, OnExisting, found_instead
from clinia_async.calls.equality import is_newer, is_older
from clinia_async.calls.receipts import (
    Proof,
    ReceiptSubject,
    action_of,
    are_consistent,
    is_contradicted,
    is_taken_back,
    own_receipts,
    proof_of,
    receipt_for,
)
from clinia_async.calls.reconciliation import (
    DIFFERENT_RECORD,
    READ_BACK_FOR,
    REPLICA_LAG,
    DuplicateErrors,
    Match,
    carried_out,
    read_back,
    statement_after,
)
from clinia_async.errors import (
    InvalidWrite,
    ProtocolError,
    RequestError,
    TaskFailed,
    TaskUnconfirmed,
    WriteConflict,
)
from clinia_async.models import (
    Action,
    Receipt,
    TaskSnapshot,
    TaskStatus,
    TaskSubmission,
)
from clinia_async.models.identifiers import is_token
from clinia_async.models.struct import Struct
from clinia_async.tasks.ended import (
    NOT_SHOWN,
    UNCONFIRMED,
    compare,
    failed,
    receipts_of,
    unreadable,
    until_after,
)
from clinia_async.tasks.task import ResultResolver, Task


class RecordWrite(Write[R_co], ReceiptSubject, Protocol[R_co]):
    """A write of one record, which can be read back."""

    @property
    def duplicate_errors(self) -> DuplicateErrors: ...
    def readback(self, receipts: Sequence[Receipt] = ()) -> Call[object]: ...
    def reconciled(self, found: object) -> TaskSubmission | None: ...


class RecordResult(Generic[R]):
    """The result of a write of one record, sent alone or as an operation of a bulk."""

    __slots__ = ("is_alone", "operation", "read", "reads_back", "write")  # every pending task has one

    def __init__(
        self,
        write: RecordWrite[R],
        read: Read,
        reads_back: bool = True,
        operation: bytes | None = None,
        is_alone: bool = True,
    ) -> None:
        self.write = write
        self.read = read
        self.reads_back = reads_back
        self.operation = operation
        """The write as it went out, where it is known; whatever becomes of the caller's objects since."""
        self.is_alone = is_alone
        """Whether the task is about this write only, so that its status speaks for the write."""

    async def __call__(self, task: Task[R], snapshot: TaskSnapshot) -> R:
        try:
            return await self._resolve(task, snapshot)
        except InvalidWrite:
            raise unreadable(snapshot) from None

    async def _resolve(self, task: Task[R], snapshot: TaskSnapshot) -> R:
        receipts, failure = await receipts_of(task, snapshot)
        receipt = receipt_for(
            self.write, own_receipts(receipts, task.id, snapshot.status, said_later=task.said_later)
        )
        if receipt is None or not receipt.status.is_terminal:
            return await self._without_receipt(task, snapshot, receipts, failure)
        if not are_consistent(snapshot.status, [receipt]):
            raise failed(task, snapshot, [receipt], [receipt])
        proof = proof_of(receipt, maybe_applied=task.maybe_applied, action=action_of(self.write))
        match proof:
            case Proof.STORED:
                return await self._stored(task, receipt)
            case Proof.READ_BACK_NEEDED if receipt.status == TaskStatus.SUCCESS:
                return await self._after_pipeline(task, receipt)
            case Proof.READ_BACK_NEEDED:
                return await self._after_duplicate(task, snapshot, [receipt])
            case _:
                raise failed(task, snapshot, [receipt], is_whole=proof is not Proof.NOTHING)

    async def _stored(self, task: Task[R], receipt: Receipt) -> R:
        """The result of a write that a receipt proves."""
        task.evidence = carried_out(receipt).evidence
        if isinstance(self.write, DeleteRecord):
            return cast("R", None)
        if not self.reads_back and (sent := self._as_sent(receipt)) is not None:
            return sent
        try:
            back = await read_back(
                self.write,
                self.read,
                until_after(REPLICA_LAG),
                receipts=[receipt],
                is_final=lambda found: self._is_final(found, receipt),
            )
        except RequestError as error:
            self._raise_done(error, receipt)
        if back.answer is not None:
            return self.write.result(back.answer)
        if back.missing is not None:
            self._raise_done(back.missing, receipt)
        if self.write.id is None or is_newer(back.found, receipt):
            return cast("R", back.found)  # somebody has changed it since, or the service writes it otherwise
        if (sent := self._as_sent(receipt)) is not None:
            return sent
        raise carried_out(receipt).on(ProtocolError(NOT_SHOWN))

    def _is_final(self, found: object, receipt: Receipt) -> bool:
        """Whether to read again is of no use, though the record does not show the write."""
        return is_newer(found, receipt) or (is_create(self.write) and not is_older(found, receipt))

    async def _after_pipeline(self, task: Task[R], receipt: Receipt) -> R:
        """The result where the receipt does not prove that the write was carried out, and the record may.

        A pipeline ran and the receipt does not say whether a reviewer refused it, or it holds an error, or it
        names another action.
        """
        back = await compare(self.write, self.read, until_after(REPLICA_LAG), [receipt])
        if back.answer is None:
            raise task.error(TaskUnconfirmed, UNCONFIRMED)
        task.evidence = back.statement.evidence
        return self.write.result(back.answer)

    async def _after_duplicate(self, task: Task[R], snapshot: TaskSnapshot, receipts: Sequence[Receipt]) -> R:
        """The result of a write that met what may be its own earlier attempt, whose answer was lost."""
        back = await compare(self.write, self.read, until_after(READ_BACK_FOR), receipts)
        if back.answer is None:
            if back.match is Match.DIFFERENT and is_create(self.write):
                raise WriteConflict(DIFFERENT_RECORD)
            raise failed(task, snapshot, receipts)
        task.reconciled = True
        task.evidence = back.statement.evidence
        return self.write.result(back.answer)

    async def _without_receipt(
        self,
        task: Task[R],
        snapshot: TaskSnapshot,
        receipts: Sequence[Receipt],
        failure: RequestError | None,
    ) -> R:
        """The result of a task whose receipt could not be read."""
        contradicted = is_contradicted(self.write, receipts, is_alone=self.is_alone)
        contradicted = contradicted or is_taken_back(snapshot.status, task.said_later)
        if snapshot.status == TaskStatus.CANCELLED and task.maybe_applied and self.write.id is not None:
            return await self._after_duplicate(task, snapshot, ())
        if snapshot.status != TaskStatus.SUCCESS:
            # a delete of a resource also deletes relationships, and may have done a part of it
            is_single = self.is_alone and not isinstance(self.write, calls.DeleteResource)
            raise failed(task, snapshot, (), is_single=is_single, is_whole=not contradicted) from failure
        failure = failure or ProtocolError("the task brought no receipt of the write")
        if self.write.id is None:
            raise statement_after(snapshot.status, is_contradicted=contradicted).on(failure)
        try:
            back = await read_back(self.write, self.read, until_after(REPLICA_LAG))
        except RequestError as error:
            raise statement_after(snapshot.status, is_contradicted=contradicted).on(error) from None
        if back.answer is None:
            raise task.error(TaskUnconfirmed, UNCONFIRMED) from failure
        task.evidence = back.statement.evidence
        return self.write.result(back.answer)

    def _as_sent(self, receipt: Receipt) -> R | None:
        """The record as it was sent, under the id that the receipt names; None where that is not known."""
        if not hasattr(self.write, "as_sent"):
            return None  # an update knows the changes only
        if is_token(getattr(self.write, "given_id", None) or ""):
            return None  # the service puts the id in place of the token
        write = cast("calls.CreateRelationship | calls.CreateResource | calls.UpsertResource", self.write)
        sent = write.as_sent(self.operation or write.operation())
        id_ = write.id or receipt.id
        return cast("R", sent if sent.id == id_ else evolve(sent, id=id_))

    def _raise_done(self, error: RequestError, receipt: Receipt) -> NoReturn:
        """Raise `error` as what failed after the receipt had proven the write."""
        done = carried_out(receipt).on(error)
        done.record = self._as_sent(receipt)
        raise done


class CreateResult(Struct, Generic[R]):
    """The result of a create that may find its key taken: `resolve`, and then what the policy says."""

    write: RecordWrite[R]
    read: Read
    policy: OnExisting
    resolve: ResultResolver[R]

    async def __call__(self, task: Task[R], snapshot: TaskSnapshot) -> R:
        try:
            return await self.resolve(task, snapshot)
        except (TaskFailed, WriteConflict) as error:
            failure = error
        found = await found_instead(
            self.write, failure, self.policy, self.read, maybe_applied=task.maybe_applied
        )
        describe_found(task, found)
        return cast("R", found.record)


def describe_found(task: Task[R], found: FoundInstead) -> None:
    """Say on the task of a create what the record is that it is answered with."""
    task.existing = found.existing
    task.reconciled = found.existing is None
    task.evidence = found.evidence


def is_create(write: object) -> bool:
    """Whether the write never replaces a record."""
    return getattr(write, "action", None) == Action.CREATE
