"""Two writes of one key never fly together: the service cancels concurrent operations on one record."""

from collections import deque
from collections.abc import Iterable

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
        self.is_crowded = False

    def claim(self, record: Record) -> bool:
        """Whether the record may fly now; if not, it will come out of `release` in its turn."""
        key = record.key
        if key is None:
            return True
        waiting = self._waiting
        if key not in waiting:
            waiting[key] = None
            return True
        queue = waiting[key]
        if queue is None:
            queue = waiting[key] = deque()
        queue.append(record)
        self._park(1)
        return False

    def release(self, record: Record) -> Record | None:
        """`record` is settled: the next record of its key, which now holds the claim, if there is one."""
        key = record.key
        if key is None:
            return None
        queue = self._waiting.pop(key)
        if not queue:
            return None
        self._waiting[key] = queue
        self._park(-1)
        return queue.popleft()

    def release_all(self, records: Iterable[Record]) -> list[tuple[int, Record]]:
        """`release` of them all: the records that now hold a claim, each with the place of the one before."""
        free = self._waiting.pop
        followed = []
        for place, record in enumerate(records):
            key = record.key
            if key is not None and (queue := free(key)):
                self._waiting[key] = queue
                self._park(-1)
                followed.append((place, queue.popleft()))
        return followed

    def _park(self, count: int) -> None:
        self._parked += count
        self.is_crowded = self._parked >= self._limit

    def parked(self) -> list[Record]:
        return [record for queue in self._waiting.values() for record in queue or ()]
