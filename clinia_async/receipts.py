"""Receipts matched to the writes they are for: by what they are about, never by position."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from attrs import field, frozen

from clinia_async.models import Action, Receipt, TargetType, TaskStatus

Key = tuple[TargetType, str, str]
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


@frozen
class Matched:
    """`of` holds the one receipt of each key. A key whose receipts contradict each other has none."""

    of: Mapping[Key, Receipt]
    foreign: Sequence[Receipt]
    """Receipts for keys that were not written."""
    doubled: int
    """Receipts for keys that had one already."""


def match_receipts(keys: Iterable[Key], receipts: Iterable[Receipt]) -> Matched:
    expected = set(keys)
    found: dict[Key, Receipt] = {}
    contradicted: set[Key] = set()
    foreign: list[Receipt] = []
    doubled = 0
    for receipt in receipts:
        key = (receipt.target_type, receipt.type, receipt.id)
        if key not in expected:
            foreign.append(receipt)
            continue
        first = found.setdefault(key, receipt)
        if first is not receipt:
            doubled += 1
            if first.status != receipt.status:
                contradicted.add(key)
    return Matched({key: found[key] for key in found if key not in contradicted}, foreign, doubled)


@frozen
class BatchResult:
    """What became of a bulk or a bundle, operation by operation.

    `receipts` are all that the service gave; they may be none where it stored everything at once.
    """

    receipts: Sequence[Receipt]
    writes: Sequence[Operation] = field(default=(), repr=lambda writes: f"<{len(writes)} writes>")

    _by_subject: Mapping[tuple[TargetType, str, str | None], Sequence[Receipt]] = field(
        init=False, repr=False, eq=False
    )

    @_by_subject.default
    def _indexed(self) -> Mapping[tuple[TargetType, str, str | None], Sequence[Receipt]]:
        known = {_subject(write) for write in self.writes}
        index: dict[tuple[TargetType, str, str | None], list[Receipt]] = {}
        for receipt in self.receipts:
            subject = (receipt.target_type, receipt.type, receipt.id)
            index.setdefault(subject if subject in known else (*subject[:2], None), []).append(receipt)
        return index

    @property
    def failed(self) -> Sequence[Receipt]:
        """The receipts of operations that are not stored."""
        return [receipt for receipt in self.receipts if receipt.status != TaskStatus.SUCCESS]

    @property
    def missing(self) -> Sequence[Operation]:
        """The writes that no receipt tells of; none where everything was stored at once."""
        return [write for write in self.writes if self.of(write) is None] if self.receipts else []

    def of(self, write: Operation) -> Receipt | None:
        """The receipt of one of the writes; None if there is none, or if several could be meant.

        Receipts carry no position. Of two creates of one type whose ids the service makes, none can say
        which receipt is its own.
        """
        meant = self._by_subject.get(_subject(write), ())
        if len(meant) > 1:
            meant = [receipt for receipt in meant if receipt.action == write.action]
        return meant[0] if len({(each.id, each.status) for each in meant}) == 1 else None


def _subject(write: Operation) -> tuple[TargetType, str, str | None]:
    """What a write is about; without an id where the service makes it, or the id of one of its ends."""
    id_ = write.id
    return (write.target, write.type, None if id_ is None or "@rootId" in id_ else id_)
