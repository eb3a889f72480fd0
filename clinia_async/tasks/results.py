"""Results: what a task that ended means for the write that made it.

What a receipt or a record proves is written in `calls.reconciliation`, and nowhere here.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Generic, NoReturn, Protocol, TypeVar, cast

from attrs import evolve, frozen

from clinia_async import calls, models
from clinia_async.calls import Call, Read, Reconcilable, Write
from clinia_async.calls.addressing import DeleteRecord
from clinia_async.calls.conflicts import FoundInstead, OnExisting, found_instead
from clinia_async.calls.reconciliation import (
    DIFFERENT_RECORD,
    READ_BACK_FOR,
    REPLICA_LAG,
    UNPROVEN,
    DuplicateErrors,
    Match,
    Proof,
    ReadBack,
    action_of,
    are_consistent,
    carried_out,
    evidence_of_batch,
    is_contradicted,
    is_newer,
    is_older,
    own_receipts,
    proof_of,
    proves_stored,
    read_back,
    receipt_for,
    says_approved,
    statement_after,
    statement_of_end,
    statement_of_success,
)
from clinia_async.errors import (
    CliniaError,
    InvalidWrite,
    NotFound,
    ProtocolError,
    RequestError,
    TaskCancelled,
    TaskDropped,
    TaskFailed,
    TaskUnconfirmed,
    WriteConflict,
)
from clinia_async.models import (
    Action,
    PurgeOperation,
    Receipt,
    TargetType,
    TaskSnapshot,
    TaskStatus,
    TaskSubmission,
)
from clinia_async.models.identifiers import is_token
from clinia_async.models.task_id import TaskId, TaskKind
from clinia_async.tasks.task import ResultResolver, Task

R = TypeVar("R")
T = TypeVar("T")
R_co = TypeVar("R_co", covariant=True)

MOST_RECEIPTS_PER_POLL = 1000
"""Operations of a bulk up to which each poll asks for receipts; those of a larger one are read at its end."""
_READS_AT_ONCE = 16
_ABSENT_AFTER_SUCCESS = "it succeeded, and the record is not there to be read"
_NOT_SHOWN = "it succeeded, and the record that was read back does not show it"
_UNCONFIRMED = "it succeeded, and neither its receipt nor the record proves that the write was carried out"


class RecordWrite(Write[R_co], Protocol[R_co]):
    """A write of one record, which can be read back."""

    @property
    def target(self) -> TargetType: ...
    @property
    def type(self) -> str: ...
    @property
    def id(self) -> str | None: ...
    @property
    def duplicate_errors(self) -> DuplicateErrors: ...
    def readback(self, receipts: Sequence[Receipt] = ()) -> Call[object]: ...
    def reconciled(self, found: object) -> TaskSubmission | None: ...


def resolver_of(write: Write[R], read: Read, *, reads_back: bool = True) -> ResultResolver[R]:
    """The resolver of the task that `write` made.

    Without `reads_back` the result of a proven write is the record as it was sent, where that is known.
    """
    resolver: object
    match _task_kind(write):
        case TaskKind.PURGE:
            resolver = PurgeResult(cast("calls.Purge", write), read)
        case TaskKind.BULK | TaskKind.BUNDLE if hasattr(write, "writes"):
            resolver = BatchTaskResult(cast("calls.Bulk | calls.Bundle", write), read)
        case TaskKind.BULK | TaskKind.BUNDLE:
            resolver = receipts_result
        case _:
            resolver = RecordResult(cast("RecordWrite[R]", write), read, reads_back)
    return cast("ResultResolver[R]", resolver)


def polls_for_receipts(write: object) -> bool:
    """Whether each poll of the task of this write should ask for receipts."""
    match _task_kind(write):
        case TaskKind.PURGE:
            return False
        case TaskKind.BULK:
            writes = getattr(write, "writes", None)
            return writes is not None and len(writes) <= MOST_RECEIPTS_PER_POLL
        case _:
            return True


def _task_kind(write: object) -> TaskKind:
    """What the task of this write is; writes of many records and purges say so by their class."""
    kind: TaskKind = getattr(write, "task_kind", TaskKind.SINGLE)
    return kind


# ------------------------------------------------------------------------------ one record


@frozen(eq=False, repr=False)
class RecordResult(Generic[R]):
    """The result of a write of one record, sent alone or as an operation of a bulk."""

    write: RecordWrite[R]
    read: Read
    reads_back: bool = True
    operation: bytes | None = None
    """The write as it went out, where it is known; whatever becomes of the caller's objects since."""
    is_alone: bool = True
    """Whether the task is about this write only, so that its status speaks for the write."""

    async def __call__(self, task: Task[R], snapshot: TaskSnapshot) -> R:
        try:
            return await self._resolve(task, snapshot)
        except InvalidWrite:
            raise _unreadable(snapshot) from None

    async def _resolve(self, task: Task[R], snapshot: TaskSnapshot) -> R:
        receipts, failure = await _receipts(task, snapshot)
        receipt = receipt_for(self.write, own_receipts(receipts, task.id, snapshot.status))
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
                _until(REPLICA_LAG),
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
        raise carried_out(receipt).on(ProtocolError(_NOT_SHOWN))

    def _is_final(self, found: object, receipt: Receipt) -> bool:
        """Whether to read again is of no use, though the record does not show the write."""
        return is_newer(found, receipt) or (is_create(self.write) and not is_older(found, receipt))

    async def _after_pipeline(self, task: Task[R], receipt: Receipt) -> R:
        """The result where the receipt does not prove that the write was carried out, and the record may.

        A pipeline ran and the receipt does not say whether a reviewer refused it, or it holds an error, or it
        names another action.
        """
        back = await _compare(self.write, self.read, _until(REPLICA_LAG), [receipt])
        if back.answer is None:
            raise task.error(TaskUnconfirmed, _UNCONFIRMED)
        task.evidence = back.statement.evidence
        return self.write.result(back.answer)

    async def _after_duplicate(self, task: Task[R], snapshot: TaskSnapshot, receipts: Sequence[Receipt]) -> R:
        """The result of a write that met what may be its own earlier attempt, whose answer was lost."""
        back = await _compare(self.write, self.read, _until(READ_BACK_FOR), receipts)
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
            back = await read_back(self.write, self.read, _until(REPLICA_LAG))
        except RequestError as error:
            raise statement_after(snapshot.status, is_contradicted=contradicted).on(error) from None
        if back.answer is None:
            raise task.error(TaskUnconfirmed, _UNCONFIRMED) from failure
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
        return cast("R", evolve(sent, id=write.id or receipt.id))

    def _raise_done(self, error: RequestError, receipt: Receipt) -> NoReturn:
        """Raise `error` as what failed after the receipt had proven the write."""
        done = carried_out(receipt).on(error)
        done.record = self._as_sent(receipt)
        raise done


@frozen(eq=False, repr=False)
class CreateResult(Generic[R]):
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


# ------------------------------------------------------------------------------ many records


@frozen(eq=False, repr=False)
class BatchTaskResult:
    """The result of a bulk or a bundle: its receipts, once every operation is carried out."""

    write: "calls.Bulk | calls.Bundle"
    read: Read

    async def __call__(
        self, task: "Task[models.BatchResult]", snapshot: TaskSnapshot
    ) -> "models.BatchResult":
        receipts, failure = await _receipts(task, snapshot)
        if failure is not None:
            _raise_without_receipts(task, snapshot, failure)
        own = own_receipts(receipts, task.id, snapshot.status, len(self.write.writes))
        result = models.BatchResult(own, self.write.writes)
        proofs = await self._proofs(task, snapshot.status, result)
        if all(proof is Proof.STORED for proof in proofs) and _is_whole(result):
            is_reconciled = any(receipt.status != TaskStatus.SUCCESS for receipt in receipts)
            if is_reconciled or snapshot.status == TaskStatus.SUCCESS:
                task.reconciled = is_reconciled
                task.evidence = evidence_of_batch(receipts)
                return result
        raise self._error(task, snapshot, result, proofs)

    async def _proofs(
        self, task: "Task[models.BatchResult]", status: TaskStatus, result: "models.BatchResult"
    ) -> list[Proof]:
        """Return what each receipt proves, after reading back the records for which it proves nothing."""
        actions = _actions_of(self.write.writes)
        proofs = [
            proof_of(
                receipt,
                maybe_applied=task.maybe_applied,
                action=actions.get(_key_of(receipt), actions.get((*_key_of(receipt)[:2], None))),
                status=status,
            )
            for receipt in result.receipts
        ]
        to_read = [place for place, proof in enumerate(proofs) if proof is Proof.READ_BACK_NEEDED]
        limit = asyncio.Semaphore(_READS_AT_ONCE)
        until = _until(READ_BACK_FOR if task.maybe_applied else REPLICA_LAG)

        async def resolve(place: int) -> None:
            async with limit:
                if await self._is_stored(result.receipts[place], result, until):
                    proofs[place] = Proof.STORED

        await asyncio.gather(*map(resolve, to_read))
        return proofs

    async def _is_stored(self, receipt: Receipt, result: "models.BatchResult", until: float) -> bool:
        subject = (receipt.target_type, receipt.type, receipt.id)
        mine = [each for each in self.write.writes if (each.target, each.type, each.id) == subject]
        if not mine:  # the service may have made the id
            mine = [each for each in self.write.writes if each.id is None and result.of(each) is receipt]
        if len(mine) != 1:
            return False
        write = cast("Reconcilable[TaskSubmission]", mine[0])
        return (await _compare(write, self.read, until, [receipt])).match is Match.SAME

    def _error(
        self,
        task: "Task[models.BatchResult]",
        snapshot: TaskSnapshot,
        result: "models.BatchResult",
        proofs: Sequence[Proof],
    ) -> CliniaError:
        receipts = result.receipts
        left = [each for each, proof in zip(receipts, proofs, strict=True) if proof is not Proof.STORED]
        succeeded = snapshot.status == TaskStatus.SUCCESS
        if succeeded and not left:
            return ProtocolError("operations are without a receipt to rely on")
        if succeeded and not any(each.status != TaskStatus.SUCCESS or each.is_dropped for each in left):
            unconfirmed = task.error(TaskUnconfirmed, _UNCONFIRMED)
            unconfirmed.result = result
            return unconfirmed
        is_whole = _is_whole(result) and Proof.NOTHING not in proofs
        error = failed(task, snapshot, receipts, left, is_whole=is_whole)
        if not isinstance(error, TaskCancelled) and receipts:
            error.result = result
        return error


async def receipts_result(task: Task[R], snapshot: TaskSnapshot) -> "models.BatchResult":
    """The result of a bulk whose writes are not known: its receipts, if every operation was carried out.

    Raises:
        TaskError: an operation failed, or nothing proves that it was carried out.
        RequestError: the receipts could not be read.
    """
    receipts, failure = await _receipts(task, snapshot)
    if not receipts:
        failure = failure or ProtocolError("the task ended and brought no receipt")
        _raise_without_receipts(task, snapshot, failure)
    receipts = own_receipts(receipts, task.id, snapshot.status)
    result = models.BatchResult(receipts)
    if receipts and snapshot.status == TaskStatus.SUCCESS and not result.failed:
        if all(proves_stored(each) or says_approved(each) for each in receipts):
            task.evidence = carried_out(receipts[0]).evidence
            return result
        unconfirmed = task.error(TaskUnconfirmed, _UNCONFIRMED)
        unconfirmed.result = result
        raise unconfirmed
    # receipts may be missing, and nobody knows here of how many writes
    is_whole = task.kind is TaskKind.SINGLE or snapshot.status == TaskStatus.CANCELLED
    error = failed(task, snapshot, receipts, is_whole=is_whole)
    if not isinstance(error, TaskCancelled):
        error.result = result
    raise error


def _is_whole(result: "models.BatchResult") -> bool:
    """Whether no write is without a receipt. Those of records whose ids the service makes are counted."""
    if not result.receipts or any(_has_known_id(write.id) for write in result.missing):
        return False
    known = {(write.target, write.type, write.id) for write in result.writes if _has_known_id(write.id)}
    made = {key for key in map(_key_of, result.receipts) if key not in known}
    found = Counter((target, type_) for target, type_, _ in made)
    wanted = Counter((write.target, write.type) for write in result.writes if not _has_known_id(write.id))
    return wanted <= found


def _has_known_id(id: str | None) -> bool:
    return id is not None and "@rootId" not in id


def _key_of(receipt: Receipt) -> tuple[str, str, str]:
    return receipt.target_type, receipt.type, receipt.id


def _actions_of(writes: "Sequence[calls.BatchWrite]") -> Mapping[tuple[str, str, str | None], Action | None]:
    """What is done with each record; None where a bulk does several things with one."""
    actions: dict[tuple[str, str, str | None], Action | None] = {}
    for write in writes:
        key = (write.target, write.type, write.id)
        actions[key] = write.action if actions.get(key, write.action) == write.action else None
    return actions


def _raise_without_receipts(task: Task[T], snapshot: TaskSnapshot, failure: RequestError) -> NoReturn:
    if snapshot.status == TaskStatus.SUCCESS:
        raise carried_out().on(failure)
    raise failed(task, snapshot, ()) from failure


# ------------------------------------------------------------------------------ purges, and tasks resumed


@frozen(eq=False, repr=False)
class PurgeResult:
    """The purge as it stands at its end, with the number of records that it deleted."""

    write: "calls.Purge"
    read: Read

    async def __call__(self, task: Task[PurgeOperation], snapshot: TaskSnapshot) -> PurgeOperation:
        if snapshot.status != TaskStatus.SUCCESS:
            raise failed(task, snapshot, ())
        operation = self.write.accept(await _read_purge(self.read, self.write.source, task.known_id))
        task.evidence = carried_out().evidence
        return operation


@frozen(eq=False, repr=False)
class ResumedResult:
    """The result of a handle made from an id or a token: what was sent is not known, only what was made."""

    read: Read

    async def __call__(self, task: Task[object], snapshot: TaskSnapshot) -> object:
        if task.kind is TaskKind.PURGE:
            if snapshot.status != TaskStatus.SUCCESS:
                raise failed(task, snapshot, ())
            task.evidence = carried_out().evidence
            return await _read_purge(self.read, task.source_key or "", task.known_id)
        result = await receipts_result(task, snapshot)
        if task.kind is not TaskKind.SINGLE or len(result.receipts) != 1:
            return result
        receipt = result.receipts[0]
        made = _get_of(task.source_key or "", receipt, snapshot)
        if receipt.action == Action.DELETE:
            if made is not None and not proves_stored(receipt):
                await self._check_deleted(task, made)
            return result
        return result if made is None else await self._read_made(task, receipt, made)

    async def _check_deleted(self, task: Task[object], made: Call[object]) -> None:
        try:
            await self.read(made)
        except NotFound:
            return
        except RequestError as error:
            unknown = UNPROVEN.on(error)
        else:
            raise task.error(TaskUnconfirmed, _UNCONFIRMED)
        raise unknown

    async def _read_made(self, task: Task[object], receipt: Receipt, made: Call[object]) -> object:
        try:
            return await _read_until_fresh(self.read, made, receipt)
        except RequestError as error:
            if isinstance(error, NotFound) and not proves_stored(receipt):
                raise task.error(TaskUnconfirmed, _ABSENT_AFTER_SUCCESS) from None
            after = statement_of_success(receipt).on(error)
        raise after


def _get_of(source: str, receipt: Receipt, snapshot: TaskSnapshot) -> Call[object] | None:
    """The call that reads the record of a single write; None if this version cannot read it."""
    try:
        if receipt.target_type == TargetType.RESOURCE:
            return calls.GetResource(source, receipt.type, receipt.id)
        if receipt.target_type == TargetType.RELATIONSHIP:
            return calls.GetRelationship(source, receipt.type, receipt.id)
    except InvalidWrite:
        raise _unreadable(snapshot) from None
    return None


async def _read_until_fresh(read: Read, call: Call[T], receipt: Receipt) -> T:
    """Read a record, again for a while if a stale replica answers: without it, or with an older state.

    Raises:
        ProtocolError: the record is of a time before the write, still.
    """
    until, pause = _until(REPLICA_LAG), 0.1
    while True:
        is_last = asyncio.get_running_loop().time() + pause >= until
        try:
            found = await read(call)
        except NotFound:
            if is_last:
                raise
        else:
            if not is_older(found, receipt):
                return found
            if is_last:
                raise ProtocolError(_NOT_SHOWN)
        await asyncio.sleep(pause)
        pause *= 2


async def _read_purge(read: Read, source: str, id: TaskId) -> PurgeOperation:
    try:
        operation = await read(calls.GetPurge(source, id))
    except RequestError as error:
        done = carried_out().on(error)
    else:
        if operation.status == TaskStatus.SUCCESS:
            return operation
        done = carried_out().on(ProtocolError("the answer is from before the end of the purge"))
    raise done


# ------------------------------------------------------------------------------ shared


async def _compare(
    write: Reconcilable[TaskSubmission], read: Read, until: float, receipts: Sequence[Receipt]
) -> ReadBack[TaskSubmission]:
    """Read a record back. That a read was refused says nothing of the write: the outcome is UNKNOWN."""
    try:
        return await read_back(write, read, until, receipts=receipts)
    except RequestError as error:
        unknown = UNPROVEN.on(error)
    raise unknown


async def _receipts(task: Task[R], snapshot: TaskSnapshot) -> tuple[Sequence[Receipt], RequestError | None]:
    """The receipts of a task that ended, or why there are none."""
    receipts = snapshot.receipts
    failure: RequestError | None = None
    if not receipts:
        try:
            receipts = await task.receipts()
        except RequestError as error:
            failure = error
    return receipts or (), failure


def failed(
    task: Task[R],
    snapshot: TaskSnapshot,
    receipts: Sequence[Receipt],
    bad: Sequence[Receipt] | None = None,
    *,
    is_single: bool = False,
    is_whole: bool = True,
) -> TaskFailed | TaskCancelled | TaskDropped:
    """The error of a task that ended badly, with the receipts of the operations that did.

    `bad` are those that are not stored; by default all that their own receipts do not prove. `is_single` and
    `is_whole` are those of `statement_of_end`.
    """
    if bad is None:
        bad = [each for each in receipts if each.status != TaskStatus.SUCCESS or each.is_dropped]
    statement = statement_of_end(
        snapshot.status, receipts, maybe_applied=task.maybe_applied, is_single=is_single, is_whole=is_whole
    )
    says_so = are_consistent(snapshot.status, receipts) if receipts else True
    if snapshot.status == TaskStatus.CANCELLED and len(bad) == len(receipts) and says_so:
        return task.error(TaskCancelled, "the service cancelled every operation", statement)
    if bad and all(each.is_dropped for each in bad):
        text = f"a reviewer refused {len(bad)} of {len(receipts)} operations"
        dropped = task.error(TaskDropped, text, statement)
        dropped.failed_receipts = bad
        return dropped
    types = sorted({str(receipt.error.type) for receipt in bad if receipt.error is not None})
    text = f"{len(bad)} of {len(receipts)} operations failed {' '.join(types)}".rstrip()
    if not receipts or not says_so:
        text = f"it ended with {snapshot.status}, and no receipt proves what became of its operations"
    error = task.error(TaskFailed, text, statement)
    error.failed_receipts = bad
    return error


def _unreadable(snapshot: TaskSnapshot) -> ProtocolError:
    error = ProtocolError("the receipt names no record that can be read")
    return statement_after(snapshot.status).on(error)


def _until(seconds: float) -> float:
    return asyncio.get_running_loop().time() + seconds
