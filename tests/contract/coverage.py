"""Which operations of the document were exercised, and which never were."""

from collections import Counter
from collections.abc import Iterable

from attrs import field, frozen

from .contract import Contract
from .exchange import Exchange


def never_seen(contract: Contract, seen: Iterable[str]) -> list[str]:
    """Ids of the operations that are not among those seen, by path."""
    known = set(seen)
    missing = [operation for id_, operation in contract.operations.items() if id_ not in known]
    return [operation.id for operation in sorted(missing, key=lambda one: (one.path, one.method))]


def unknown(contract: Contract, seen: Iterable[str]) -> list[str]:
    """Ids that were seen and are not in the document: its names and those of the seer differ."""
    return sorted(set(seen) - contract.operations.keys())


@frozen
class Seen:
    """Counts answers by operation and status."""

    contract: Contract
    answers: "Counter[tuple[str, int]]" = field(factory=Counter)

    def add(self, exchange: Exchange) -> None:
        if (operation := self.contract.operation(exchange)) is not None:
            self.answers[operation.id, exchange.status] += 1

    def dump(self) -> list[tuple[str, int, int]]:
        """What was seen, in values that pass from one process to another."""
        return [(id_, status, count) for (id_, status), count in self.answers.items()]

    def merge(self, dumped: Iterable[tuple[str, int, int]]) -> None:
        """Add what another process has seen."""
        for id_, status, count in dumped:
            self.answers[id_, status] += count

    def operations(self) -> set[str]:
        """Those that were answered as their callers meant them to be."""
        return {id_ for id_, status in self.answers if 200 <= status < 300}

    def never_done(self) -> list[str]:
        """Ids of the operations without a single 2xx."""
        return never_seen(self.contract, self.operations())

    def never_answered(self) -> list[tuple[str, int]]:
        """Pairs of an operation and a 2xx that it lists and that never came.

        Where no page tells 200 from 201, one of the two is enough.
        """
        missing = []
        for id_ in sorted(self.contract.operations):
            listed = {int(status) for status in self.contract.operations[id_].answers if status.isdigit()}
            seen = {status for status in listed if (id_, status) in self.answers}
            done, wanted = {200, 201, 204}, listed - seen
            wanted -= done if id_ in _EITHER and seen & done else set()
            missing += [(id_, status) for status in sorted(wanted)]
        return missing


_EITHER = frozenset(
    {
        "bundle",
        "create_contained_resource",
        "delete_partition",
        "delete_source",
        "put_collection",
        "put_partition",
        "put_profile",
        "put_relationship_definition",
        "put_source",
        "upsert_contained_resource",
        "upsert_nested_contained_resource",
    }
)
"""Operations that list more than one of 200, 201 and 204 only because no page says which it is."""
