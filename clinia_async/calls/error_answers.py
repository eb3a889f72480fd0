"""What an answer with an error status proves about the request, or that no answer came.

Only the service's own error envelope, `{code, message, type, details}`, speaks for the service. A page of a
proxy, a firewall or a gateway proves nothing, even where it has fields in common with the envelope. No page
of the API shows the body of an error answer. Every page that shows the envelope shows its `type`, which is
the one field that other formats lack: several gateways write `{"code": 403, "message": "..."}`, with and
without `details`. So a `type` is required.
"""

import re
from collections.abc import Collection, Mapping
from http import HTTPStatus

from clinia_async.calls.reconciliation import UNPROVEN, Statement
from clinia_async.errors import Evidence, Outcome
from clinia_async.models import ErrorInfo, ErrorType
from clinia_async.serialization import exact_json
from clinia_async.serialization.foreign_answers import refuse_error_in

_NOT_CARRIED_OUT = frozenset({411, 413, 414, 429, 431})
"""Statuses that say in themselves that the request was not carried out, from the service or from a proxy."""

_MAY_BE_CARRIED_OUT = frozenset({408, 499})
"""Statuses of 4xx after which the request may have been carried out, though the service says them."""

_FAILED_MIDWAY = frozenset(
    {ErrorType.INTERNAL, "CANCELLED", "DATA_LOSS", "DEADLINE_EXCEEDED", "UNAVAILABLE", "UNKNOWN"}
)
"""Types after which the request may have been carried out. Only the first is documented; the others are words
of gRPC, as most of the documented ones are."""

_NOT_CARRIED_OUT_HERE = frozenset({HTTPStatus.TEMPORARY_REDIRECT, HTTPStatus.PERMANENT_REDIRECT})
"""The only redirects that promise that the request was not carried out where it arrived."""

_OTHER_FIELDS = frozenset({"title", "status", "error", "fault"})
"""Fields that formats of others have beside a `type`: RFC 9457, Spring and gateways."""
_OTHER_FORMATS = frozenset({"application/problem+json", "application/problem+xml"})
"""Media types of error formats that are not the service's, in which `type` means something else."""

_DOCUMENTED = frozenset(ErrorType)
_OF_SISTER_PRODUCT = frozenset({"PAYMENT_REQUIRED", "UNSUPPORTED_MEDIA_TYPE"})
"""Types of another product of the same maker, whose envelope has no `details`."""
_WORD = r"[A-Z][A-Z0-9_]*"


def is_of_service(status: int, info: ErrorInfo, names: Collection[str], media_type: str | None) -> bool:
    """Return whether an answer with an error status is the service's own envelope.

    A documented `type` is enough. Any other word may be a gateway's: beside it stands the rest of the
    envelope, with the HTTP status as its `code`.

    Args:
        status: the HTTP status.
        info: the envelope, as far as it could be read.
        names: the fields of the JSON object, known or not.
        media_type: the Content-Type without its parameters, in lower case.
    """
    if info.type is None or media_type in _OTHER_FORMATS or not _OTHER_FIELDS.isdisjoint(names):
        return False
    if info.type in _DOCUMENTED:
        return True
    is_whole = info.type in _OF_SISTER_PRODUCT or "details" in names
    is_word = re.fullmatch(_WORD, info.type, re.ASCII) is not None
    return is_word and is_whole and info.code == status and info.message is not None


def refuse_error_within(body: bytes) -> None:
    """Check that an answer with a good status holds no error, and is none; one that is null is none.

    Raises:
        ProtocolError: it holds one, and so proves nothing.
        DecodeError: it may hold one and is not JSON.
    """
    if b'"error' not in body and b'"message"' not in body:
        return
    value = exact_json.loads(body)
    if isinstance(value, dict):
        refuse_error_in(value)


def statement_of_service(status: int, info: ErrorInfo, *, is_in_parts: bool = False) -> Statement:
    """Return what the service's own envelope proves about the request that it answers.

    Where that is carried out part by part (`is_in_parts`), an answer that speaks of one record, which exists,
    says that it was begun.
    """
    is_refused = (status < 500 and status not in _MAY_BE_CARRIED_OUT) or status == HTTPStatus.NOT_IMPLEMENTED
    if is_in_parts and info.type == ErrorType.ALREADY_EXISTS:
        return UNPROVEN
    if is_refused and not _says_it_failed(status, info):
        return Statement(Outcome.REJECTED, Evidence.ENVELOPE)
    return UNPROVEN


def _says_it_failed(status: int, info: ErrorInfo) -> bool:
    """Whether an envelope, or a part of it, says that the request failed midway, whatever the status.

    Its `code` says so where it is another HTTP status than that of the answer.
    """
    if info.type in _FAILED_MIDWAY or (
        info.code is not None and 500 <= info.code < 600 and info.code != status
    ):
        return True
    return any(_says_it_failed(status, each) for each in info.details)


def statement_of_intermediary(status: int, document: object = None) -> Statement:
    """Return what the page of a proxy, a firewall or a gateway proves about the request.

    `document` is the JSON of the page, if it is any.
    """
    return _statement_by_status(status in _NOT_CARRIED_OUT, document)


def statement_of_redirect(status: int, document: object = None) -> Statement:
    """Return what a redirect, which is never followed, proves about the request; `document` is its JSON."""
    return _statement_by_status(status in _NOT_CARRIED_OUT_HERE, document)


def _statement_by_status(is_refusal: bool, document: object) -> Statement:
    """Say by the status alone that nothing was carried out, unless the answer names a task.

    That is what the service says of a write that it has taken: what is between has changed the status.
    """
    names_task = isinstance(document, Mapping) and bool(document.get("taskId"))
    return Statement(Outcome.REJECTED, Evidence.STATUS) if is_refusal and not names_task else UNPROVEN


def statement_without_answer(*, sent: bool) -> Statement:
    """Return what is proven about a request that brought no answer. `sent`: a byte of it has left."""
    return UNPROVEN if sent else Statement(Outcome.NOT_SENT, Evidence.NOT_SENT)
