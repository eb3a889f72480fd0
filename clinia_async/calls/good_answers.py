"""What an answer with a good status has to say, and must not say, to prove that something was carried out.

A gateway may answer with a good status, too, and the service may say in one part of an answer what another
part takes back.
"""

import re
from collections.abc import Mapping
from collections.abc import Set as AbstractSet

from clinia_async.errors import ProtocolError
from clinia_async.models import PurgeOperation, SubmissionStatus, TaskSnapshot
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
    """Check what an answer that says PERSISTED holds besides, such as a list of the operations.

    The names of its fields are not documented. Data of records is not searched.

    Raises:
        ProtocolError: it says that an operation failed, or is still to be carried out.
    """
    for name, part in (more or {}).items():
        entries = part if isinstance(part, list) else [part]
        if (_FAILURE.search(name) and part) or any(map(_is_failure, entries)):
            raise ProtocolError("the answer says PERSISTED, and that an operation was not carried out")


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
    if not holds_something(found) or found.get("status") == SubmissionStatus.PERSISTED:
        return True
    return found.get("key") == key and not found.get("taskId")
