"""What an answer, a receipt or a record that is read back proves about a write.

This is the only place for such rules, with `conflicts` for a key that is taken and `error_answers` for HTTP.
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
import math
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from datetime import datetime
from enum import Enum, auto
from typing import Generic, NamedTuple, Protocol, TypeVar

from attrs import fields, frozen

from clinia_async import models
from clinia_async.calls.call import Call, Read
from clinia_async.errors import (
    AlreadyExists,
    ApiError,
    CliniaError,
    Evidence,
    FailedPrecondition,
    NotFound,
    Outcome,
    RequestError,
    copy_for_raise,
)
from clinia_async.models import (
    Action,
    ErrorType,
    Json,
    Meta,
    PipelineStatus,
    Receipt,
    TargetType,
    TaskStatus,
    Value,
)
from clinia_async.models.task_id import TaskId
from clinia_async.serialization.lazy_receipts import LazyReceipts

E = TypeVar("E", bound=CliniaError)
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)

READ_BACK_FOR = 30.0
"""Seconds for which a record is read after a lost answer: the first attempt may still be carried out."""
REPLICA_LAG = 5.0
"""Seconds for which a record is read again that a receipt proves stored: a stale replica may answer."""

DIFFERENT_RECORD = "the key is taken by a record that differs from the one that was sent"

_FIRST_PAUSE = 0.1
_CLOCK_SKEW = 1.0
"""Seconds by which times of one service may differ."""
_LONGEST_PAUSE = 5.0

DuplicateErrors = tuple[type[ApiError], ...]
"""What the second of two equal attempts is answered when the first was carried out."""
EXISTS_ALREADY: DuplicateErrors = (AlreadyExists,)
DELETED_ALREADY: DuplicateErrors = (NotFound,)
PARTITION_EXISTS_ALREADY: DuplicateErrors = (AlreadyExists, FailedPrecondition)


class RecordWrite(Protocol):
    """As much of a write of one record as its receipt names. `id` is None if the service makes it."""

    @property
    def target(self) -> TargetType: ...
    @property
    def type(self) -> str: ...
    @property
    def id(self) -> str | None: ...


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
    receipts: Sequence[Receipt], task: TaskId | None, status: TaskStatus, operations: int | None = None
) -> Sequence[Receipt]:
    """Return the receipts that are of `task`, and none where all of them together contradict its status.

    A FAILURE says that an operation did not succeed. `operations` is how many there are; None where that is
    not known, and so receipts may be missing.
    """
    own = receipts
    if task is not None and not all(_is_same(task, each) for each in _task_ids(receipts)):
        own = [each for each in receipts if _is_same(task, each.task_id)]
    is_whole = operations is not None and len(own) >= operations
    if status == TaskStatus.FAILURE and is_whole and _statuses(own) == {TaskStatus.SUCCESS}:
        return ()
    return own


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


def is_keyed_create(write: object) -> bool:
    """Whether the write never replaces what is there, and its key is known before it is sent."""
    return AlreadyExists in getattr(write, "duplicate_errors", ())


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


def are_consistent(status: TaskStatus, receipts: Iterable[Receipt]) -> bool:
    """Whether a task and all its receipts say the same; if they do not, neither proves anything."""
    all_succeeded = all(receipt.status == TaskStatus.SUCCESS for receipt in receipts)
    return all_succeeded == (status == TaskStatus.SUCCESS)


def receipt_for(write: RecordWrite, receipts: Sequence[Receipt]) -> Receipt | None:
    """The receipt of a write that was sent alone; None if there is none, or if several contradict each other.

    A receipt for a contained resource may name it or its root, so there the only one is taken.
    """
    mine = [receipt for receipt in receipts if _is_about(write, receipt)]
    if not mine and hasattr(write, "place"):
        mine = list(receipts)
    mine = [receipt for receipt in mine if _names(receipt, action_of(write))] or mine
    return mine[0] if len({(each.id, each.claim) for each in mine}) == 1 else None


def is_contradicted(write: RecordWrite, receipts: Sequence[Receipt], *, is_alone: bool) -> bool:
    """Whether a task brought receipts, though none of the write to rely on (`receipt_for`).

    They contradict each other, or say that it has not ended, or are about something else. Then the status of
    the task proves nothing. Those of other writes count where the write was sent alone (`is_alone`).
    """
    return any(is_alone or _is_about(write, receipt) for receipt in receipts)


def action_of(write: object) -> Action | None:
    """What a write does, in the word of receipts; None for a change within a resource."""
    return getattr(write, "action", None)


def _is_about(write: RecordWrite, receipt: Receipt) -> bool:
    if (receipt.target_type, receipt.type) != (write.target, write.type):
        return False
    return write.id is None or ":" in write.id or write.id == receipt.id


# ------------------------------------------------------------------------------ reading back


class Match(Enum):
    SAME = auto()
    """What is there is what the write leaves."""
    DIFFERENT = auto()
    """Something else is there."""
    ABSENT = auto()
    """Nothing was found. That is no proof that the write was refused."""


@frozen(eq=False, repr=False)
class ReadBack(Generic[R]):
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


# ------------------------------------------------------------------------------ comparing


def same_definition(sent: object, found: object) -> bool:
    """Return whether a definition that was read holds all of the one that was sent.

    Null, absent and empty are the same. Fields that only the service knows do not count.
    """
    if isinstance(sent, Value) and isinstance(found, Value):
        names = [field.name for field in fields(type(sent)) if field.name != "unknown_fields"]
        mine, theirs = sent.unknown_fields or {}, found.unknown_fields or {}
        return (
            type(sent) is type(found)
            and all(same_definition(getattr(sent, name), getattr(found, name)) for name in names)
            and all(same_json(mine[name] or None, theirs.get(name) or None) for name in mine)
        )
    if isinstance(sent, tuple) and isinstance(found, tuple) and sent and found:
        return len(sent) == len(found) and all(map(same_definition, sent, found))
    return same_json(sent or None, found or None)


def same_json(left: object, right: object) -> bool:
    """Whether both are equal as JSON: 1 and 1.0 are one number, 1 and true are not."""
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        return left.keys() == right.keys() and all(same_json(left[key], right[key]) for key in left)
    if isinstance(left, list | tuple) and isinstance(right, list | tuple):
        return len(left) == len(right) and all(map(same_json, left, right))
    return isinstance(left, bool) == isinstance(right, bool) and left == right


def same_meta(sent: Meta | None, found: Meta | None) -> bool:
    """Whether `found` holds all that was sent; what the service adds does not count."""
    if sent is None:
        return True
    if found is None:
        return sent == Meta()
    times = ((sent.created_at, found.created_at), (sent.updated_at, found.updated_at))
    if any(mine is not None and (theirs is None or not _same_time(mine, theirs)) for mine, theirs in times):
        return False
    return all(entry in (found.identifier or ()) for entry in sent.identifier or ())


def same_contained(sent: object, found: object) -> bool:
    """Whether each list holds what was sent, in order; only ids may be the service's."""
    if not isinstance(sent, Mapping) or not isinstance(found, Mapping):
        return False
    if {key for key in sent if sent[key]} != {key for key in found if found[key]}:
        return False
    return all(
        isinstance(found[key], list)
        and len(found[key]) == len(sent[key])
        and all(map(holds_contained, sent[key], found[key]))
        for key in sent
        if sent[key]
    )


def holds_contained(sent: Mapping[str, object], found: object) -> bool:
    """Whether one contained resource is what was sent; its id only counts where one was sent."""
    return (
        isinstance(found, Mapping)
        and sent["type"] == found.get("type")
        and sent.get("id", found.get("id")) == found.get("id")
        and same_json(sent["data"], found.get("data", {}))
        and same_contained(sent.get("contained", {}), found.get("contained") or {})
    )


def contained_at(root: Json, place: Sequence[str]) -> object:
    """The contained resource at `place`, which alternates keys and ids; None if there is none."""
    found: object = {"contained": root}
    for key, id_ in zip(place[::2], place[1::2], strict=True):
        inside = found.get("contained") if isinstance(found, Mapping) else None
        entries = inside.get(key) if isinstance(inside, Mapping) else None
        among = entries if isinstance(entries, list | tuple) else ()
        found = next((each for each in among if isinstance(each, Mapping) and each.get("id") == id_), None)
    return found


def is_older(found: object, receipt: Receipt) -> bool:
    """Whether the record was last changed before the write came in, by the service's own times."""
    after = _changed_after(found, receipt)
    return after is not None and after < -_CLOCK_SKEW


def is_newer(found: object, receipt: Receipt) -> bool:
    """Whether the record was last changed after the write came in, by the service's own times."""
    after = _changed_after(found, receipt)
    return after is not None and after >= 0


def _changed_after(found: object, receipt: Receipt) -> float | None:
    """How many seconds after the write came in the record was changed last; None where no times say it."""
    meta = getattr(found, "meta", None)
    if not isinstance(meta, Meta) or meta.updated_at is None or receipt.received_at is None:
        return None
    return meta.updated_at.timestamp() - receipt.received_at.timestamp()


def shows_patches(patches: Sequence["models.Patch"], data: Json) -> bool:
    """Whether `data` shows the effect of each patch that no later one goes over."""
    return all(
        _shows(patch, data)
        for number, patch in enumerate(patches)
        if not any(_goes_over(later, patch) for later in patches[number + 1 :])
    )


def _goes_over(later: "models.Patch", patch: "models.Patch") -> bool:
    return f"{patch.path}/".startswith(f"{later.path}/") or f"{later.path}/".startswith(f"{patch.path}/")


def _shows(patch: "models.Patch", data: object) -> bool:
    *parents, last = (part.replace("~1", "/").replace("~0", "~") for part in patch.path.split("/")[1:])
    for part in parents:
        data = _member(data, part)
    if not isinstance(data, Mapping) and patch.op != models.PatchOp.REPLACE:
        return False  # what was added to a list or taken from it leaves nothing that proves it
    found = _member(data, last)
    if patch.op == models.PatchOp.REMOVE:
        return found is _ABSENT
    return found is not _ABSENT and same_json(patch.value, found)


_ABSENT = object()


def _member(data: object, name: str) -> object:
    if isinstance(data, Mapping):
        return data.get(name, _ABSENT)
    if isinstance(data, list | tuple) and name.isdecimal() and int(name) < len(data):
        return data[int(name)]
    return _ABSENT


def _same_time(left: datetime, right: datetime) -> bool:
    # a service may keep milliseconds of what was sent in microseconds
    return math.isclose(left.timestamp(), right.timestamp(), rel_tol=0, abs_tol=0.001)
