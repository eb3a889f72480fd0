"""The entry of the catalog, or the definition of a source, that a call is about, and so its path.

A call that adds no field of its own inherits these methods without another `@frozen`.
"""

from typing import ClassVar

from attrs import field, frozen

from clinia_async.calls.call import Host, Request, RetrySafety, path_of
from clinia_async.calls.equality import is_another_entry
from clinia_async.calls.good_answers import refuse_other_than_deleted, refuse_unfinished
from clinia_async.calls.reconciliation import DELETED_ALREADY, DuplicateErrors
from clinia_async.calls.validation import check_key, validated_by
from clinia_async.errors import ProtocolError
from clinia_async.models import Value
from clinia_async.models.value import EqualByFields
from clinia_async.serialization import converter

_READS = frozenset({"GET"})


@frozen(eq=False, repr=False)
class CatalogCall(EqualByFields):
    """A call about one entry of the catalog."""

    route: ClassVar[str]
    retry_safety = RetrySafety.IDEMPOTENT
    key: str = field(validator=validated_by(check_key, "$.key"))

    def build_request(self, method: str, query: str = "", body: bytes | None = None) -> Request:
        """Return the request for the path of the entry."""
        path = path_of(self.route, key=self.key)
        return Request(
            method, Host.CATALOG, self.route, path, query, body, makes_no_task=method not in _READS
        )

    def check_answer(self, key: str | None) -> None:
        """Check the key in the answer, if there is one.

        Raises:
            ProtocolError: it is another key.
        """
        _check_key(key, self.key)


@frozen(eq=False, repr=False)
class SourceCall(EqualByFields):
    """A call about one definition of a source."""

    route: ClassVar[str]
    retry_safety = RetrySafety.IDEMPOTENT
    source: str = field(validator=validated_by(check_key, "$.source"))
    key: str = field(validator=validated_by(check_key, "$.key"))

    def build_request(self, method: str, body: bytes | None = None) -> Request:
        """Return the request for the path of the definition."""
        path = path_of(self.route, source=self.source, key=self.key)
        return Request(method, Host.REGISTRY, self.route, path, body=body, makes_no_task=method not in _READS)

    def check_answer(self, key: str | None) -> None:
        """Check the key in the answer, if there is one.

        Raises:
            ProtocolError: it is another key.
        """
        _check_key(key, self.key)


def check_entry(found: Value, body: bytes, sent: object) -> None:
    """Check the entry in an answer to a write that makes or replaces it, as the JSON `sent`.

    Raises:
        ProtocolError: the answer says that this failed or is still to be done, or shows another entry, such
            as one that was there before.
    """
    refuse_unfinished(found)
    if is_another_entry(sent, converter.parse(body)):
        raise ProtocolError("the answer holds another entry than the one that was sent")


def _check_key(found: str | None, asked: str) -> None:
    """Refuse an answer with another key. Not every answer has one."""
    if found and found != asked:
        raise ProtocolError("the answer is about another key")


class Deletion:
    """A delete that is answered at once. A body is not documented: without one, it is carried out."""

    __slots__ = ()

    duplicate_errors: ClassVar[DuplicateErrors] = DELETED_ALREADY
    key: str

    def decode_response(self, body: bytes) -> None:
        """Check that the answer says nothing else than that the entry was deleted.

        Raises:
            ProtocolError: it says something else, such as that the delete is still to be carried out. Where
                it was, the next attempt is answered that there is no such entry.
        """
        refuse_other_than_deleted(converter.parse(body) if body.strip() else None, self.key)
