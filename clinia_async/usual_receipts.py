"""Receipts of the usual shape: checked when they come, and made when somebody looks at them.

What is not of the usual shape raises a `LookupError`, `TypeError` or `ValueError` without a word.
"""

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from operator import itemgetter
from typing import TypeVar, overload

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
from clinia_async.receipts import Key
from clinia_async.rfc3339 import parse_usual
from clinia_async.task_id import TaskId

E = TypeVar("E", bound=OpenEnum)


def members_of(kind: type[E]) -> Mapping[object, E]:
    return {member.value: member for member in kind}


_ACTIONS, _TARGETS, _STATUSES = members_of(Action), members_of(TargetType), members_of(TaskStatus)
_ERRORS, _PIPELINES = members_of(ErrorType), members_of(PipelineStatus)
_action, _status, _target = itemgetter("action"), itemgetter("status"), itemgetter("targetType")
_type, _id = itemgetter("type"), itemgetter("id")
_key = itemgetter("targetType", "type", "id")
_SUCCESS = str(TaskStatus.SUCCESS)

Objects = list[dict[str, object]]


class UsualReceipts(Sequence[Receipt]):
    """Equal to a tuple of the same. Most are never looked at: they say that a record is stored."""

    __slots__ = ("_made", "_tasks", "_times", "_values")

    def __init__(self, values: Objects) -> None:
        _check(values)
        self._values = values
        self._made: tuple[Receipt, ...] | None = None
        tasks = {value.get("taskId") for value in values}
        times = {value.get("receivedAt") for value in values} | {value.get("completedAt") for value in values}
        self._tasks = {task: None if task is None else TaskId(task) for task in tasks}  # type: ignore[arg-type]
        self._times = {time: None if time is None else parse_usual(time) for time in times}

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
        return self._all() == (other._all() if isinstance(other, UsualReceipts) else other)

    def __hash__(self) -> int:
        return hash(self._all())

    def __repr__(self) -> str:
        return repr(self._all())

    def stored_ids(self, target: str, type: str) -> AbstractSet[str]:
        """The ids of the records of that type that are stored, for certain and by a receipt of their own."""
        return {id_ for *of, id_ in self.apart()[0] if of == [target, type]}

    def apart(self) -> tuple[set[Key], Sequence[Receipt]]:
        """The keys of what is stored, for certain and by a receipt of its own; and all other receipts."""
        values = self._values
        keys = [*map(_key, values)]
        all_keys = set(keys)
        if len(all_keys) < len(keys):
            return set(), self
        others = [
            value
            for value in values
            # without a pipeline there was no review that could have dropped it
            if value["status"] != _SUCCESS or value.get("pipelineExecution") is not None
        ]
        if not others:
            return all_keys, ()
        stored = all_keys.difference(map(_key, others))
        return stored, [*map(self._receipt, others)]

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


def _check(values: Objects) -> None:
    """Column by column, which is many times faster than receipt by receipt."""
    if not set(map(type, values)) <= {dict}:
        raise TypeError
    for column, known in ((_action, _ACTIONS), (_status, _STATUSES), (_target, _TARGETS)):
        if not set(map(column, values)) <= known.keys():
            raise LookupError
    for column in (_type, _id):
        if not set(map(type, map(column, values))) <= {str}:
            raise TypeError
    for value in [value for value in values if "error" in value or "pipelineExecution" in value]:
        if value.get("error") is not None:
            _error(value["error"])
        if value.get("pipelineExecution") is not None:
            _execution(value["pipelineExecution"])


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
