"""Two writes of one key never fly together: the service cancels concurrent operations on one record."""

from collections import deque

from clinia_async.ingest.records import Record
from clinia_async.receipts import Key


class KeysInFlight:
    """Who comes second waits behind the first, in the order of the input. At most `limit` records wait.

    A record whose id the service makes has no key, and waits for nobody.
    """

    def __init__(self, limit: int = 10_000) -> None:
        self._waiting: dict[Key, deque[Record] | None] = {}
        self._parked = 0
        self._limit = limit

    @property
    def is_crowded(self) -> bool:
        return self._parked >= self._limit

    def claim(self, record: Record) -> bool:
        """Whether the record may fly now; if not, it will come out of `release` in its turn."""
        key = record.key
        if key is None:
            return True
        if key not in self._waiting:
            self._waiting[key] = None
            return True
        queue = self._waiting[key]
        if queue is None:
            queue = self._waiting[key] = deque()
        queue.append(record)
        self._parked += 1
        return False

    def release(self, record: Record) -> Record | None:
        """`record` is settled: the next record of its key, which now holds the claim, if there is one."""
        key = record.key
        if key is None:
            return None
        queue = self._waiting[key]
        if not queue:
            del self._waiting[key]
            return None
        self._parked -= 1
        return queue.popleft()

    def parked(self) -> list[Record]:
        return [record for queue in self._waiting.values() for record in queue or ()]
