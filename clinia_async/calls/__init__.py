"""Each request of the API as a frozen value that checks itself when it is made.

What an answer to it proves is written in `receipts`, `equality`, `reconciliation`, `conflicts`,
`good_answers` and `error_answers`, and nowhere else.

May import models, errors and serialization. Nothing here does I/O, waits or retries.

Names are loaded when they are first used; `__init__.pyi` says to type checkers where each is defined.
"""

from clinia_async.models.lazy_loading import lazy_names

__all__, __getattr__, __dir__ = lazy_names(
    __name__,
    {
        "batches": "BatchWrite Bulk Bundle EncodedBulk GetBulkResult",
        "browsing": "Browse",
        "call": "Call Host Read Repeat Request RetrySafety Write",
        "contained": "CreateContained DeleteContained UpsertContained",
        "definitions": (
            "GetCollection GetRelationshipDefinition ListRelationshipDefinitions PutCollection"
            " PutProfile PutRelationshipDefinition"
        ),
        "partitions": "CreatePartition DeletePartition GetPartition ListPartitions",
        "reconciliation": "Reconcilable",
        "relationships": (
            "CreateRelationship DeleteRelationship GetRelationship UpdateRelationship UpsertRelationship"
        ),
        "resources": "ContainedIn CreateResource DeleteResource GetResource UpsertResource",
        "sources": "CreateSource DeleteSource GetSource ListSources",
        "purges": "GetPurge Purge",
        "tasks": "GetTask",
    },
)
