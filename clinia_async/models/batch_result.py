"""Match receipts to writes by key: they carry no position."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from attrs import field, frozen

from clinia_async.models import Action, Receipt, TargetType, TaskStatus
from clinia_async.models.tasks import Key
from clinia_async.models.value import EqualByFields, checked


class Operation(Protocol):
    """The part of a write that identifies its receipt. `id` is None if the service makes it."""

    @property
    def target(self) -> TargetType: ...
    @property
    def type(self) -> str: ...
    @property
    def id(self) -> str | None: ...
    @property
    def action(self) -> Action: ...


@frozen(eq=False, repr=False)
class MatchedReceipts:
    """The receipts by key. A key whose receipts contradict each other is left out of `of`."""

    of: Mapping[Key, Receipt]
    unexpected: Sequence[Receipt]
    """Receipts for keys that were not written."""
    duplicates: int
    """The number of further receipts for keys that had one already."""


def match_receipts(keys: Iterable[Key], receipts: Iterable[Receipt]) -> MatchedReceipts:
    """Match the receipts of a bulk to the keys that were written."""
    receipts = list(receipts)
    if not receipts:
        return MatchedReceipts({}, (), 0)
    expected = set(keys)
    found: dict[Key, Receipt] = {
        (receipt.target_type, receipt.type, receipt.id): receipt for receipt in receipts
    }
    if len(found) == len(receipts) and found.keys() <= expected:
        return MatchedReceipts(found, (), 0)
    found = {}
    contradicted: set[Key] = set()
    unexpected: list[Receipt] = []
    duplicates = 0
    for receipt in receipts:
        key = (receipt.target_type, receipt.type, receipt.id)
        if key not in expected:
            unexpected.append(receipt)
            continue
        first = found.setdefault(key, receipt)
        if first is not receipt:
            duplicates += 1
            if first.claim != receipt.claim:
                contradicted.add(key)
    return MatchedReceipts(
        {key: found[key] for key in found if key not in contradicted}, unexpected, duplicates
    )


WriteKey = tuple[TargetType, str, str | None]
ReceiptKey = WriteKey | tuple[TargetType, str, str | None, Action]


@frozen(eq=False, repr=False, field_transformer=checked)
class BatchResult(EqualByFields):
    """The result of a bulk or a bundle, operation by operation.

    `receipts` are all that the service gave. They are empty if the answer was PERSISTED.
    """

    receipts: Sequence[Receipt]
    writes: Sequence[Operation] = field(default=(), repr=lambda writes: f"<{len(writes)} writes>")

    _receipts_by_key: Mapping[ReceiptKey, Sequence[Receipt]] = field(init=False, repr=False, eq=False)
    _writes_by_key: Mapping[ReceiptKey, int] = field(init=False, repr=False, eq=False)
    """How many writes there are of one key."""

    @_receipts_by_key.default
    def _indexed(self) -> Mapping[ReceiptKey, Sequence[Receipt]]:
        known = {_write_key(write) for write in self.writes}
        index: dict[ReceiptKey, list[Receipt]] = {}
        for receipt in self.receipts:
            key = (receipt.target_type, receipt.type, receipt.id)
            about = key if key in known else (*key[:2], None)
            for key in (about, (*about, receipt.action)):
                index.setdefault(key, []).append(receipt)
        return index

    @_writes_by_key.default
    def _counted(self) -> Mapping[ReceiptKey, int]:
        keys = [(_write_key(write), write.action) for write in self.writes]
        return Counter([about for about, _ in keys] + [(*about, action) for about, action in keys])

    @property
    def failed(self) -> Sequence[Receipt]:
        """The receipts of operations that failed, were cancelled, or were dropped by a reviewer."""
        return [each for each in self.receipts if each.status != TaskStatus.SUCCESS or each.is_dropped]

    @property
    def missing(self) -> Sequence[Operation]:
        """The writes without a receipt; empty if the answer was PERSISTED.

        Creates whose ids the service makes are missing only if there are fewer receipts than they are.
        """
        if not self.receipts:
            return []
        counts = {key: len({receipt.id for receipt in found}) for key, found in self._receipts_by_key.items()}
        return [write for write in self.writes if self._is_missing(write, counts)]

    def of(self, write: Operation) -> Receipt | None:
        """Return the receipt of one of the writes; None if there is none, or if several match.

        Receipts carry no position. Of two creates of one type whose ids the service makes, none can say
        which receipt is its own.
        """
        key = self._receipt_key(write)
        if self._writes_by_key.get(key, 0) > 1:
            return None
        found = self._receipts_by_key.get(key, ())
        return found[0] if len({(each.id, each.claim) for each in found}) == 1 else None

    def _is_missing(self, write: Operation, counts: Mapping[ReceiptKey, int]) -> bool:
        if _write_key(write)[2] is not None:
            return self.of(write) is None
        key = self._receipt_key(write)
        return counts.get(key, 0) < self._writes_by_key[key]

    def _receipt_key(self, write: Operation) -> ReceiptKey:
        """Return the key that identifies the receipt of a write, and its action if needed."""
        about = _write_key(write)
        needs_action = self._writes_by_key.get(about, 0) > 1 or len(self._receipts_by_key.get(about, ())) > 1
        return (*about, write.action) if needs_action or about[2] is None else about


def _write_key(write: Operation) -> WriteKey:
    """Return the key of a write; its id is None if the service makes it, or the id of one of its ends."""
    id_ = write.id
    return (write.target, write.type, None if id_ is None or "@rootId" in id_ else id_)
