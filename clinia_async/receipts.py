"""Receipts matched to the writes they are for: by target type, type and id, never by position."""

from collections.abc import Iterable, Mapping, Sequence

from attrs import frozen

from clinia_async.models import Receipt, TargetType

Key = tuple[str, str]
"""Type and id of a relationship."""


@frozen
class Matched:
    """`of` holds the one receipt of each key. A key whose receipts contradict each other has none."""

    of: Mapping[Key, Receipt]
    foreign: int
    """Receipts for keys that were not written."""
    doubled: int
    """Receipts for keys that had one already."""


def match_receipts(keys: Iterable[Key], receipts: Sequence[Receipt]) -> Matched:
    expected = set(keys)
    found: dict[Key, Receipt] = {}
    contradicted: set[Key] = set()
    foreign = doubled = 0
    for receipt in receipts:
        key = (receipt.type, receipt.id)
        if receipt.target_type != TargetType.RELATIONSHIP or key not in expected:
            foreign += 1
            continue
        first = found.setdefault(key, receipt)
        if first is not receipt:
            doubled += 1
            if first.status != receipt.status:
                contradicted.add(key)
    return Matched({key: found[key] for key in found if key not in contradicted}, foreign, doubled)
