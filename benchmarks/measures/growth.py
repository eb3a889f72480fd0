"""Whether a record, or a pending task, costs the same whatever their number."""

from benchmarks.measures.bulk import FILE, RAW, TYPED, at_file
from benchmarks.measures.ndjson import ndjson
from benchmarks.measures.pending import held
from benchmarks.measures.wait import OURS
from benchmarks.plan import Plan
from benchmarks.quartiles import Quartiles
from benchmarks.rounds import Contender, interleaved
from benchmarks.tables import Lines, Table


def measure(plan: Plan) -> list[Table]:
    records = [1000, 10_000, 100_000] if plan.quick else [1000, 10_000, 100_000, 1_000_000]
    pending = [10, 100, 1000] if plan.quick else [10, 100, 1000, 10_000, 100_000]
    bytes_ = [1000, 5000] if plan.quick else [1000, 10_000, 100_000]
    return [_by_records(plan, records), _by_pending(plan, pending), held(plan, bytes_)]


def _by_records(plan: Plan, sizes: list[int]) -> Table:
    names = [RAW.name, TYPED.name, FILE.name]
    found: dict[str, list[Quartiles]] = {name: [] for name in names}
    for size in sizes:
        with ndjson(size) as path:
            placed = [at_file(each, path) for each in (RAW, TYPED, FILE)]
            results = interleaved(placed, _rounds(plan, size), url=plan.stub.url, count=size)
        for name in names:
            found[name].append(Quartiles.of(results.of(name, "cpu_us")))
    return _flat("CPU us a record", sizes, "records", found)


def _by_pending(plan: Plan, sizes: list[int]) -> Table:
    """A small number is waited for several times over, so that there is something to measure.

    A thousand creates are under way at any time: were all of them, the last of a hundred thousand would
    wait for a connection for longer than the half minute that an attempt has.
    """
    found: dict[str, list[Quartiles]] = {OURS.name: []}
    for size in sizes:
        again = {"batches": max(1, 100 // size), "source": "lognormal", "at_once": 1000}
        contender = Contender(OURS.name, OURS.way, again, is_ours=True)
        results = interleaved([contender], _rounds(plan, size), url=plan.stub.url, count=size)
        found[OURS.name].append(Quartiles.of(results.of(OURS.name, "cpu_us")))
    return _flat("CPU us a pending task, with its create", sizes, "pending tasks", found)


def _rounds(plan: Plan, size: int) -> int:
    return plan.times(5, 3) if size < 100_000 else plan.times(3, 1)


def _flat(label: str, sizes: list[int], of: str, found: dict[str, list[Quartiles]]) -> Table:
    rows = [
        [name, *map(str, each), f"{each[-1].middle / each[0].middle:.2f}"] for name, each in found.items()
    ]
    return Table(
        f"{label}, by the number of {of}",
        ["", *(f"{size:,}" for size in sizes), "last by first"],
        rows,
        lines=Lines(label, sizes, of, {name: [one.middle for one in each] for name, each in found.items()}),
    )
