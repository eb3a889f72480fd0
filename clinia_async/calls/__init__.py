"""Each call of the API as a frozen value. A call checks itself when it is made.

Names are loaded when they are first used: most programs need few of them.
"""

from clinia_async.lazily import home_of, load

_HOME_OF = home_of(
    {
        "batches": "BatchWrite Bulk Bundle EncodedBulk GetBulkResult",
        "browsing": "Browse",
        "call": "Call Host Read Repeat Request Settled Write",
        "contained": "CreateContained DeleteContained UpsertContained",
        "definitions": (
            "GetCollection GetRelationshipDefinition ListRelationshipDefinitions PutCollection PutProfile"
            " PutRelationshipDefinition"
        ),
        "partitions": "CreatePartition DeletePartition GetPartition ListPartitions",
        "purges": "GetPurge Purge",
        "relationships": (
            "CreateRelationship DeleteRelationship GetRelationship UpdateRelationship UpsertRelationship"
        ),
        "resources": "ContainedIn CreateResource DeleteResource GetResource UpsertResource",
        "sources": "CreateSource DeleteSource GetSource ListSources",
        "tasks": "GetTask",
    }
)

__all__ = sorted(_HOME_OF)  # noqa: PLE0605  the table above is the one list of the names


def __getattr__(name: str) -> object:
    return load(__name__, _HOME_OF, name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
