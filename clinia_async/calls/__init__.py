"""Each request of the API as a frozen value that checks itself when it is made.

What an answer to it proves is written in `reconciliation`, `conflicts` and `error_answers`, and nowhere else.

May import models, errors and serialization. Nothing here does I/O, waits or retries.
"""

from clinia_async.calls.batches import BatchWrite, Bulk, Bundle, EncodedBulk, GetBulkResult
from clinia_async.calls.browsing import Browse
from clinia_async.calls.call import Call, Host, Read, Request, RetrySafety, Write
from clinia_async.calls.contained import CreateContained, DeleteContained, UpsertContained
from clinia_async.calls.definitions import (
    GetCollection,
    GetRelationshipDefinition,
    ListRelationshipDefinitions,
    PutCollection,
    PutProfile,
    PutRelationshipDefinition,
)
from clinia_async.calls.partitions import CreatePartition, DeletePartition, GetPartition, ListPartitions
from clinia_async.calls.reconciliation import Reconcilable
from clinia_async.calls.relationships import (
    CreateRelationship,
    DeleteRelationship,
    GetRelationship,
    UpdateRelationship,
    UpsertRelationship,
)
from clinia_async.calls.resources import (
    ContainedIn,
    CreateResource,
    DeleteResource,
    GetResource,
    UpsertResource,
)
from clinia_async.calls.sources import CreateSource, DeleteSource, GetSource, ListSources
from clinia_async.calls.tasks import GetPurge, GetTask, Purge

Repeat = RetrySafety
"""The earlier name of `RetrySafety`."""

__all__ = [
    "BatchWrite",
    "Browse",
    "Bulk",
    "Bundle",
    "Call",
    "ContainedIn",
    "CreateContained",
    "CreatePartition",
    "CreateRelationship",
    "CreateResource",
    "CreateSource",
    "DeleteContained",
    "DeletePartition",
    "DeleteRelationship",
    "DeleteResource",
    "DeleteSource",
    "EncodedBulk",
    "GetBulkResult",
    "GetCollection",
    "GetPartition",
    "GetPurge",
    "GetRelationship",
    "GetRelationshipDefinition",
    "GetResource",
    "GetSource",
    "GetTask",
    "Host",
    "ListPartitions",
    "ListRelationshipDefinitions",
    "ListSources",
    "Purge",
    "PutCollection",
    "PutProfile",
    "PutRelationshipDefinition",
    "Read",
    "Reconcilable",
    "Repeat",
    "Request",
    "RetrySafety",
    "UpdateRelationship",
    "UpsertContained",
    "UpsertRelationship",
    "UpsertResource",
    "Write",
]
