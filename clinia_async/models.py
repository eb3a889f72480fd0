"""The values of the API: frozen, and innocent of JSON. Wire names and formats live in `codec`.

Ids, data and messages are left out of every `repr`: they may be about people.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Self

from attrs import field, frozen, resolve_types

from clinia_async.secret import fingerprint
from clinia_async.task_id import TaskId

Json = Mapping[str, object]
"""A JSON object."""


class OpenEnum(StrEnum):
    """An enum that keeps what it does not know: most of the service's lists are known to be incomplete."""

    # Enum hashes by name, so a member and the equal string would be two keys of one dict.
    __hash__ = str.__hash__

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        if not isinstance(value, str):
            return None
        member = str.__new__(cls, value)
        member._name_ = "UNKNOWN"
        member._value_ = value
        return member


class SubmissionStatus(OpenEnum):
    ACCEPTED = "ACCEPTED"
    """Captured; it runs in the background."""
    PERSISTED = "PERSISTED"
    """Done and stored."""


class TaskStatus(OpenEnum):
    """The state of a task, or of one operation in it."""

    PENDING = "PENDING"
    SUCCESS = "SUCCESS"
    """Every operation was stored, or dropped because a reviewer rejected it."""
    FAILURE = "FAILURE"
    """All operations ended and at least one failed or was cancelled; the others may be stored."""
    CANCELLED = "CANCELLED"
    """Every operation was cancelled by the service, because of a concurrent one."""

    @property
    def is_terminal(self) -> bool:
        """An unknown status is not terminal: it means "look again"."""
        return self in {TaskStatus.SUCCESS, TaskStatus.FAILURE, TaskStatus.CANCELLED}


class Action(OpenEnum):
    CREATE = "CREATE"
    UPSERT = "UPSERT"
    DELETE = "DELETE"


class TargetType(OpenEnum):
    RELATIONSHIP = "RELATIONSHIP"
    RESOURCE = "RESOURCE"
    OBJECT = "OBJECT"


class ErrorType(OpenEnum):
    """https://docs.clinia.com/explanation/errors"""

    ALREADY_EXISTS = "ALREADY_EXISTS"
    CONTENT_TOO_LARGE = "CONTENT_TOO_LARGE"
    FAILED_PRECONDITION = "FAILED_PRECONDITION"
    INTERNAL = "INTERNAL"
    INVALID_ARGUMENT = "INVALID_ARGUMENT"
    NOT_FOUND = "NOT_FOUND"
    OUT_OF_RANGE = "OUT_OF_RANGE"
    PERMISSION_DENIED = "PERMISSION_DENIED"
    UNAUTHENTICATED = "UNAUTHENTICATED"
    UNIMPLEMENTED = "UNIMPLEMENTED"


@frozen
class ErrorInfo:
    """The service's own account of an error; `message` and `details` may quote the record."""

    type: ErrorType | None = None
    code: int | None = None
    message: str | None = field(default=None, repr=False)
    details: Sequence["ErrorInfo"] = field(default=(), repr=False)


resolve_types(ErrorInfo)  # it holds itself


@frozen
class Ref:
    """One end of a relationship: `type` is the key of a profile."""

    id: str = field(repr=fingerprint)
    type: str


@frozen
class Period:
    id: str | None = None
    start: str | None = None
    end: str | None = None


@frozen(repr=False)
class Identifier:
    id: str | None = None
    system: str | None = None
    value: str | None = None
    use: str | None = None
    period: Period | None = None


@frozen
class Meta:
    """`created_at` and `updated_at` need a timezone; `source` is the service's to set."""

    created_at: datetime | None = None
    updated_at: datetime | None = None
    identifier: Sequence[Identifier] | None = field(default=None, repr=False)
    source: str | None = None


@frozen
class Relationship:
    """`id` is `{from_.id}.{to.id}`."""

    id: str = field(repr=fingerprint)
    type: str
    from_: Ref
    to: Ref
    data: Json | None = field(default=None, repr=False)
    meta: Meta | None = field(default=None, repr=False)
    includes: Json | None = field(default=None, repr=False)


@frozen
class TaskSubmission:
    """The answer to a write: `relationship` comes with `PERSISTED` only; `bulk_id` is deprecated."""

    status: SubmissionStatus
    task_id: TaskId | None = None
    bulk_id: TaskId | None = None
    relationship: Relationship | None = None


@frozen
class PipelineExecution:
    id: str | None = None
    pipeline_definition_id: str | None = None
    status: str | None = None


@frozen
class Receipt:
    """What became of one operation. Receipts carry no position: match them by target type, type and id."""

    action: Action
    status: TaskStatus
    target_type: TargetType
    type: str
    id: str = field(repr=fingerprint)
    task_id: TaskId | None = None
    received_at: datetime | None = None
    completed_at: datetime | None = None
    error: ErrorInfo | None = None
    pipeline_execution: PipelineExecution | None = None


@frozen
class TaskSnapshot:
    """A task as it was at one look; `receipts` is None unless they were asked for."""

    status: TaskStatus
    task_id: TaskId | None = None
    receipts: Sequence[Receipt] | None = None


@frozen
class BulkResult:
    """A bulk that ended with every operation stored."""

    receipts: Sequence[Receipt]


class PartitionStatus(OpenEnum):
    READY = "STATUS_READY"
    """Immutable."""
    STAGE = "STATUS_STAGE"
    """Mutable, and can already be queried."""
    STALE = "STATUS_STALE"
    """Its source was deleted: the configuration can be read, queries are refused."""


class SearchModule(OpenEnum):
    STANDARD = "STANDARD"
    HEALTH_GRADE_SEARCH = "HEALTH_GRADE_SEARCH"


class ReconciliationType(OpenEnum):
    SYSTEM = "SYSTEM"
    CLINIA_FUNCTION = "CLINIA_FUNCTION"


@frozen
class Modules:
    search: SearchModule = SearchModule.STANDARD


@frozen
class SourceCollection:
    key: str


@frozen
class DataSource:
    """A partition fed by one source: `relationships` are keys of relationship definitions.

    https://docs.clinia.com/explanation/partitions/source-partition
    """

    key: str
    collections: Sequence[SourceCollection]
    relationships: Sequence[str] = ()


@frozen
class SourceMapping:
    """Where a connection takes its records from; `property_mappings` maps partition path to source path."""

    source: str
    type: str
    property_mappings: Mapping[str, str]


@frozen
class ReconciliationRules:
    """The shape of `rules` is not documented, so it passes through as it is."""

    type: ReconciliationType
    rules: object = None


@frozen
class CollectionConnection:
    key: str
    properties: Json
    mappings: Sequence[SourceMapping]
    traversed_properties: Sequence[str] | None = None
    reconciliation_rules: ReconciliationRules | None = None
    contained: Json | None = None


@frozen
class ConnectionEnd:
    profile_key: str
    include_key: str


@frozen
class RelationshipConnection:
    from_: ConnectionEnd
    to: ConnectionEnd
    relationship_type: str
    properties: Json
    mappings: Sequence[SourceMapping]
    reconciliation_rules: ReconciliationRules | None = None


@frozen
class Mdm:
    """A partition fed by the master data of several sources.

    https://docs.clinia.com/explanation/partitions/mdm-partition
    """

    sources: Sequence[str]
    collections: Sequence[CollectionConnection]
    relationships: Sequence[RelationshipConnection] = ()


@frozen
class OtherSource:
    """A kind of partition source that this version does not know, as the service gave it."""

    type: str
    body: Json = field(repr=False)


@frozen
class Partition:
    key: str
    modules: Modules
    source: DataSource | Mdm | OtherSource
    status: PartitionStatus | None = None
