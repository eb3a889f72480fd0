"""Calls about resources inside other resources. The record of each of them is the root resource."""

from collections.abc import Sequence
from typing import ClassVar, cast

from attrs import evolve, field, frozen

from clinia_async.calls.addressing import RecordCall
from clinia_async.calls.call import Host, Request, RetrySafety, decode_submission, path_of, require_record
from clinia_async.calls.equality import contained_at, holds_contained
from clinia_async.calls.reconciliation import DuplicateErrors
from clinia_async.calls.resources import GetResource, check_resource
from clinia_async.calls.validation import check_place
from clinia_async.models import (
    Contained,
    Json,
    Receipt,
    Resource,
    SubmissionStatus,
    TargetType,
    TaskSubmission,
)
from clinia_async.models.value import checked
from clinia_async.serialization import converter, exact_json


@frozen(eq=False, repr=False, field_transformer=checked)
class _ContainedCall(RecordCall):
    """A call about a contained resource: `place` alternates keys and ids, down from the root."""

    place: Sequence[str] = field(repr=False)

    route: ClassVar[str] = "/sources/{source}/v1/resources/{type}/{id}/{place}"
    target = TargetType.RESOURCE
    duplicate_errors: ClassVar[DuplicateErrors] = ()

    def __attrs_post_init__(self) -> None:
        check_place(self.place, "$.place")

    def path(self) -> str:
        """Return the percent-encoded path of the contained resource, or of the list that it is added to."""
        root = GetResource(self.source, self.type, self.id).request().path
        return "/".join([root, *(path_of("{part}", part=part) for part in self.place)])

    def readback(self, receipts: Sequence[Receipt] = ()) -> GetResource:
        return GetResource(self.source, self.type, self.id)

    def reconciled(self, found: object) -> TaskSubmission | None:
        if not isinstance(found, Resource) or not self._is_shown_by(found.contained or {}):
            return None
        return TaskSubmission(SubmissionStatus.PERSISTED, resource=found)

    def _is_shown_by(self, contained: Json) -> bool:
        raise NotImplementedError


@frozen(eq=False, repr=False, field_transformer=checked)
class _ContainedWrite(_ContainedCall):
    contained: Contained = field(metadata={"path": "$"})

    def decode_response(self, body: bytes) -> TaskSubmission:
        return decode_submission(body, lambda it: check_resource(it.resource, self.type, self.id))

    def result(self, submission: TaskSubmission) -> Resource:
        return require_record(submission.resource)

    def _is_shown_by(self, contained: Json) -> bool:
        sent, place = cast("Json", exact_json.loads(converter.encode(self.contained))), self._whole_place()
        return len(place) % 2 == 0 and holds_contained(
            {**sent, "id": place[-1]}, contained_at(contained, place)
        )

    def _whole_place(self) -> Sequence[str]:
        """The place with the id of the contained resource, where that is known before sending."""
        return self.place


class CreateContained(_ContainedWrite):
    """Create a resource inside another; the result is the root resource. Never retried.

    `place` ends with the key that contains it, such as `["offices"]`.

    https://docs.clinia.com/changelog/behaviour-change-for-registry-apis
    """

    __slots__ = ()

    retry_safety = RetrySafety.ONCE

    def request(self) -> Request:
        return Request("POST", Host.REGISTRY, self.route, self.path(), body=converter.encode(self.contained))

    def _whole_place(self) -> Sequence[str]:
        return self.place if self.contained.id is None else (*self.place, self.contained.id)


class UpsertContained(_ContainedWrite):
    """Create or replace a resource inside another; the result is the root resource. May be retried.

    `place` ends with the key that contains it and its id, such as `["offices", "main"]`.

    https://docs.clinia.com/api-reference/resources/upsert-a-contained-resource-in-the-registry
    """

    __slots__ = ()

    retry_safety = RetrySafety.IDEMPOTENT

    def request(self) -> Request:
        body = converter.encode(evolve(self.contained, id=None))
        return Request("PUT", Host.REGISTRY, self.route, self.path(), body=body)


class DeleteContained(_ContainedCall):
    """Delete a resource inside another. Never retried.

    The result is the root resource after the delete; None if the delete was PERSISTED and the answer does
    not hold the root, which is not documented for deletes.

    https://docs.clinia.com/changelog/behaviour-change-for-registry-apis
    """

    __slots__ = ()

    retry_safety = RetrySafety.ONCE

    def request(self) -> Request:
        return Request("DELETE", Host.REGISTRY, self.route, self.path())

    def decode_response(self, body: bytes) -> TaskSubmission:
        return decode_submission(body, self._check)

    def result(self, submission: TaskSubmission) -> Resource | None:
        return submission.resource

    def _is_shown_by(self, contained: Json) -> bool:
        return len(self.place) % 2 == 0 and contained_at(contained, self.place) is None

    def _check(self, submission: TaskSubmission) -> None:
        if submission.resource is not None:
            check_resource(submission.resource, self.type, self.id)
