"""The answers that come by the thousand, made without the converter: receipts, submissions and records.

These functions know the usual shape and nothing else. Whatever is not of it makes them raise a
`LookupError`, `TypeError` or `ValueError` without a word, and the answer is left to the converter:
that one takes what is unusual, and explains what is wrong.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TypeVar

from clinia_async.models import (
    Action,
    ErrorInfo,
    ErrorType,
    Identifier,
    Json,
    Meta,
    OpenEnum,
    PipelineExecution,
    PipelineStatus,
    Receipt,
    Ref,
    Relationship,
    Resource,
    SubmissionStatus,
    TargetType,
    TaskSnapshot,
    TaskStatus,
    TaskSubmission,
)
from clinia_async.rfc3339 import parse_usual
from clinia_async.task_id import TaskId

E = TypeVar("E", bound=OpenEnum)


def _members(kind: type[E]) -> Mapping[object, E]:
    return {member.value: member for member in kind}


_ACTIONS, _TARGETS, _STATUSES = _members(Action), _members(TargetType), _members(TaskStatus)
_SUBMISSIONS, _ERRORS, _PIPELINES = _members(SubmissionStatus), _members(ErrorType), _members(PipelineStatus)


def task_snapshot(value: object) -> TaskSnapshot:
    found = _object(value)
    status, id_, receipts = _STATUSES[found["status"]], _task_id(found.get("taskId")), found.get("receipts")
    if receipts is None:
        return TaskSnapshot(status, id_)
    if type(receipts) is not list:
        raise TypeError
    ids: dict[object, TaskId | None] = {None: None, found.get("taskId"): id_}
    times: dict[object, datetime | None] = {None: None}
    return TaskSnapshot(status, id_, tuple([_receipt(each, ids, times) for each in receipts]))


def task_submission(value: object) -> TaskSubmission:
    found = _object(value)
    if found.get("purgeOperation") is not None:
        raise LookupError
    joint, resource = found.get("relationship"), found.get("resource")
    return TaskSubmission(
        _SUBMISSIONS[found["status"]],
        _task_id(found.get("taskId")),
        _task_id(found.get("bulkId")),
        None if joint is None else relationship(joint),
        None if resource is None else _resource(resource),
    )


def relationship(value: object) -> Relationship:
    found = _object(value)
    id_, type_ = found["id"], found["type"]
    if type(id_) is not str or type(type_) is not str:
        raise TypeError
    return Relationship(
        id_,
        type_,
        _ref(found["from"]),
        _ref(found["to"]),
        _json(found.get("data")),
        _meta(found.get("meta")),
        _json(found.get("includes")),
    )


def _resource(value: object) -> Resource:
    found = _object(value)
    id_, type_ = found["id"], found["type"]
    if type(id_) is not str or type(type_) is not str:
        raise TypeError
    return Resource(
        id_, type_, _json(found.get("data")), _meta(found.get("meta")), _json(found.get("contained"))
    )


def _receipt(
    value: object, ids: dict[object, TaskId | None], times: dict[object, datetime | None]
) -> Receipt:
    """`ids` and `times` are those that were met before: the receipts of a task share most of them."""
    if type(value) is not dict:
        raise TypeError
    get = value.get
    type_, id_, task = value["type"], value["id"], get("taskId")
    if type(type_) is not str or type(id_) is not str:
        raise TypeError
    if task not in ids:
        ids[task] = _task_id(task)
    received, completed = get("receivedAt"), get("completedAt")
    if received not in times:
        times[received] = parse_usual(received)
    if completed not in times:
        times[completed] = parse_usual(completed)
    error, execution = get("error"), get("pipelineExecution")
    return Receipt(
        _ACTIONS[value["action"]],
        _STATUSES[value["status"]],
        _TARGETS[value["targetType"]],
        type_,
        id_,
        ids[task],
        times[received],
        times[completed],
        None if error is None else _error(error),
        None if execution is None else _execution(execution),
    )


def _error(value: object) -> ErrorInfo:
    found = _object(value)
    kind, code, details = found.get("type"), found.get("code"), found.get("details", [])
    if (code is not None and type(code) is not int) or type(details) is not list:
        raise TypeError
    return ErrorInfo(
        None if kind is None else _ERRORS[kind],
        code,
        _text(found.get("message")),
        tuple(map(_error, details)),
    )


def _execution(value: object) -> PipelineExecution:
    found = _object(value)
    status = found.get("status")
    return PipelineExecution(
        _text(found.get("id")),
        _text(found.get("pipelineDefinitionId")),
        None if status is None else _PIPELINES[status],
    )


def _ref(value: object) -> Ref:
    found = _object(value)
    id_, type_ = found["id"], found["type"]
    if type(id_) is not str or type(type_) is not str:
        raise TypeError
    return Ref(id_, type_)


def _meta(value: object) -> Meta | None:
    if value is None:
        return None
    found = _object(value)
    identifiers = found.get("identifier")
    if identifiers is not None and type(identifiers) is not list:
        raise TypeError
    return Meta(
        _time(found.get("createdAt")),
        _time(found.get("updatedAt")),
        None if identifiers is None else tuple(map(_identifier, identifiers)),
        _text(found.get("source")),
    )


def _identifier(value: object) -> Identifier:
    found = _object(value)
    if found.get("period") is not None:
        raise LookupError
    get = found.get
    return Identifier(_text(get("id")), _text(get("system")), _text(get("value")), _text(get("use")))


def _object(value: object) -> dict[str, object]:
    if type(value) is not dict:
        raise TypeError
    return value


def _json(value: object) -> Json | None:
    return None if value is None else _object(value)


def _text(value: object) -> str | None:
    if value is not None and type(value) is not str:
        raise TypeError
    return value


def _time(value: object) -> datetime | None:
    return None if value is None else parse_usual(value)


def _task_id(value: object) -> TaskId | None:
    return None if value is None else TaskId(value)  # type: ignore[arg-type]  # it checks itself


USUAL: Mapping[object, Callable[[object], object]] = {
    TaskSnapshot: task_snapshot,
    TaskSubmission: task_submission,
    Relationship: relationship,
    Resource: _resource,
}
"""By model, what makes it of a parsed answer."""
