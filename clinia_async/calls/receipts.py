"""What the receipts of a task prove about a write, and which receipts are of it."""

from collections.abc import Iterable, Sequence, Set
from enum import Enum, auto
from typing import Protocol

from clinia_async.errors import AlreadyExists, CliniaError, Evidence, Outcome
from clinia_async.models import (
    Action,
    ErrorType,
    PipelineStatus,
    Receipt,
    TargetType,
    TaskStatus,
)
from clinia_async.models.task_id import TaskId
from clinia_async.serialization.lazy_receipts import LazyReceipts


class ReceiptSubject(Protocol):
    """As much of a write of one record as its receipt names. `id` is None if the service makes it."""

    @property
    def target(self) -> TargetType: ...
    @property
    def type(self) -> str: ...
    @property
    def id(self) -> str | None: ...


class Proof(Enum):
    """What a receipt proves about the write that it is for."""

    STORED = auto()
    """It was carried out: its content is stored, or what it deletes is gone."""
    DROPPED = auto()
    """A reviewer refused it."""
    NOT_APPLIED = auto()
    """The service failed or cancelled it; nothing of it is stored."""
    READ_BACK_NEEDED = auto()
    """Only the record as it is now can say."""
    NOTHING = auto()

    @property
    def evidence(self) -> Evidence:
        """What proves it: the receipt, or nothing."""
        return Evidence.NONE if self in {Proof.READ_BACK_NEEDED, Proof.NOTHING} else Evidence.RECEIPT


def proof_of(
    receipt: Receipt | None,
    *,
    maybe_applied: bool,
    action: Action | None = None,
    status: TaskStatus | None = None,
) -> Proof:
    """What a receipt of a task that ended proves; None for a missing one.

    Args:
        receipt: one of the task's own, see `own_receipts`.
        maybe_applied: an earlier attempt was sent and its answer lost. Then no failure of the later attempt
            proves that nothing happened.
        action: what the write does; None where that is not known.
        status: that of the task, which the receipt may contradict; None where it was compared already.
    """
    if receipt is None or not receipt.status.is_terminal or not _agrees(receipt, status):
        return Proof.NOTHING
    succeeded = receipt.status == TaskStatus.SUCCESS
    if not _names(receipt, action):
        return Proof.READ_BACK_NEEDED if succeeded else Proof.NOTHING
    if proves_stored(receipt):
        return Proof.STORED
    if proves_not_applied(receipt):
        proven = Proof.DROPPED if receipt.status == TaskStatus.SUCCESS else Proof.NOT_APPLIED
        if not maybe_applied:
            return proven
        return Proof.READ_BACK_NEEDED if is_duplicate(receipt) else Proof.NOTHING
    return Proof.READ_BACK_NEEDED


def _agrees(receipt: Receipt, status: TaskStatus | None) -> bool:
    """Whether a receipt agrees with the status of its task.

    SUCCESS is said where every operation succeeded, CANCELLED where none did, and FAILURE of a mixture.
    """
    if status not in {TaskStatus.SUCCESS, TaskStatus.CANCELLED}:
        return True
    return (receipt.status == TaskStatus.SUCCESS) == (status == TaskStatus.SUCCESS)


_DOCUMENTED = frozenset(Action)


def _names(receipt: Receipt, action: Action | None) -> bool:
    """Whether a receipt may be of an operation that does `action`: it does not name another one.

    The word for an update is not published, so it may be any that is not for another action.
    """
    if action is None or receipt.action not in _DOCUMENTED:
        return True
    return receipt.action == (action if action in _DOCUMENTED else Action.UPSERT)


def own_receipts(
    receipts: Sequence[Receipt],
    task: TaskId | None,
    status: TaskStatus,
    operations: int | None = None,
    *,
    said_later: TaskStatus | None,
) -> Sequence[Receipt]:
    """Return the receipts that are of `task` and can be relied on.

    None are where all of them together contradict its status: a FAILURE says that an operation did not
    succeed. `operations` is how many there are; None where that is not known, and so receipts may be missing.
    Where the service took its status back by what it `said_later`, those that say of an operation that it was
    not carried out are left out, and with them what contradicts them: all others of the same record.
    """
    own = receipts
    if task is not None and not all(_is_same(task, each) for each in _task_ids(receipts)):
        own = [each for each in receipts if _is_same(task, each.task_id)]
    is_whole = operations is not None and len(own) >= operations
    if status == TaskStatus.FAILURE and is_whole and _statuses(own) == {TaskStatus.SUCCESS}:
        return ()
    if is_taken_back(status, said_later):
        denied = {_record_of(each) for each in own if proves_not_applied(each)}
        return [each for each in own if _record_of(each) not in denied]
    return own


def _record_of(receipt: Receipt) -> tuple[object, ...]:
    return receipt.target_type, receipt.type, receipt.id


def is_taken_back(status: TaskStatus, said_later: TaskStatus | None) -> bool:
    """Whether what the service said of a task after its end takes back that it ended with `status`.

    Then that status alone proves nothing. PENDING takes back no SUCCESS, as a replica may lag.
    """
    if said_later is None:
        return False
    return said_later.is_terminal or status != TaskStatus.SUCCESS


def _is_same(task: TaskId, other: TaskId | None) -> bool:
    return other is None or task.names(other) or other.names(task)


def _task_ids(receipts: Sequence[Receipt]) -> Iterable[TaskId | None]:
    return receipts.task_ids if isinstance(receipts, LazyReceipts) else {each.task_id for each in receipts}


def _statuses(receipts: Sequence[Receipt]) -> Set[TaskStatus]:
    return receipts.statuses if isinstance(receipts, LazyReceipts) else {each.status for each in receipts}


def proves_stored(receipt: Receipt) -> bool:
    """Whether the write was carried out for certain: without a pipeline no reviewer can have dropped it."""
    succeeded = receipt.status == TaskStatus.SUCCESS and receipt.error is None
    return succeeded and receipt.pipeline_execution is None


def proves_dropped(receipt: Receipt) -> bool:
    """Whether the receipt says that a reviewer refused the write."""
    return receipt.is_dropped


def says_approved(receipt: Receipt) -> bool:
    """Whether the receipt says that its pipeline ended well: all that is known without the content."""
    execution = receipt.pipeline_execution
    is_done = receipt.status == TaskStatus.SUCCESS and receipt.error is None
    return is_done and execution is not None and execution.status == PipelineStatus.SUCCESSFUL


def proves_not_applied(answer: CliniaError | Receipt) -> bool:
    """Whether the attempt that this answers was not carried out. An earlier attempt may have been."""
    if isinstance(answer, Receipt):
        return proves_dropped(answer) or answer.status in {TaskStatus.FAILURE, TaskStatus.CANCELLED}
    return answer.outcome in {Outcome.NOT_SENT, Outcome.REJECTED}


def is_duplicate(answer: BaseException | Receipt, call: object = None) -> bool:
    """Whether this is what the second of two equal attempts is answered when the first was carried out.

    For an error, `call` is the one that it answers. A receipt says itself which action it is for; the
    service also cancels an operation that meets its twin.
    """
    if not isinstance(answer, Receipt):
        return isinstance(answer, getattr(call, "duplicate_errors", ()))
    if answer.status == TaskStatus.CANCELLED:
        return True
    type_ = None if answer.error is None else answer.error.type
    return type_ == ErrorType.ALREADY_EXISTS or (
        type_ == ErrorType.NOT_FOUND and answer.action == Action.DELETE
    )


def is_key_taken(answer: BaseException | Receipt) -> bool:
    """Whether a create was refused because a record with its key exists."""
    if isinstance(answer, Receipt):
        return answer.error is not None and answer.error.type == ErrorType.ALREADY_EXISTS
    return isinstance(answer, AlreadyExists)


def are_consistent(status: TaskStatus, receipts: Iterable[Receipt]) -> bool:
    """Whether a task and all its receipts say the same; if they do not, neither proves anything."""
    all_succeeded = all(receipt.status == TaskStatus.SUCCESS for receipt in receipts)
    return all_succeeded == (status == TaskStatus.SUCCESS)


def receipt_for(write: ReceiptSubject, receipts: Sequence[Receipt]) -> Receipt | None:
    """The receipt of a write that was sent alone; None if there is none, or if several contradict each other.

    A receipt for a contained resource may name it or its root, so there the only one is taken.
    """
    mine = [receipt for receipt in receipts if _is_about(write, receipt)]
    if not mine and hasattr(write, "place"):
        mine = list(receipts)
    mine = [receipt for receipt in mine if _names(receipt, action_of(write))] or mine
    return only_receipt(mine)


def only_receipt(receipts: Sequence[Receipt]) -> Receipt | None:
    """The receipt of one write; None if there is none, or if several say different things."""
    return receipts[0] if len({(_record_of(each), each.claim) for each in receipts}) == 1 else None


def is_contradicted(write: ReceiptSubject, receipts: Sequence[Receipt], *, is_alone: bool) -> bool:
    """Whether a task brought receipts, though none of the write to rely on (`receipt_for`).

    They contradict each other, or say that it has not ended, or are about something else. Then the status of
    the task proves nothing. Those of other writes count where the write was sent alone (`is_alone`).
    """
    return any(is_alone or _is_about(write, receipt) for receipt in receipts)


def receipts_of_made_ids(
    unclaimed: Iterable[Receipt], target: TargetType, type_: str, count: int
) -> Sequence[Receipt] | None:
    """Return the receipts of `count` creates of records of one type whose ids the service makes.

    `unclaimed` are the receipts that no write of a known id claims. None unless there is one for each create:
    nothing distinguishes them, so where one is missing or too many, none of them proves anything.
    """
    mine = [receipt for receipt in unclaimed if (receipt.target_type, receipt.type) == (target, type_)]
    return mine if len({receipt.id for receipt in mine}) == count else None


def action_of(write: object) -> Action | None:
    """What a write does, in the word of receipts; None for a change within a resource."""
    return getattr(write, "action", None)


def _is_about(write: ReceiptSubject, receipt: Receipt) -> bool:
    if (receipt.target_type, receipt.type) != (write.target, write.type):
        return False
    return write.id is None or ":" in write.id or write.id == receipt.id
