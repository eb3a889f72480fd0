"""The report of a job: complete at its end, and true at any moment before."""

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import groupby

from attrs import Attribute, asdict, define, evolve, field, frozen

from clinia_async.ingest.outcomes.outcome import ChunkOutcomes, Disposition, Finding
from clinia_async.ingest.records.chunk import Chunk
from clinia_async.models.task_id import TaskId
from clinia_async.transport.adaptive_limit import AdaptiveLimit

MOST_PLACES = 5
MOST_CHUNKS = 10


@frozen
class Place:
    """Where a record was read: its line or row, and its file where several are read, else None."""

    file: str | None
    line: int


@frozen
class SlowChunk:
    """A chunk that took long, from its first request to its outcomes: retries and its task are in it."""

    seconds: float
    first: Place
    """Where its first record was read."""
    records: int
    requests: int
    task: TaskId | None


@define
class Lag:
    """Upper bounds of the time between the end of a task and its notice, in seconds."""

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

    def __add__(self, other: "Lag") -> "Lag":
        return Lag(self.tasks + other.tasks, self.total + other.total, max(self.worst, other.worst))


def _no_clock() -> float:
    return 0.0


@define
class Report:
    """The counts of a job, and how hard it pressed the service.

    `sent` counts the records that this run has put on the wire, and `reported_before` those whose outcome a
    previous run of the job reported; they are counted with the rest.
    """

    read: int = 0
    blank: int = 0
    sent: int = 0
    reported_before: int = 0
    reconciled: int = 0
    resent: int = 0
    """Records that were sent again though a second one may have been made: `on_unknown` is `resend`."""
    by_disposition: Counter[Disposition] = field(factory=Counter)
    reasons: Counter[tuple[Disposition, str]] = field(factory=Counter)
    first_places: dict[tuple[Disposition, str], list[Place]] = field(factory=dict)
    """For each of the `reasons`, where the first records of this run were read, at most `MOST_PLACES`."""
    slowest: list[SlowChunk] = field(factory=list)
    """The chunks of this run that took longest, the slowest first, at most `MOST_CHUNKS`."""
    lag: Lag = field(factory=Lag)
    stopped_by: str | None = None
    """Why the job ended before its input did; None if it did not."""

    _clock: Callable[[], float] = field(default=_no_clock, init=False, repr=False, eq=False)
    _started: float | None = field(default=None, init=False, repr=False)
    _seconds: float = field(default=0.0, init=False, repr=False)
    _limits: list[AdaptiveLimit] = field(factory=list, init=False, repr=False, eq=False)
    _load: tuple[int, int, int, int] = field(default=(0, 0, 0, 0), init=False, repr=False)

    # -------------------------------------------------------------------- what the job writes down

    def start(self, clock: Callable[[], float]) -> None:
        """Measure `seconds` by `clock` from now on."""
        self._clock = clock
        self._started = clock()

    def observe(self, limit: AdaptiveLimit) -> None:
        """Report the load that passes `limit`."""
        self._limits.append(limit)

    def finish(self) -> None:
        """Keep the values of this moment, and let go of what they were measured by."""
        self._seconds, self._load = self.seconds, self._measured()
        self._started = None
        self._limits.clear()

    def add(self, outcomes: ChunkOutcomes) -> None:
        """Count the outcomes of a chunk."""
        for finding, count in outcomes.counts.items():
            disposition, reason, _ = finding
            self.by_disposition[disposition] += count
            if reason is not None:
                self.reasons[disposition, reason] += count
                self._note_places((disposition, reason), finding, outcomes)
        self.reconciled += outcomes.reconciled
        if outcomes.reported_before:
            self.reported_before += len(outcomes)

    def _note_places(self, group: tuple[Disposition, str], finding: Finding, outcomes: ChunkOutcomes) -> None:
        places, index = self.first_places.setdefault(group, []), -1
        while len(places) < MOST_PLACES and finding in outcomes.findings[index + 1 :]:
            index = outcomes.findings.index(finding, index + 1)
            places.append(Place(outcomes[index].file, outcomes[index].line))

    def add_duration(self, chunk: Chunk, seconds: float) -> None:
        """Note how long a chunk took."""
        if len(self.slowest) == MOST_CHUNKS and seconds <= self.slowest[-1].seconds:
            return
        first = Place(chunk.records[0].file, chunk.records[0].line)
        slow = SlowChunk(seconds, first, len(chunk.records), chunk.requests, chunk.task)
        self.slowest = sorted([*self.slowest, slow], key=lambda it: it.seconds, reverse=True)[:MOST_CHUNKS]

    def add_reported_before(self, disposition: Disposition, count: int = 1) -> None:
        """Count records that landed in a previous run."""
        self.by_disposition[disposition] += count
        self.reported_before += count

    def at_this_moment(self) -> "Report":
        """Return a copy that nothing changes any more, and that can be pickled."""
        copy = Report(**asdict(self, filter=_is_public, recurse=False))
        copy.by_disposition, copy.reasons = Counter(self.by_disposition), Counter(self.reasons)
        copy.first_places = {group: [*places] for group, places in self.first_places.items()}
        copy.slowest, copy.lag = [*self.slowest], evolve(self.lag)
        copy._seconds, copy._load = self.seconds, self._measured()
        return copy

    def become_sum_of(self, parts: Sequence["Report"]) -> None:
        """Take over the counts of the parts of one job, which share a limit; `seconds` stay the job's own."""
        for name in _COUNTS:
            setattr(self, name, sum(getattr(part, name) for part in parts))
        self.by_disposition, self.reasons = Counter(), Counter()
        self.first_places, slowest, self.lag = {}, [], Lag()
        for part in parts:
            self.by_disposition += part.by_disposition
            self.reasons += part.reasons
            self.lag = self.lag + part.lag
            slowest += part.slowest
            for group, places in part.first_places.items():
                known = [*self.first_places.get(group, ()), *places]
                self.first_places[group] = sorted(known, key=_in_order)[:MOST_PLACES]
        self.slowest = sorted(slowest, key=lambda it: it.seconds, reverse=True)[:MOST_CHUNKS]
        loads = [part._measured() for part in parts] or [(0, 0, 0, 0)]
        throttles, *largest = zip(*loads, strict=True)
        self._load = (sum(throttles), max(largest[0]), max(largest[1]), max(largest[2]))

    # -------------------------------------------------------------------- what people read

    @property
    def seconds(self) -> float:
        """How long this run has taken, on the clock of the event loop."""
        return self._seconds if self._started is None else self._clock() - self._started

    @property
    def throttles(self) -> int:
        """Answers that asked for less load: 429 and 503, and none in time."""
        return self._measured()[0]

    @property
    def concurrency(self) -> int:
        """Requests in flight that the service was found to bear, as of now."""
        return self._measured()[1]

    @property
    def most_in_flight(self) -> int:
        """The highest number of requests in flight at once."""
        return self._measured()[2]

    @property
    def most_bytes_in_flight(self) -> int:
        """The highest number of bytes in flight at once."""
        return self._measured()[3]

    @property
    def completed(self) -> int:
        """Records with an outcome; as many as were read, once the job has ended."""
        return self.by_disposition.total()

    @property
    def landed(self) -> int:
        """The number of records about which nothing needs to be done (`Disposition.has_landed`)."""
        return sum(count for disposition, count in self.by_disposition.items() if disposition.has_landed)

    @property
    def all_landed(self) -> bool:
        """Whether the job was not stopped and every record that was read landed."""
        return self.stopped_by is None and self.landed == self.read

    @property
    def records_per_second(self) -> float:
        """The rate of this run."""
        seconds = self.seconds
        return (self.completed - self.reported_before) / seconds if seconds else 0.0

    def _measured(self) -> tuple[int, int, int, int]:
        if not self._limits:
            return self._load
        limit = self._limits[-1]
        return limit.throttles, int(limit.limit), limit.peak_in_flight, limit.peak_bytes

    def __str__(self) -> str:
        return "\n".join([*self._counts(), *self._course(), *self._end()])

    def _counts(self) -> list[str]:
        rows = [("read", self.read), ("blank lines", self.blank), ("sent", self.sent)]
        rows += [(str(each), self.by_disposition[each]) for each in Disposition]
        lines = [f"{name:<12} {count:>10,}" for name, count in rows if count or name in _ALWAYS]
        for group, count in self.reasons.most_common():
            disposition, reason = group
            where = in_words(self.first_places.get(group, ()), count)
            lines.append(f"  {count:>9,} {disposition}: {reason}{where}")
        notes = (
            (self.reconciled, "found stored by reading back after a lost answer"),
            (self.reported_before, "reported by previous runs of the job"),
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


def _in_order(place: Place) -> tuple[str, int]:
    return place.file or "", place.line


def in_words(places: Sequence[Place], count: int) -> str:
    """Return ` (line 3)`, ` (lines 3, 8, ...)` or ` (a.csv line 3, b.csv lines 2, 8)`.

    `places` are the first ones of a group of `count` records.
    """
    if not places:
        return ""
    runs = [
        (file, [str(place.line) for place in run]) for file, run in groupby(places, lambda place: place.file)
    ]
    texts = []
    for file, lines in runs:
        is_one = len(lines) == 1 and (len(runs) > 1 or count == 1)
        name = "" if file is None else f"{file} "
        texts.append(f"{name}line{'' if is_one else 's'} {', '.join(lines)}")
    more = ", ..." if count > len(places) else ""
    return f" ({', '.join(texts)}{more})"


_COUNTS = ("read", "blank", "sent", "reported_before", "reconciled", "resent")


def _is_public(attribute: "Attribute[object]", _: object) -> bool:
    return not attribute.name.startswith("_")


_ALWAYS = frozenset({"read", "sent", "persisted", "failed", "unknown"})
