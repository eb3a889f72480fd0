"""What an answer with a good status has to say, and must not say, to prove that something was carried out.

A gateway may answer with a good status, too, and the service may say in one part of an answer what another
part takes back.
"""

import re
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from http import HTTPStatus

from clinia_async.errors import ProtocolError
from clinia_async.models import PurgeOperation, SubmissionStatus, TaskSnapshot, Value
from clinia_async.serialization.foreign_answers import holds_something


def refuse_more_than_state(
    found: TaskSnapshot | PurgeOperation, *, may_have: AbstractSet[str] = frozenset()
) -> None:
    """Check an answer that does not name its task: it is taken if it holds nothing else than `may_have`.

    Raises:
        ProtocolError: it has other fields, as the `{"status": "CANCELLED", "message": ...}` of a gateway.
    """
    if isinstance(found, TaskSnapshot) and found.receipts is not None:
        return  # it is the service's, whatever it adds
    unknown = found.unknown_fields or {}
    if holds_something({name: unknown[name] for name in unknown.keys() - may_have}):
        raise ProtocolError("the answer does not name its task, and is about something else")


def refuse_failure_beside(more: Mapping[str, object] | None) -> None:
    """Check what an answer that says that a write was carried out holds besides, such as its operations.

    The names of its fields are not documented. Data of records is not searched.

    Raises:
        ProtocolError: it says that an operation failed, or is still to be carried out.
    """
    for name, part in (more or {}).items():
        entries = part if isinstance(part, list) else [part]
        if (_FAILURE.search(name) and part) or any(map(_is_failure, entries)):
            raise ProtocolError("the answer says that it was carried out, and that an operation was not")


_FAILURE = re.compile(r"error|fail", re.IGNORECASE | re.ASCII)
_NOT_CARRIED_OUT = frozenset(
    {"FAILURE", "FAILED", "CANCELLED", "PENDING", "IN_REVIEW", "REJECTED", "DROPPED"}
)
_FIRST_OF_ERRORS = 400


def _is_failure(entry: object) -> bool:
    if not isinstance(entry, Mapping):
        return False
    status = entry.get("status")
    if isinstance(status, str) and status.upper() in _NOT_CARRIED_OUT:
        return True
    if type(status) is int and status >= _FIRST_OF_ERRORS:
        return True
    return bool(entry.get("error") or entry.get("errors")) or _is_failure(entry.get("pipelineExecution"))


def refuse_promise(status: int, *, makes_no_task: bool) -> None:
    """Check the status of a good answer: 202 says that the write is still to be carried out.

    Raises:
        ProtocolError: it is 202, and the write `makes_no_task` that would say later how it ended.
    """
    if makes_no_task and status == HTTPStatus.ACCEPTED:
        raise ProtocolError("the answer says that it is still to be carried out")


def refuse_unfinished(found: Value) -> None:
    """Check an answer with an entry to a write that makes no task.

    An entry may have settings of any name, so none but its own state is read.

    Raises:
        ProtocolError: it says that the write failed, or is still to be carried out.
    """
    if _is_unfinished({"status": getattr(found, "status", None), **(found.unknown_fields or {})}):
        raise ProtocolError("the answer does not say that the write was carried out")


_FLAGS = ("success", "ok", "acknowledged")


def _is_unfinished(found: Mapping[str, object]) -> bool:
    status = found.get("status")
    word = status.upper().removeprefix("STATUS_") if isinstance(status, str) else ""
    is_open = word in _NOT_CARRIED_OUT or word == SubmissionStatus.ACCEPTED
    return is_open or bool(found.get("taskId")) or any(found.get(flag) is False for flag in _FLAGS)


def refuse_other_than_deleted(found: object, key: str) -> None:
    """Check the parsed body of an answer to a delete of the entry `key`, which is not documented.

    Raises:
        ProtocolError: it says something else than that the entry was deleted, such as that the delete is
            still to be carried out.
    """
    if found is None or (isinstance(found, Mapping) and _says_deleted(found, key)):
        return
    raise ProtocolError("the answer does not say that the entry was deleted")


def _says_deleted(found: Mapping[str, object], key: str) -> bool:
    if not holds_something(found):
        return True
    is_done = found.get("status") == SubmissionStatus.PERSISTED
    if is_done:
        refuse_failure_beside(found)
    if found.get("key", key if is_done else None) != key or found.get("deleted") is False:
        return False
    return is_done or not _is_unfinished(found)
