"""Receipts of the usual shape: checked when they come, and made when somebody looks at them.

What is not of the usual shape raises a `LookupError`, `TypeError` or `ValueError` without a word.
"""

from collections.abc import Iterator, Mapping, Sequence
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
from clinia_async.models.batch_result import Key
from clinia_async.models.task_id import TaskId
from clinia_async.serialization.timestamps import parse_fast

E = TypeVar("E", bound=OpenEnum)


def values_of(kind: type[E]) -> Mapping[object, E]:
    return {member.value: member for member in kind}


_ACTIONS, _TARGETS, _STATUSES = values_of(Action), values_of(TargetType), values_of(TaskStatus)
_ERRORS, _PIPELINES = values_of(ErrorType), values_of(PipelineStatus)
_REQUIRED = {name: itemgetter(name) for name in ("action", "status", "targetType", "type", "id")}
_OTHERS = {name: itemgetter(name) for name in ("taskId", "receivedAt", "completedAt")}
_NAMES = (*_REQUIRED, *_OTHERS)
_key = itemgetter("targetType", "type", "id")
_SUCCESS = str(TaskStatus.SUCCESS)

Objects = list[dict[str, object]]


class LazyReceipts(Sequence[Receipt]):
    """Equal to a tuple of the same. Most are never looked at: they say that a record is stored."""

    __slots__ = ("_keys", "_made", "_only_success", "_tasks", "_times", "_values")

    def __init__(self, values: Objects) -> None:
        columns, have_no_more = _columns(values)
        distinct = {name: _distinct(columns[name]) for name in _NAMES if name != "id"}
        _check(distinct, columns["id"])
        with_more = not have_no_more and _check_more(values)
        self._values = values
        self._made: tuple[Receipt, ...] | None = None
        self._only_success = not with_more and distinct["status"] == {_SUCCESS}
        """None of them failed, is still going on or went through a pipeline."""
        # they are texts, or would not have passed
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

    def all_stored(self, keys: Sequence[Key | None]) -> bool:
        """Whether they say of each of `keys`, in this order, that it is stored, and of nothing else."""
        return self._only_success and [*zip(*self._keys, strict=True)] == keys

    def stored_ids(self, target: str, type: str) -> AbstractSet[str]:
        """The ids of the records of that type that are stored, for certain and by a receipt of their own."""
        targets, types, ids = self._keys
        stored = set(ids)
        is_usual = self._only_success and targets.count(target) == types.count(type) == len(stored)
        if is_usual and len(stored) == len(ids):
            return stored
        return {id_ for *of, id_ in self.partition()[0] if of == [target, type]}

    def partition(self) -> tuple[set[Key], Sequence[Receipt]]:
        """The keys of what is stored, for certain and by a receipt of its own; and all other receipts."""
        keys = [*zip(*self._keys, strict=True)]
        all_keys = set(keys)
        if len(all_keys) < len(keys):
            return set(), self
        if self._only_success:
            return all_keys, ()
        others = [
            value
            for value in self._values
            # without a pipeline there was no review that could have dropped it
            if value["status"] != _SUCCESS or value.get("pipelineExecution") is not None
        ]
        return all_keys.difference(map(_key, others)), [*map(self._receipt, others)]

    def _all(self) -> tuple[Receipt, ...]:
        if self._made is None:
            self._made = tuple(map(self._receipt, self._values))
        return self._made

    def _receipt(self, value: Mapping[str, object]) -> Receipt:
        get = value.get
        task, error, execution = get("taskId"), get("error"), get("pipelineExecution")
        return Receipt(
            _ACTIONS[value["action"]],
            _STATUSES[value["status"]],
            _TARGETS[value["targetType"]],
            str(value["type"]),
            str(value["id"]),
            self._tasks[task],
            self._times[get("receivedAt")],
            self._times[get("completedAt")],
            None if error is None else _error(error),
            None if execution is None else _execution(execution),
        )


def _columns(values: Objects) -> tuple[Mapping[str, Sequence[object]], bool]:
    """What stands under each name, and whether there is nothing else.

    Column by column is many times faster than receipt by receipt.
    """
    required = {name: [*map(column, values)] for name, column in _REQUIRED.items()}
    try:
        others = {name: [*map(column, values)] for name, column in _OTHERS.items()}
    except KeyError:  # some do not say everything
        return required | {name: [value.get(name) for value in values] for name in _OTHERS}, False
    return required | others, set(map(len, values)) <= {len(_NAMES)}


def _distinct(column: Sequence[object]) -> set[object]:
    """What is in a column; most hold the same all the way, and then it is not hashed."""
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
    """Checks what only some receipts have; whether there is any such."""
    errors = [value["error"] for value in values if value.get("error") is not None]
    executions = [
        value["pipelineExecution"] for value in values if value.get("pipelineExecution") is not None
    ]
    for error in errors:
        _error(error)
    for execution in executions:
        _execution(execution)
    return bool(errors or executions)


def _error(value: object) -> ErrorInfo:
    found = object_of(value)
    kind, code, details = found.get("type"), found.get("code"), found.get("details", [])
    if (code is not None and type(code) is not int) or type(details) is not list:
        raise TypeError
    return ErrorInfo(
        None if kind is None else _ERRORS[kind],
        code,
        text_of(found.get("message")),
        tuple(map(_error, details)),
    )


def _execution(value: object) -> PipelineExecution:
    found = object_of(value)
    status = found.get("status")
    return PipelineExecution(
        text_of(found.get("id")),
        text_of(found.get("pipelineDefinitionId")),
        None if status is None else _PIPELINES[status],
    )


def object_of(value: object) -> dict[str, object]:
    if type(value) is not dict:
        raise TypeError
    return value


def text_of(value: object) -> str | None:
    if value is not None and type(value) is not str:
        raise TypeError
    return value
