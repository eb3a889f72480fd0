"""Each call of the API as a frozen value. A call checks itself when it is made."""

from clinia_async.calls.call import Call, Host, Read, Repeat, Request, Settled, Write
from clinia_async.calls.partitions import CreatePartition, GetPartition
from clinia_async.calls.relationships import BulkRelationships, CreateRelationship, GetRelationship
from clinia_async.calls.tasks import GetTask

__all__ = [
    "BulkRelationships",
    "Call",
    "CreatePartition",
    "CreateRelationship",
    "GetPartition",
    "GetRelationship",
    "GetTask",
    "Host",
    "Read",
    "Repeat",
    "Request",
    "Settled",
    "Write",
]
