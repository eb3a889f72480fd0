"""Locks and fences of keys: two writes of one record are never in flight together.

The service cancels concurrent operations on one record. Nor does a write go out while an earlier one, whose
answer was lost, may still be carried out and undo it.
"""

from collections import deque
from collections.abc import Iterable

from clinia_async.ingest.records.record import Record
from clinia_async.ingest.records.record_batch import RecordBatch
from clinia_async.models import Action
from clinia_async.models.tasks import Key

_MARK = 2**60 - 1
"""Numbers up to this take 32 bytes, and larger ones 48."""


def _marks_of(keys: Iterable[Key | None]) -> list[int]:
    """Return a number for each key that there is: it takes a fifth of the memory of the key.

    Two keys with one number would only wait for each other.
    """
    return [hash(key) & _MARK for key in keys if key is not None]


class KeyLocks:
    """One holder for each key; later records of the key wait in the order of the input.

    At most about `limit` records wait, see `is_crowded`. A record whose id the service makes has no key, and
    waits for nobody.
    """

    def __init__(self, limit: int = 10_000) -> None:
        self._held: set[int] = set()
        self._waiting: dict[int, deque[Record]] = {}
        """By key, for those that records wait for."""
        self._blocked: set[int] = set()
        self._waiting_count = 0
        self._limit = limit
        self.is_crowded = False

    def acquire(self, batch: RecordBatch) -> list[int]:
        """Lock the keys of a batch; return the places of records that have to wait.

        `release` gives those back in their turn.
        """
        marks = _marks_of(batch.keys)
        if not marks:
            return []
        distinct = set(marks)
        if len(distinct) == len(marks) and self._held.isdisjoint(distinct):
            self._held |= distinct
            return []
        return [place for place, mark in enumerate(marks) if not self._acquire(mark, batch, place)]

    def _acquire(self, mark: int, batch: RecordBatch, place: int) -> bool:
        if mark not in self._held:
            self._held.add(mark)
            return True
        self._waiting.setdefault(mark, deque()).append(batch.record(place))
        if mark not in self._blocked:
            self._count_waiting(1)
        return False

    def block(self, keys: Iterable[Key | None]) -> None:
        """Never release these keys in this run: what waits for them, and what comes, waits to its end."""
        for mark in _marks_of(keys):
            self._blocked.add(mark)
            self._count_waiting(-len(self._waiting.get(mark, ())))

    def release(self, keys: Iterable[Key | None]) -> list[Record]:
        """Unlock keys; return the records that waited first for them, which hold them now."""
        marks = _marks_of(keys)
        if not self._waiting:
            self._held.difference_update(marks)
            return []
        followers = []
        for mark in marks:
            queue = self._waiting.get(mark)
            if queue is None:
                self._held.discard(mark)
                continue
            self._count_waiting(-1)
            followers.append(queue.popleft())
            if not queue:
                del self._waiting[mark]
        return followers

    @property
    def has_followers(self) -> bool:
        """Whether records wait for a key that may still be released."""
        return self._waiting_count > 0

    def waiting(self) -> list[Record]:
        """The records that wait for a key."""
        return [record for queue in self._waiting.values() for record in queue]

    def _count_waiting(self, count: int) -> None:
        self._waiting_count += count
        self.is_crowded = self._waiting_count >= self._limit


class KeyFences:
    """Keys of writes that may be carried out late, for `seconds` after their outcome was reported.

    A create cannot undo another create; every other write waits behind all that may be late.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._until: dict[Key, tuple[float, bool]] = {}
        """In the order of time, with whether all that may be late are creates."""

    def __bool__(self) -> bool:
        return bool(self._until)

    def add(self, writes: Iterable[tuple[Key | None, Action]], now: float) -> None:
        """Fence the keys of these writes."""
        while self._until and self._until[oldest := next(iter(self._until))][0] <= now:
            del self._until[oldest]
        for key, action in writes:
            if key is not None:
                _, only_creates = self._until.pop(key, (0.0, True))
                self._until[key] = now + self._seconds, only_creates and action is Action.CREATE

    def opens_at(self, record: Record, now: float) -> float | None:
        """Return when `record` may be sent; None for now."""
        if record.key is None or record.key not in self._until:
            return None
        until, only_creates = self._until[record.key]
        return None if until <= now or (only_creates and record.action is Action.CREATE) else until

    def lift(self, record: Record, now: float) -> None:
        """Drop what `record` would wait for: a previous run sent it, so its wait was over by then."""
        if record.key is not None and self.opens_at(record, now) is not None:
            del self._until[record.key]
