"""The account of a job: complete at its end, and true at any moment before."""

from collections import Counter
from collections.abc import Sequence

from attrs import define, field

from clinia_async.ingest.outcomes.outcome import ChunkOutcomes, Disposition, Finding, RecordOutcome
from clinia_async.transport.adaptive_limit import AdaptiveLimit

MOST_LINES = 5


@define
class Lag:
    """How long tasks may have been done before it was noticed, in seconds: at most so long."""

    tasks: int = 0
    total: float = 0.0
    worst: float = 0.0

    def add(self, gap: float) -> None:
        self.tasks += 1
        self.total += gap
        self.worst = max(self.worst, gap)

    @property
    def mean(self) -> float:
        return self.total / self.tasks if self.tasks else 0.0


@define
class Report:
    """`seconds` is on the event loop's clock; `sent` counts records that this run has put on the wire.

    `former` of the records were settled by former runs of the job, and are counted with the rest.
    """

    read: int = 0
    blank: int = 0
    sent: int = 0
    reported_before: int = 0
    reconciled: int = 0
    resent: int = 0
    """Records that were sent again though a second one may have been made: `on_unknown` is `resend`."""
    seconds: float = 0.0
    by_disposition: Counter[Disposition] = field(factory=Counter)
    reasons: Counter[tuple[Disposition, str]] = field(factory=Counter)
    first_lines: dict[tuple[Disposition, str], list[int]] = field(factory=dict)
    """For each of the `reasons`, the lines of the first records in this run, at most `MOST_LINES`."""
    throttles: int = 0
    """Answers that asked for less: 429 and 503, and none in time."""
    concurrency: int = 0
    """Requests in flight that the service was found to bear, at the end."""
    most_in_flight: int = 0
    most_bytes_in_flight: int = 0
    lag: Lag = field(factory=Lag)
    stopped_by: str | None = None
    """Why the job ended before its input did; None if it did not."""

    def add(self, outcome: RecordOutcome) -> None:
        self.by_disposition[outcome.disposition] += 1
        self.reconciled += outcome.reconciled
        self.reported_before += outcome.reported_before
        if outcome.reason is not None:
            self.reasons[outcome.disposition, outcome.reason] += 1
            self._note_line((outcome.disposition, outcome.reason), outcome.line)

    def add_all(self, completion: ChunkOutcomes) -> None:
        for finding, count in completion.counts.items():
            disposition, reason = finding
            self.by_disposition[disposition] += count
            if completion.is_reconciled(finding):
                self.reconciled += count
            if reason is not None:
                self.reasons[disposition, reason] += count
                self._note_lines((disposition, reason), finding, completion)

    def _note_lines(
        self, group: tuple[Disposition, str], finding: Finding, completion: ChunkOutcomes
    ) -> None:
        start = -1
        for _ in range(MOST_LINES - len(self.first_lines.get(group, ()))):
            try:
                start = completion.findings.index(finding, start + 1)
            except ValueError:
                return
            self._note_line(group, completion[start].line)

    def _note_line(self, group: tuple[Disposition, str], line: int) -> None:
        lines = self.first_lines.setdefault(group, [])
        if len(lines) < MOST_LINES:
            lines.append(line)

    def add_reported_before(self, disposition: Disposition) -> None:
        """A record that landed in a former run."""
        self.by_disposition[disposition] += 1
        self.reported_before += 1

    def note_gate(self, gate: AdaptiveLimit) -> None:
        self.throttles = gate.throttles
        self.concurrency = int(gate.limit)
        self.most_in_flight = gate.peak_in_flight
        self.most_bytes_in_flight = gate.peak_bytes

    @property
    def completed(self) -> int:
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
        """Of this run."""
        return (self.completed - self.reported_before) / self.seconds if self.seconds else 0.0

    def __str__(self) -> str:
        return "\n".join([*self._counts(), *self._course(), *self._end()])

    def _counts(self) -> list[str]:
        rows = [("read", self.read), ("blank lines", self.blank), ("sent", self.sent)]
        rows += [(str(each), self.by_disposition[each]) for each in Disposition]
        lines = [f"{name:<12} {count:>10,}" for name, count in rows if count or name in _ALWAYS]
        for group, count in self.reasons.most_common():
            disposition, reason = group
            where = lines_in_words(self.first_lines.get(group, ()), count)
            lines.append(f"  {count:>9,} {disposition}: {reason}{where}")
        notes = (
            (self.reconciled, "settled by reading back after a lost answer"),
            (self.reported_before, "settled by former runs of the job"),
            (self.resent, "sent again though they may have arrived: there may be second records of them"),
        )
        return lines + [f"  {count:>9,} {note}" for count, note in notes if count]

    def _course(self) -> list[str]:
        lines = [f"{'seconds':<12} {self.seconds:>10,.1f}   {self.records_per_second:,.0f} records a second"]
        if self.most_in_flight:
            lines.append(
                f"{'in flight':<12} {self.most_in_flight:>10,}   requests at most, with"
                f" {self.most_bytes_in_flight:,} bytes; {self.concurrency} allowed at the end"
            )
        if self.throttles:
            lines.append(f"{'throttled':<12} {self.throttles:>10,}   times")
        if self.lag.tasks:
            lines.append(
                f"{'tasks':<12} {self.lag.tasks:>10,}   noticed within {self.lag.mean:.2f} s of their end on"
                f" average, {self.lag.worst:.2f} s at worst"
            )
        return lines

    def _end(self) -> list[str]:
        return [] if self.stopped_by is None else [f"stopped before the end of the input: {self.stopped_by}"]


def lines_in_words(lines: Sequence[int], count: int) -> str:
    """Return ` (line 3)` or ` (lines 3, 8, ...)`: the first of the `count` lines of a group."""
    if not lines:
        return ""
    more = ", ..." if count > len(lines) else ""
    return f" (line{'s' if count > 1 else ''} {', '.join(map(str, lines))}{more})"


_ALWAYS = frozenset({"read", "sent", "persisted", "failed", "unknown"})
