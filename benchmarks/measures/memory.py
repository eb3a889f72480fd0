"""The most memory that a bulk ever holds, by how many records there are: it should not grow with them."""

from benchmarks.measures.bulk import FILE, PEERS, RAW, TYPED, at_file
from benchmarks.measures.ndjson import ndjson
from benchmarks.plan import Plan
from benchmarks.quartiles import AtMost, Quartiles
from benchmarks.rounds import Contender, Results, interleaved
from benchmarks.tables import Goaled, Lines, Table

PEAK, GROWTH = AtMost(55.0), AtMost(5.0)
OURS = {TYPED.name, FILE.name}


def measure(plan: Plan) -> list[Table]:
    sizes = [20_000, 80_000] if plan.quick else [100_000, 400_000]
    sizes += [1_000_000] if plan.million else []
    found = {size: _peaks(plan, size) for size in sizes}
    names = [name for name in found[sizes[0]].samples if all(name in found[size].samples for size in sizes)]
    peaks = {name: [_middle(found[size], name) for size in sizes] for name in names}
    held = [
        Goaled(f"peak MB of a bulk: {name}", f"{max(peaks[name]):.1f}", str(PEAK), _result(peaks[name]))
        for name in names
        if name in OURS
    ]
    return [
        Table(
            "Peak memory of a bulk, MB of the whole process",
            ["", *(f"{size:,} records" for size in sizes), "growth", "goals", ""],
            [_row(name, peaks[name]) for name in names],
            [f"not measured: {reason}" for reason in found[sizes[0]].missing],
            goals=held,
            lines=Lines("peak MB", sizes, "records", peaks),
        )
    ]


def _peaks(plan: Plan, size: int) -> Results:
    contenders: list[Contender] = [RAW, TYPED, FILE, *PEERS]
    with ndjson(size) as path:
        placed = [at_file(each, path) for each in contenders]
        return interleaved(placed, plan.times(3, 1), url=plan.stub.url, count=size)


def _middle(results: Results, name: str) -> float:
    return Quartiles.of(results.of(name, "peak_mb")).middle


def _row(name: str, peaks: list[float]) -> list[str]:
    growth = peaks[1] - peaks[0]
    row = [name, *(f"{peak:.1f}" for peak in peaks), f"{growth:+.1f}"]
    if name not in OURS:
        return [*row, "", ""]
    return [*row, f"{PEAK}, growth {GROWTH}", _result(peaks)]


def _result(peaks: list[float]) -> str:
    results = {PEAK.result(Quartiles.of([max(peaks)])), GROWTH.result(Quartiles.of([peaks[1] - peaks[0]]))}
    return "reached" if results == {"reached"} else "short"
