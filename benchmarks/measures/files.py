"""Files of every format, loaded by the command line: against NDJSON, and against plain scripts."""

import csv
import json
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

from benchmarks import workload
from benchmarks.plan import Plan
from benchmarks.quartiles import AtLeast, AtMost, Goal
from benchmarks.rounds import Contender, interleaved
from benchmarks.tables import Comparison, Table

WITH_ORJSON = "script with orjson, NDJSON"
NDJSON, CSV, PARQUET, JSON = (f"clinia_async, {name}" for name in ("NDJSON", "CSV", "Parquet", "JSON list"))
GOALS: Mapping[str, Goal] = {CSV: AtMost(1.5), PARQUET: AtMost(1.25), WITH_ORJSON: AtLeast(1.0)}
NOTES = (
    "the same records in each; chunks of 1,000, 4 in flight, every receipt read and an outcome a record",
    "the scripts read, build dicts, and send with raw aiohttp; they check nothing, and keep no digits",
    "the memory of Parquet holds pyarrow's own",
)
FIELDS = ("prac", "org", *workload.DATA, "visits")
_KINDS = {"primary": ":bool", "fte": ":float", "languages": ":json", "visits": ":int"}
MAPPING = ",".join(
    [
        f"type=={workload.TYPE},from.id=prac,from.type==practitioner,to.id=org,to.type==organization",
        *(f"data.{name}{_KINDS.get(name, '')}={name}" for name in FIELDS[2:]),
    ]
)
_TYPED = dict.fromkeys(_KINDS, "")


def measure(plan: Plan) -> list[Table]:
    count = 20_000
    with files(count) as folder:
        results = interleaved(_contenders(folder), plan.times(9, 5), url=plan.stub.url, count=count)
    more = [("records a second", "per_second", ",.0f"), ("peak MB", "peak_mb", ".0f")]
    title = f"Files of {count:,} records"
    comparison = Comparison(
        title, results, NDJSON, "cpu_us", "CPU us a record", GOALS, ratio_of_cost=True, more=more
    )
    return [comparison.table(NOTES)]


def _contenders(folder: Path) -> list[Contender]:
    mapping = MAPPING
    for name in _TYPED:  # in Parquet the columns have their types
        mapping = mapping.replace(f"data.{name}{_KINDS[name]}=", f"data.{name}=")
    return [
        Contender(NDJSON, "files:ours", {"path": str(folder / "x.ndjson")}, is_ours=True),
        Contender(CSV, "files:ours", {"path": str(folder / "x.csv"), "columns": MAPPING}, is_ours=True),
        Contender(
            PARQUET,
            "files:ours",
            {"path": str(folder / "x.parquet"), "columns": mapping},
            needs="pyarrow",
            is_ours=True,
        ),
        Contender(JSON, "files:ours", {"path": str(folder / "x.json")}, is_ours=True),
        Contender("script with json, NDJSON", "files:with_json", {"path": str(folder / "x.ndjson")}),
        Contender(WITH_ORJSON, "files:with_orjson", {"path": str(folder / "x.ndjson")}),
        Contender("script with csv and json", "files:with_csv", {"path": str(folder / "x.csv")}),
        Contender(
            "script with pyarrow and json",
            "files:with_pyarrow",
            {"path": str(folder / "x.parquet")},
            needs="pyarrow",
        ),
    ]


@contextmanager
def files(count: int) -> Iterator[Path]:
    """The records in each format, in a folder for as long as it is needed."""
    with tempfile.TemporaryDirectory(prefix="clinia-async-bench-") as name:
        folder = Path(name)
        lines = [
            json.dumps({"type": workload.TYPE, **workload.body(n)}, separators=(",", ":"))
            for n in range(count)
        ]
        (folder / "x.ndjson").write_text("\n".join(lines) + "\n")
        (folder / "x.json").write_text("[" + ",\n".join(lines) + "]")
        rows = [[*workload.ends(n), *workload.DATA.values(), n] for n in range(count)]
        with (folder / "x.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(FIELDS)
            writer.writerows([_cell(value) for value in row] for row in rows)
        _write_parquet(folder / "x.parquet", rows)
        yield folder


def _cell(value: object) -> object:
    if isinstance(value, bool):
        return str(value).lower()
    return json.dumps(value) if isinstance(value, list) else value


def _write_parquet(path: Path, rows: list[list[object]]) -> None:
    try:
        arrow, parquet = import_module("pyarrow"), import_module("pyarrow.parquet")
    except ImportError:
        return  # what needs it is not measured
    columns = {name: [row[place] for row in rows] for place, name in enumerate(FIELDS)}
    parquet.write_table(arrow.table(columns), path)
