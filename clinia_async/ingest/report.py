"""The account of a job: complete at its end, and true at any moment before."""

from collections import Counter

from attrs import define, field

from clinia_async.ingest.outcomes import Disposition, RecordOutcome


@define
class Report:
    """`seconds` is on the event loop's clock; `sent` counts records that were put on the wire."""

    read: int = 0
    blank: int = 0
    sent: int = 0
    reconciled: int = 0
    seconds: float = 0.0
    by_disposition: Counter[Disposition] = field(factory=Counter)
    reasons: Counter[tuple[Disposition, str]] = field(factory=Counter)
    stopped_by: str | None = None
    """Why the job ended before its input did; None if it did not."""

    def add(self, outcome: RecordOutcome) -> None:
        self.by_disposition[outcome.disposition] += 1
        self.reconciled += outcome.reconciled
        if outcome.reason is not None:
            self.reasons[outcome.disposition, outcome.reason] += 1

    @property
    def settled(self) -> int:
        """Records with an outcome; as many as were read, once the job has ended."""
        return self.by_disposition.total()

    @property
    def landed(self) -> int:
        return sum(count for disposition, count in self.by_disposition.items() if disposition.has_landed)

    @property
    def all_landed(self) -> bool:
        return self.stopped_by is None and self.landed == self.read

    @property
    def records_per_second(self) -> float:
        return self.settled / self.seconds if self.seconds else 0.0

    def __str__(self) -> str:
        rows = [("read", self.read), ("blank lines", self.blank), ("sent", self.sent)]
        rows += [(str(each), self.by_disposition[each]) for each in Disposition]
        lines = [f"{name:<12} {count:>10,}" for name, count in rows if count or name in _ALWAYS]
        lines += [f"  {count:>9,} {each}: {reason}" for (each, reason), count in self.reasons.most_common()]
        if self.reconciled:
            lines.append(f"  {self.reconciled:>9,} settled by reading back after a lost answer")
        lines.append(
            f"{'seconds':<12} {self.seconds:>10,.1f}   {self.records_per_second:,.0f} records a second"
        )
        if self.stopped_by is not None:
            lines.append(f"stopped before the end of the input: {self.stopped_by}")
        return "\n".join(lines)


_ALWAYS = frozenset({"read", "sent", "persisted", "failed", "unknown"})
