"""Decoders for the most frequent answers, many times faster than the converter.

They read the documented shape only. For any other they raise a `LookupError`, `TypeError` or `ValueError`
without a text, and the converter reads the answer: it knows unusual shapes and explains what is wrong.
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
from clinia_async.models.value import maker
from clinia_async.serialization.lazy_receipts import LazyReceipts, object_of, text_of, values_of
from clinia_async.serialization.timestamps import parse_fast

_STATUSES, _SUBMISSIONS = values_of(TaskStatus), values_of(SubmissionStatus)
make_snapshot, _make_submission = maker(TaskSnapshot), maker(TaskSubmission)
make_relationship, make_resource, _make_ref = maker(Relationship), maker(Resource), maker(Ref)
_make_meta, _make_identifier = maker(Meta), maker(Identifier)


def _names(*names: str) -> frozenset[str]:
    return frozenset(names)


_SNAPSHOT = _names("status", "taskId", "receipts")
_SUBMISSION = _names("status", "taskId", "bulkId", "relationship", "resource", "purgeOperation")
_RELATIONSHIP = _names("id", "type", "from", "to", "data", "meta", "includes")
_RESOURCE = _names("id", "type", "data", "meta", "contained")
_META = _names("createdAt", "updatedAt", "identifier", "source")
_IDENTIFIER = _names("id", "system", "value", "use", "period")
# An object with any other field is left to the converter, which keeps it.


def task_snapshot(value: object) -> TaskSnapshot:
    """Return the state of a task; a `TypeError` or `LookupError` where the converter has to read it."""
    found = _object(value, _SNAPSHOT)
    status, id_, receipts = _STATUSES[found["status"]], _task_id(found.get("taskId")), found.get("receipts")
    if receipts is None:
        return make_snapshot(status, id_, None, None)
    if type(receipts) is not list:
        raise TypeError
    return make_snapshot(status, id_, LazyReceipts(receipts), None)


def task_submission(value: object) -> TaskSubmission:
    """Return the answer to a write; raises as `task_snapshot` does."""
    found = _object(value, _SUBMISSION)
    if found.get("purgeOperation") is not None:
        raise LookupError
    joint, resource = found.get("relationship"), found.get("resource")
    return _make_submission(
        _SUBMISSIONS[found["status"]],
        _task_id(found.get("taskId")),
        _task_id(found.get("bulkId")),
        None if joint is None else relationship(joint),
        None if resource is None else _resource(resource),
        None,
        None,
    )


def relationship(value: object) -> Relationship:
    """Return a relationship of an answer; raises as `task_snapshot` does."""
    found = _object(value, _RELATIONSHIP)
    id_, type_ = found["id"], found["type"]
    if type(id_) is not str or type(type_) is not str:
        raise TypeError
    return make_relationship(
        id_,
        type_,
        _ref(found["from"]),
        _ref(found["to"]),
        _json(found.get("data")),
        _meta(found.get("meta")),
        _json(found.get("includes")),
        None,
    )


def _resource(value: object) -> Resource:
    found = _object(value, _RESOURCE)
    id_, type_ = found["id"], found["type"]
    if type(id_) is not str or type(type_) is not str:
        raise TypeError
    return make_resource(
        id_, type_, _json(found.get("data")), _meta(found.get("meta")), _json(found.get("contained")), None
    )


def _ref(value: object) -> Ref:
    found = object_of(value)
    id_, type_ = found["id"], found["type"]
    if type(id_) is not str or type(type_) is not str or len(found) != len(("id", "type")):
        raise TypeError
    return _make_ref(id_, type_, None)


def _meta(value: object) -> Meta | None:
    if value is None:
        return None
    found = _object(value, _META)
    identifiers = found.get("identifier")
    if identifiers is not None and type(identifiers) is not list:
        raise TypeError
    if not any(found.values()):
        raise LookupError
    return _make_meta(
        _time(found.get("createdAt")),
        _time(found.get("updatedAt")),
        None if identifiers is None else tuple(map(_identifier, identifiers)),
        text_of(found.get("source")),
        None,
    )


def _identifier(value: object) -> Identifier:
    found = _object(value, _IDENTIFIER)
    if found.get("period") is not None:
        raise LookupError
    get = found.get
    return _make_identifier(
        text_of(get("id")), text_of(get("system")), text_of(get("value")), text_of(get("use")), None, None
    )


def _object(value: object, known: frozenset[str]) -> dict[str, object]:
    if type(value) is not dict:
        raise TypeError
    if not value.keys() <= known:
        raise LookupError
    return value


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
"""The decoder of parsed JSON, by model."""

WITHOUT_NUMBERS = frozenset({TaskSnapshot})
"""Models without numbers, whose JSON needs no exact parser."""
