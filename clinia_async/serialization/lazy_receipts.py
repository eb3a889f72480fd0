"""Receipts of the documented shape, checked as a whole when decoded and made when they are first used.

Any other shape raises a `LookupError`, `TypeError` or `ValueError` without a text.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from operator import itemgetter
from typing import TypeVar, cast, overload

from clinia_async.models import (
    Action,
    ErrorInfo,
    ErrorType,
    OpenEnum,
    PipelineExecution,
    PipelineStatus,
    Receipt,
    TargetType,
    TaskStatus,
)
from clinia_async.models.task_id import TaskId
from clinia_async.models.tasks import Key
from clinia_async.models.value import maker
from clinia_async.serialization.drift import DriftKind, notes, step_to
from clinia_async.serialization.timestamps import parse_fast

E = TypeVar("E", bound=OpenEnum)


def values_of(kind: type[E]) -> Mapping[object, E]:
    """Return the constants of an enum by their texts."""
    return {member.value: member for member in kind}


_ACTIONS, _TARGETS, _STATUSES = values_of(Action), values_of(TargetType), values_of(TaskStatus)
_ERRORS, _PIPELINES = values_of(ErrorType), values_of(PipelineStatus)
_REQUIRED = {name: itemgetter(name) for name in ("action", "status", "targetType", "type", "id")}
_OTHERS = {name: itemgetter(name) for name in ("taskId", "receivedAt", "completedAt")}
_NAMES = (*_REQUIRED, *_OTHERS)
_KNOWN = frozenset({*_NAMES, "error", "pipelineExecution"})
_ERROR_FIELDS = frozenset({"type", "code", "message", "details"})
_EXECUTION_FIELDS = frozenset({"id", "pipelineDefinitionId", "status"})
_key = itemgetter("targetType", "type", "id")
_SUCCESS = str(TaskStatus.SUCCESS)

_make_receipt = maker(Receipt)

Objects = list[dict[str, object]]


class LazyReceipts(Sequence[Receipt]):
    """The receipts of one answer, equal to a tuple of them.

    Most are never made: a bulk needs to know which records are stored, and that is read from the columns.
    """

    item_type = Receipt
    """They are checked: a value that takes receipts takes these as they are."""

    __slots__ = ("_keys", "_made", "_tasks", "_times", "_values", "actions", "plain_status", "statuses")

    def __init__(self, values: Objects) -> None:
        columns, have_no_more = _columns(values)
        distinct = {name: _distinct(columns[name]) for name in _NAMES if name != "id"}
        _check(distinct, columns["id"])
        with_more = not have_no_more and _check_more(values)
        self._values = values
        self.actions: AbstractSet[Action] = {_ACTIONS[word] for word in distinct["action"]}
        """The actions that they name."""
        self.statuses: AbstractSet[TaskStatus] = {_STATUSES[word] for word in distinct["status"]}
        """The statuses that they say."""
        self._made: tuple[Receipt, ...] | None = None
        self.plain_status: TaskStatus | None = None
        """The status that all say, where none holds an error or went through a pipeline."""
        if not with_more and len(self.statuses) == 1:
            (self.plain_status,) = self.statuses
        # strings, as _check has found
        self._keys = cast("tuple[list[str], ...]", (columns["targetType"], columns["type"], columns["id"]))
        times = distinct["receivedAt"] | distinct["completedAt"]
        self._tasks = {task: None if task is None else TaskId(task) for task in distinct["taskId"]}  # type: ignore[arg-type]
        self._times = {time: None if time is None else parse_fast(time) for time in times}

    def __len__(self) -> int:
        return len(self._values)

    @overload
    def __getitem__(self, place: int) -> Receipt: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Receipt]: ...
    def __getitem__(self, place: int | slice) -> Receipt | Sequence[Receipt]:
        return self._all()[place]

    def __iter__(self) -> Iterator[Receipt]:
        return iter(self._all())

    def __eq__(self, other: object) -> bool:
        return self._all() == (other._all() if isinstance(other, LazyReceipts) else other)

    def __hash__(self) -> int:
        return hash(self._all())

    def __repr__(self) -> str:
        return repr(self._all())

    @property
    def task_ids(self) -> Iterable[TaskId | None]:
        """The tasks that they name."""
        return self._tasks.values()

    def all_stored(self, keys: Sequence[Key | None]) -> bool:
        """Return whether they prove that the records of `keys` are stored, in this order and no others."""
        return self.plain_status is TaskStatus.SUCCESS and [*zip(*self._keys, strict=True)] == keys

    def stored_ids(self, target: str, type: str, action: Action) -> AbstractSet[str]:
        """Return the ids of the records of a type that are proven stored, each by a receipt of its own.

        None are where a receipt names another action.
        """
        if self.actions != {action}:
            return set()
        targets, types, ids = self._keys
        stored = set(ids)
        is_only_success = self.plain_status is TaskStatus.SUCCESS
        is_usual = is_only_success and targets.count(target) == types.count(type) == len(stored)
        if is_usual and len(stored) == len(ids):
            return stored
        return {id_ for *of, id_ in self.partition()[0] if of == [target, type]}

    def partition(self) -> tuple[set[Key], Sequence[Receipt]]:
        """Return the keys of the records proven stored, by a receipt of their own, and the other receipts."""
        keys = [*zip(*self._keys, strict=True)]
        all_keys = set(keys)
        if len(all_keys) < len(keys):
            return set(), self
        if self.plain_status is TaskStatus.SUCCESS:
            return all_keys, ()
        others = [
            value
            for value in self._values
            # without a pipeline there was no review that could have dropped it
            if value["status"] != _SUCCESS
            or value.get("pipelineExecution") is not None
            or value.get("error") is not None
        ]
        return all_keys.difference(map(_key, others)), [*map(self._receipt, others)]

    def _all(self) -> tuple[Receipt, ...]:
        if self._made is None:
            self._made = tuple(map(self._receipt, self._values))
        return self._made

    def _receipt(self, value: Mapping[str, object]) -> Receipt:
        get = value.get
        task, error, execution = get("taskId"), get("error"), get("pipelineExecution")
        return _make_receipt(
            _ACTIONS[value["action"]],
            _STATUSES[value["status"]],
            _TARGETS[value["targetType"]],
            value["type"],
            value["id"],
            self._tasks[task],
            self._times[get("receivedAt")],
            self._times[get("completedAt")],
            None if error is None else _error(error),
            None if execution is None else _execution(execution),
            None if value.keys() <= _KNOWN else {name: value[name] for name in value.keys() - _KNOWN},
        )


def _columns(values: Objects) -> tuple[Mapping[str, Sequence[object]], bool]:
    """Return the values of each documented field, and whether there are no other fields.

    Column by column is many times faster than receipt by receipt.
    """
    required = {name: [*map(column, values)] for name, column in _REQUIRED.items()}
    try:
        others = {name: [*map(column, values)] for name, column in _OTHERS.items()}
    except KeyError:  # optional fields
        return required | {name: [value.get(name) for value in values] for name in _OTHERS}, False
    return required | others, set(map(len, values)) <= {len(_NAMES)}


def _distinct(column: Sequence[object]) -> set[object]:
    """Return the distinct values of a column. In most all are equal, and hashing can be saved."""
    if column and column.count(column[0]) == len(column):
        return {column[0]}
    return set(column)


def _check(distinct: Mapping[str, set[object]], ids: Sequence[object]) -> None:
    for name, known in (("action", _ACTIONS), ("status", _STATUSES), ("targetType", _TARGETS)):
        if not distinct[name] <= known.keys():
            raise LookupError
    if not set(map(type, distinct["type"])) | set(map(type, ids)) <= {str}:
        raise TypeError


def _check_more(values: Objects) -> bool:
    """Check the fields that only some receipts have; return whether any receipt has one."""
    errors = [value["error"] for value in values if value.get("error") is not None]
    executions = [
        value["pipelineExecution"] for value in values if value.get("pipelineExecution") is not None
    ]
    unknown = set().union(*values) - _KNOWN
    if unknown:
        _note_unknown(unknown, values)
    for error in errors:
        _error(error)
    for execution in executions:
        _execution(execution)
    return bool(errors or executions)


def _note_unknown(names: AbstractSet[str], values: Objects) -> None:
    for name in names:
        count = sum(name in value for value in values)
        notes.add(f".receipts[]{step_to(name)}", DriftKind.UNKNOWN_FIELD, count)


def _error(value: object) -> ErrorInfo:
    found = object_of(value)
    if not any(found.values()) or not found.keys() <= _ERROR_FIELDS:
        raise LookupError
    kind, code, details = found.get("type"), found.get("code"), found.get("details")
    if (code is not None and type(code) is not int) or (details is not None and type(details) is not list):
        raise TypeError
    return ErrorInfo(
        None if kind is None else _ERRORS[kind],
        code,
        text_of(found.get("message")),
        tuple(map(_error, details or ())),
    )


def _execution(value: object) -> PipelineExecution:
    found = object_of(value)
    if not any(found.values()) or not found.keys() <= _EXECUTION_FIELDS:
        raise LookupError
    status = found.get("status")
    return PipelineExecution(
        text_of(found.get("id")),
        text_of(found.get("pipelineDefinitionId")),
        None if status is None else _PIPELINES[status],
    )


def object_of(value: object) -> dict[str, object]:
    """Return a JSON object as it is; a `TypeError` for anything else."""
    if type(value) is not dict:
        raise TypeError
    return value


def text_of(value: object) -> str | None:
    """Return a string or None as it is; a `TypeError` for anything else."""
    if value is not None and type(value) is not str:
        raise TypeError
    return value
