"""The result of a bulk or a bundle: its receipts, once every operation is carried out."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NoReturn, TypeVar, cast

from clinia_async import calls, models
from clinia_async.calls import Read, Reconcilable
from clinia_async.calls.call import R
from clinia_async.calls.receipts import (
    Proof,
    is_taken_back,
    own_receipts,
    proof_of,
    proves_stored,
    receipts_of_made_ids,
    says_approved,
)
from clinia_async.calls.reconciliation import (
    READ_BACK_FOR,
    REPLICA_LAG,
    Match,
    carried_out,
    evidence_of_batch,
    statement_after,
)
from clinia_async.errors import (
    CliniaError,
    ProtocolError,
    RequestError,
    TaskCancelled,
    TaskUnconfirmed,
)
from clinia_async.models import (
    Action,
    Receipt,
    TaskSnapshot,
    TaskStatus,
    TaskSubmission,
)
from clinia_async.models.partial_list import left_out_of
from clinia_async.models.struct import Struct
from clinia_async.models.task_id import TaskKind
from clinia_async.tasks.ended import (
    UNCONFIRMED,
    compare,
    failed,
    receipts_of,
    until_after,
)
from clinia_async.tasks.task import Task

T = TypeVar("T")

_READS_AT_ONCE = 16


class BatchTaskResult(Struct):
    """The result of a bulk or a bundle: its receipts, once every operation is carried out."""

    write: "calls.Bulk | calls.Bundle"
    read: Read

    async def __call__(
        self, task: "Task[models.BatchResult]", snapshot: TaskSnapshot
    ) -> "models.BatchResult":
        receipts, failure = await receipts_of(task, snapshot)
        if failure is not None:
            _raise_without_receipts(task, snapshot, failure)
        own = own_receipts(
            receipts, task.id, snapshot.status, len(self.write.writes), said_later=task.said_later
        )
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
        until = until_after(READ_BACK_FOR if task.maybe_applied else REPLICA_LAG)

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
        return (await compare(write, self.read, until, [receipt])).match is Match.SAME

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
            unconfirmed = task.error(TaskUnconfirmed, UNCONFIRMED)
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
    receipts, failure = await receipts_of(task, snapshot)
    if not receipts:
        failure = failure or ProtocolError("the task ended and brought no receipt")
        _raise_without_receipts(task, snapshot, failure)
    unread = left_out_of(receipts) and task.kind is not TaskKind.SINGLE
    receipts = own_receipts(receipts, task.id, snapshot.status, said_later=task.said_later)
    result = models.BatchResult(receipts)
    if snapshot.status == TaskStatus.SUCCESS and not result.failed:
        if receipts and not unread and all(proves_stored(each) or says_approved(each) for each in receipts):
            task.evidence = carried_out(receipts[0]).evidence
            return result
        unconfirmed = task.error(TaskUnconfirmed, UNCONFIRMED)
        unconfirmed.result = result
        raise unconfirmed
    # receipts may be missing, and nobody knows here of how many writes
    is_whole = task.kind is TaskKind.SINGLE or snapshot.status == TaskStatus.CANCELLED
    error = failed(task, snapshot, receipts, is_whole=is_whole)
    if not isinstance(error, TaskCancelled):
        error.result = result
    raise error


def _is_whole(result: "models.BatchResult") -> bool:
    """Whether no write is without a receipt."""
    if not result.receipts or any(_has_known_id(write.id) for write in result.missing):
        return False
    known = {(write.target, write.type, write.id) for write in result.writes if _has_known_id(write.id)}
    unclaimed = [receipt for receipt in result.receipts if _key_of(receipt) not in known]
    wanted = Counter((write.target, write.type) for write in result.writes if not _has_known_id(write.id))
    return all(receipts_of_made_ids(unclaimed, *key, count) is not None for key, count in wanted.items())


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
        is_contradicted = is_taken_back(snapshot.status, task.said_later)
        raise statement_after(snapshot.status, is_contradicted=is_contradicted).on(failure)
    raise failed(task, snapshot, ()) from failure
