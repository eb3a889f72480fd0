"""The answers that come by the thousand, made without the converter: receipts, submissions and records.

These functions know the usual shape and nothing else. Whatever is not of it makes them raise a
`LookupError`, `TypeError` or `ValueError` without a word, and the answer is left to the converter:
that one takes what is unusual, and explains what is wrong.
"""

from collections.abc import Callable, Mapping
from datetime import datetime

from clinia_async.models import (
    Identifier,
    Json,
    Meta,
    Ref,
    Relationship,
    Resource,
    SubmissionStatus,
    TaskSnapshot,
    TaskStatus,
    TaskSubmission,
)
from clinia_async.models.task_id import TaskId
from clinia_async.serialization.lazy_receipts import LazyReceipts, object_of, text_of, values_of
from clinia_async.serialization.timestamps import parse_fast

_STATUSES, _SUBMISSIONS = values_of(TaskStatus), values_of(SubmissionStatus)


def task_snapshot(value: object) -> TaskSnapshot:
    found = object_of(value)
    status, id_, receipts = _STATUSES[found["status"]], _task_id(found.get("taskId")), found.get("receipts")
    if receipts is None:
        return TaskSnapshot(status, id_)
    if type(receipts) is not list:
        raise TypeError
    return TaskSnapshot(status, id_, LazyReceipts(receipts))


def task_submission(value: object) -> TaskSubmission:
    found = object_of(value)
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
    found = object_of(value)
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
    found = object_of(value)
    id_, type_ = found["id"], found["type"]
    if type(id_) is not str or type(type_) is not str:
        raise TypeError
    return Resource(
        id_, type_, _json(found.get("data")), _meta(found.get("meta")), _json(found.get("contained"))
    )


def _ref(value: object) -> Ref:
    found = object_of(value)
    id_, type_ = found["id"], found["type"]
    if type(id_) is not str or type(type_) is not str:
        raise TypeError
    return Ref(id_, type_)


def _meta(value: object) -> Meta | None:
    if value is None:
        return None
    found = object_of(value)
    identifiers = found.get("identifier")
    if identifiers is not None and type(identifiers) is not list:
        raise TypeError
    return Meta(
        _time(found.get("createdAt")),
        _time(found.get("updatedAt")),
        None if identifiers is None else tuple(map(_identifier, identifiers)),
        text_of(found.get("source")),
    )


def _identifier(value: object) -> Identifier:
    found = object_of(value)
    if found.get("period") is not None:
        raise LookupError
    get = found.get
    return Identifier(text_of(get("id")), text_of(get("system")), text_of(get("value")), text_of(get("use")))


def _json(value: object) -> Json | None:
    return None if value is None else object_of(value)


def _time(value: object) -> datetime | None:
    return None if value is None else parse_fast(value)


def _task_id(value: object) -> TaskId | None:
    return None if value is None else TaskId(value)  # type: ignore[arg-type]  # it checks itself


FAST_DECODERS: Mapping[object, Callable[[object], object]] = {
    TaskSnapshot: task_snapshot,
    TaskSubmission: task_submission,
    Relationship: relationship,
    Resource: _resource,
}
"""By model, what makes it of a parsed answer."""

WITHOUT_NUMBERS = frozenset({TaskSnapshot})
"""Those without a number that could be too large for a plain parser and still be of the usual shape."""
