"""Receipts matched to the writes they are for: by what they are about, never by position."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from attrs import field, frozen

from clinia_async.models import Action, Receipt, TargetType, TaskStatus

Key = tuple[str, str, str]
"""Target type, type and id of a record."""


class Operation(Protocol):
    """What is needed of a write to know its receipt. `id` is None if the service makes it."""

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
    """`of` holds the one receipt of each key. A key whose receipts contradict each other has none."""

    of: Mapping[Key, Receipt]
    unexpected: Sequence[Receipt]
    """Receipts for keys that were not written."""
    duplicates: int
    """Receipts for keys that had one already."""


def match_receipts(keys: Iterable[Key], receipts: Iterable[Receipt]) -> MatchedReceipts:
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
            if first.status != receipt.status:
                contradicted.add(key)
    return MatchedReceipts(
        {key: found[key] for key in found if key not in contradicted}, unexpected, duplicates
    )


About = tuple[TargetType, str, str | None]
Subject = About | tuple[TargetType, str, str | None, Action]


@frozen
class BatchResult:
    """What became of a bulk or a bundle, operation by operation.

    `receipts` are all that the service gave; they may be none where it stored everything at once.
    """

    receipts: Sequence[Receipt]
    writes: Sequence[Operation] = field(default=(), repr=lambda writes: f"<{len(writes)} writes>")

    _meant: Mapping[Subject, Sequence[Receipt]] = field(init=False, repr=False, eq=False)
    _alike: Mapping[Subject, int] = field(init=False, repr=False, eq=False)
    """How many writes there are of one subject."""

    @_meant.default
    def _indexed(self) -> Mapping[Subject, Sequence[Receipt]]:
        known = {_about(write) for write in self.writes}
        index: dict[Subject, list[Receipt]] = {}
        for receipt in self.receipts:
            subject = (receipt.target_type, receipt.type, receipt.id)
            about = subject if subject in known else (*subject[:2], None)
            for key in (about, (*about, receipt.action)):
                index.setdefault(key, []).append(receipt)
        return index

    @_alike.default
    def _counted(self) -> Mapping[Subject, int]:
        abouts = [(_about(write), write.action) for write in self.writes]
        return Counter([about for about, _ in abouts] + [(*about, action) for about, action in abouts])

    @property
    def failed(self) -> Sequence[Receipt]:
        """The receipts of operations that are not stored."""
        return [receipt for receipt in self.receipts if receipt.status != TaskStatus.SUCCESS]

    @property
    def missing(self) -> Sequence[Operation]:
        """The writes that no receipt tells of; none where everything was stored at once.

        Creates whose ids the service makes are missing only if there are fewer receipts than they are.
        """
        if not self.receipts:
            return []
        told = {subject: len({receipt.id for receipt in meant}) for subject, meant in self._meant.items()}
        return [write for write in self.writes if self._is_missing(write, told)]

    def of(self, write: Operation) -> Receipt | None:
        """The receipt of one of the writes; None if there is none, or if several could be meant.

        Receipts carry no position. Of two creates of one type whose ids the service makes, none can say
        which receipt is its own.
        """
        subject = self._subject(write)
        if self._alike.get(subject, 0) > 1:
            return None
        meant = self._meant.get(subject, ())
        return meant[0] if len({(each.id, each.status) for each in meant}) == 1 else None

    def _is_missing(self, write: Operation, told: Mapping[Subject, int]) -> bool:
        if _about(write)[2] is not None:
            return self.of(write) is None
        subject = self._subject(write)
        return told.get(subject, 0) < self._alike[subject]

    def _subject(self, write: Operation) -> Subject:
        """What tells the receipt of a write: its action too, where what it is about does not tell enough."""
        about = _about(write)
        is_shared = self._alike.get(about, 0) > 1 or len(self._meant.get(about, ())) > 1
        return (*about, write.action) if is_shared or about[2] is None else about


def _about(write: Operation) -> About:
    """What a write is about; without an id where the service makes it, or the id of one of its ends."""
    id_ = write.id
    return (write.target, write.type, None if id_ is None or "@rootId" in id_ else id_)
