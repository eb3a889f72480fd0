"""Items of a source as they were when it gave them, for a source may go on to change what it gave.

One that fills the same dict again for each record is usual. Many items are taken before the first is
encoded with the others, so what is sent of each is written down at once.
"""

from collections.abc import Mapping

from clinia_async.calls import BatchWrite, CreateResource, UpsertResource
from clinia_async.calls.call import operation_head
from clinia_async.errors import InvalidWrite
from clinia_async.ingest.records.record import RELATIONSHIP_WRITES, Record
from clinia_async.serialization import exact_json
from clinia_async.serialization.own_copy import own_copy

Taken = tuple[object, bytes | InvalidWrite | None]
"""An item, and its JSON or why it has none; None for an item that nobody can change."""

_OBJECTS = (dict, Mapping)
"""A dict is known by its class at once; to ask an abstract class takes as long as to encode a small dict."""


def take(item: object) -> Taken:
    """Return an item with its JSON as it is now."""
    try:
        if isinstance(item, RELATIONSHIP_WRITES):
            return item, item.to_line()
        if isinstance(item, _OBJECTS):
            return item, exact_json.try_dumps(item) or exact_json.dumps(item)
        if isinstance(item, CreateResource | UpsertResource):
            payload = item.operation()[len(operation_head(item.action)) : -1]
            return own_copy(item), payload
        if isinstance(item, Record):
            item.detach()
    except InvalidWrite as error:
        return item, error
    return item, None


def size_of(taken: Taken) -> int:
    """Return the bytes that an item takes on the wire, about."""
    item, text = taken
    if isinstance(text, bytes):
        return len(text)
    try:
        if isinstance(item, Record):
            return len(item.payload())
        return len(item.operation()) if isinstance(item, BatchWrite) else 0
    except InvalidWrite:
        return 0
