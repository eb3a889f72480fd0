"""Resources inside other resources. Each of these writes is about the root resource."""

from collections.abc import Sequence
from typing import ClassVar

from attrs import evolve, field, frozen

from clinia_async.calls.addressing import OneRecord
from clinia_async.calls.call import Host, Repeat, Request, path_of, stored, submission_answer
from clinia_async.calls.resources import GetResource, check_resource
from clinia_async.calls.validation import check_contained, check_place, checked
from clinia_async.models import Contained, Receipt, Resource, TargetType, TaskSubmission
from clinia_async.serialization import converter as codec


@frozen
class _InsideOf(OneRecord):
    """A place in a resource: `place` alternates keys and ids, down from the root."""

    place: Sequence[str] = field(repr=False, validator=checked(check_place, "$.place"))

    route: ClassVar[str] = "/sources/{source}/v1/resources/{type}/{id}/{place}"
    target: ClassVar[TargetType] = TargetType.RESOURCE

    def path(self) -> str:
        root = GetResource(self.source, self.type, self.id).request().path
        return "/".join([root, *(path_of("{part}", part=part) for part in self.place)])

    def readback(self, receipts: Sequence[Receipt]) -> GetResource:
        return GetResource(self.source, self.type, self.id)


@frozen
class _PutInside(_InsideOf):
    contained: Contained = field(validator=checked(check_contained, "$"))

    def answer(self, body: bytes) -> TaskSubmission:
        return submission_answer(body, lambda it: check_resource(it.resource, self.type, self.id))

    def result(self, submission: TaskSubmission) -> Resource:
        return stored(submission.resource)


class CreateContained(_PutInside):
    """A resource to create inside another; the result is the root resource. Sent once.

    `place` ends with the key that contains it, such as `["offices"]`.

    https://docs.clinia.com/changelog/behaviour-change-for-registry-apis
    """

    __slots__ = ()

    repeat: ClassVar[Repeat] = Repeat.ONCE

    def request(self) -> Request:
        return Request("POST", Host.REGISTRY, self.route, self.path(), body=codec.encode(self.contained))


class UpsertContained(_PutInside):
    """A resource to create or replace inside another; the result is the root resource. May be repeated.

    `place` ends with the key that contains it and its id, such as `["offices", "main"]`.

    https://docs.clinia.com/api-reference/resources/upsert-a-contained-resource-in-the-registry
    """

    __slots__ = ()

    repeat: ClassVar[Repeat] = Repeat.IDEMPOTENT

    def request(self) -> Request:
        body = codec.encode(evolve(self.contained, id=None))
        return Request("PUT", Host.REGISTRY, self.route, self.path(), body=body)


class DeleteContained(_InsideOf):
    """A resource to delete inside another. Sent once.

    The result is what is left of the root resource; None if it was deleted at once and the answer does
    not hold the root, which is not documented for deletes.

    https://docs.clinia.com/changelog/behaviour-change-for-registry-apis
    """

    __slots__ = ()

    repeat: ClassVar[Repeat] = Repeat.ONCE

    def request(self) -> Request:
        return Request("DELETE", Host.REGISTRY, self.route, self.path())

    def answer(self, body: bytes) -> TaskSubmission:
        return submission_answer(body, self._check)

    def result(self, submission: TaskSubmission) -> Resource | None:
        return submission.resource

    def _check(self, submission: TaskSubmission) -> None:
        if submission.resource is not None:
            check_resource(submission.resource, self.type, self.id)
