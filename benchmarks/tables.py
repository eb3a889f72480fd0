"""What a benchmark found, as text for a terminal and for a page."""

from collections.abc import Iterable, Mapping, Sequence

from attrs import field, frozen

from benchmarks.quartiles import Goal, Quartiles, paired
from benchmarks.rounds import Results


@frozen
class Bars:
    """A bar a row, from a lower to an upper quartile around its middle."""

    label: str
    names: Sequence[str]
    low: Sequence[float]
    middle: Sequence[float]
    high: Sequence[float]
    one: float | None = None
    """Where the baseline is, if it is a ratio."""


@frozen
class Lines:
    """Series over sizes that grow tenfold, so that what is flat looks flat."""

    label: str
    sizes: Sequence[float]
    of: str
    series: Mapping[str, Sequence[float]]


@frozen
class Goaled:
    """A figure beside its goal: `result` is reached, short or FAIL."""

    what: str
    found: str
    goal: str
    result: str


@frozen
class Table:
    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = ()
    goals: Sequence[Goaled] = ()
    failed: Sequence[str] = ()
    """What is beyond its fail figure, in words."""
    bars: Bars | None = None
    lines: Lines | None = None

    def text(self) -> str:
        cells = [list(self.columns), *map(list, self.rows)] if self.rows else []
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        lines = [self.title, *(_aligned(row, widths) for row in cells), *(f"  {note}" for note in self.notes)]
        return "\n".join(lines)

    def markdown(self) -> str:
        lines = [f"### {self.title}", ""]
        if self.rows:
            lines += [piped(self.columns), piped(["---", *["--:"] * (len(self.columns) - 1)])]
            lines += [piped(row) for row in self.rows]
        lines += ["", *(f"* {note}" for note in self.notes), ""]
        return "\n".join(lines)


def _aligned(row: Sequence[str], widths: Sequence[int]) -> str:
    first, *rest = zip(row, widths, strict=True)
    return "  ".join([f"  {first[0]:<{first[1]}}", *(f"{cell:>{width}}" for cell, width in rest)])


def piped(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


@frozen
class Comparison:
    """Contenders against one baseline, by one figure that is better when it is smaller.

    `ratio_of_cost` puts the contender above the baseline (at most); else the baseline is above (at least).
    """

    title: str
    results: Results
    baseline: str
    figure: str
    unit: str
    goals: Mapping[str, Goal] = field(factory=dict)
    ratio_of_cost: bool = False
    more: Sequence[tuple[str, str, str]] = ()
    """Further columns: heading, figure, format."""
    baselines: Mapping[str, str] = field(factory=dict)
    """Where one contender has a baseline of its own."""

    def table(self, notes: Sequence[str] = ()) -> Table:
        names = list(self.results.samples)
        ratios = {name: self._ratio(name) for name in names}
        columns = ["", self.unit, "ratio [q1..q3]", "goal", "", *(heading for heading, _, _ in self.more)]
        return Table(
            self.title,
            columns,
            [self._row(name, ratios[name]) for name in names],
            [*notes, *(f"not measured: {reason}" for reason in self.results.missing)],
            failed=[
                f"{self.title}: {name}: {ratios[name]}, goal {self.goals[name]}"
                for name in names
                if self._result(name, ratios[name]) == "FAIL"
            ],
            goals=[
                Goaled(
                    f"{self.title}: {name}",
                    str(ratios[name]),
                    str(self.goals[name]),
                    self._result(name, ratios[name]),
                )
                for name in names
                if name in self.goals
            ],
            bars=self._bars(ratios),
        )

    def _ratio(self, name: str) -> Quartiles:
        mine = self.results.of(name, self.figure)
        theirs = self.results.of(self.baselines.get(name, self.baseline), self.figure)
        return paired(mine, theirs) if self.ratio_of_cost else paired(theirs, mine)

    def _result(self, name: str, ratio: Quartiles) -> str:
        return self.goals[name].result(ratio) if name in self.goals else ""

    def _row(self, name: str, ratio: Quartiles) -> list[str]:
        cost = Quartiles.of(self.results.of(name, self.figure)).middle
        goal = str(self.goals[name]) if name in self.goals else ""
        row = [name, f"{cost:.1f}", str(ratio), goal, self._result(name, ratio)]
        return row + [
            f"{Quartiles.of(self.results.of(name, figure)).middle:{form}}" for _, figure, form in self.more
        ]

    def _bars(self, ratios: Mapping[str, Quartiles]) -> Bars:
        label = "cost by the baseline's" if self.ratio_of_cost else f"{self.baseline}'s cost by its own"
        each = list(ratios.values())
        low, middle, high = ([getattr(one, part) for one in each] for part in ("low", "middle", "high"))
        return Bars(label, list(ratios), low, middle, high, one=1.0)
