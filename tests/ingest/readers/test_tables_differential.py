"""Tables of all types, written by other programs: every value at the emulator is the same."""

import asyncio
import csv
import datetime as dt
import json
import math
import tempfile
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clinia_async import ColumnMapping, TableOptions, read_records
from clinia_async.emulator import Emulator
from tests.ingest.running import SOURCE, run

SLOW = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r\0"), min_size=1, max_size=12)
INT = st.integers(-(2**63), 2**63 - 1)
FLOAT = st.floats(allow_nan=False, allow_infinity=False)
DECIMAL = st.decimals(min_value=-(10**9), max_value=10**9, places=3)
DATE = st.dates()
MOMENT = st.datetimes(min_value=dt.datetime(1, 1, 2), max_value=dt.datetime(9999, 12, 30))  # noqa: DTZ001
UTC = MOMENT.map(lambda moment: moment.replace(tzinfo=dt.UTC))


def rfc3339(moment: dt.datetime) -> str:
    fraction = f".{moment.microsecond:06d}".rstrip("0") if moment.microsecond else ""
    return moment.replace(microsecond=0, tzinfo=None).isoformat() + fraction + "Z"


def number(value: float) -> str:
    return repr(value).replace("e+", "e")


def time_of_day(time: dt.time) -> str:
    fraction = f".{time.microsecond:06d}".rstrip("0") if time.microsecond else ""
    return f"{time:%H:%M:%S}{fraction}"


COLUMNS: dict[str, tuple[pa.DataType, st.SearchStrategy[Any], Any]] = {
    "text": (pa.string(), TEXT, lambda value: value),
    "binary": (pa.binary(), TEXT.map(str.encode), lambda value: value.decode()),
    "int": (pa.int64(), INT, lambda value: value),
    "float": (pa.float64(), FLOAT, lambda value: value),
    "bool": (pa.bool_(), st.booleans(), lambda value: value),
    "decimal": (pa.decimal128(20, 3), DECIMAL, float),
    "date": (pa.date32(), DATE, lambda value: value.isoformat()),
    "moment": (pa.timestamp("us", "UTC"), UTC, rfc3339),
    "time": (pa.time64("us"), st.times(), time_of_day),
    "list": (pa.list_(pa.int64()), st.lists(INT, max_size=3), lambda value: value),
    "moments": (
        pa.list_(pa.timestamp("us", "UTC")),
        st.lists(UTC, max_size=2),
        lambda value: [*map(rfc3339, value)],
    ),
    "struct": (
        pa.struct([("a", pa.int64()), ("b", pa.string())]),
        st.fixed_dictionaries({"a": INT, "b": TEXT}),
        lambda value: value,
    ),
    "map": (
        pa.map_(pa.string(), pa.int64()),
        st.dictionaries(TEXT, INT, max_size=3).map(lambda each: [*each.items()]),
        dict,
    ),
}
NAMES = st.lists(st.sampled_from(list(COLUMNS)), min_size=1, max_size=5, unique=True)


@st.composite
def tables(draw: st.DrawFn) -> tuple[list[str], list[dict[str, Any]]]:
    names = draw(NAMES)
    row = st.fixed_dictionaries({name: st.none() | COLUMNS[name][1] for name in names})
    return names, draw(st.lists(row, min_size=1, max_size=12))


async def stored(path: Path, mapping: dict[str, str], **options: Any) -> dict[str, Any]:
    columns = ColumnMapping({"type": "=t", "id": "id", **mapping})
    async with Emulator() as emulator:
        found = await run(emulator, read_records(path, SOURCE, columns=columns, **options))
        assert found.report.all_landed, found.outcomes
        return {each.id: each.data for each in emulator.stored_resources()}


def same(one: Any, other: Any) -> bool:
    if isinstance(one, float) and isinstance(other, float | int):
        return math.isclose(one, other, rel_tol=0, abs_tol=0)
    return type(one) is type(other) and one == other


@SLOW
@given(tables(), st.sampled_from([None, "zstd", "snappy"]), st.integers(1, 5), st.booleans())
def test_every_value_of_parquet_is_stored(
    table: tuple[list[str], list[dict[str, Any]]], compression: str | None, group: int, as_dictionary: bool
) -> None:
    names, rows = table
    arrays = {name: pa.array([row[name] for row in rows], COLUMNS[name][0]) for name in names}
    for name in {"text", "int", "date"} & arrays.keys() if as_dictionary else ():
        arrays[name] = arrays[name].dictionary_encode()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.parquet"
        ids = [f"row-{number}" for number in range(len(rows))]
        pq.write_table(pa.table({"id": ids, **arrays}), path, compression=compression, row_group_size=group)
        found = asyncio.run(stored(path, {f"data.{name}": name for name in names}))
    for id_, row in zip(ids, rows, strict=True):
        wanted = {name: COLUMNS[name][2](value) for name, value in row.items() if value is not None}
        assert found[id_].keys() == wanted.keys()
        assert all(same(wanted[name], found[id_][name]) for name in wanted), (wanted, found[id_])


DOCUMENT = st.recursive(
    INT | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)
CSV_COLUMNS: dict[str, tuple[str, st.SearchStrategy[Any], Any]] = {
    "text": ("", TEXT, lambda value: value),
    "int": (":int", st.integers(), str),
    "float": (":float", FLOAT.filter(lambda x: "inf" not in repr(x)), number),
    "bool": (":bool", st.booleans(), str),
    "json": (":json", DOCUMENT, json.dumps),
}


@st.composite
def sheets(draw: st.DrawFn) -> tuple[list[str], list[dict[str, Any]]]:
    names = draw(st.lists(st.sampled_from(list(CSV_COLUMNS)), min_size=1, max_size=5, unique=True))
    row = st.fixed_dictionaries({name: st.none() | CSV_COLUMNS[name][1] for name in names})
    return names, draw(st.lists(row, min_size=1, max_size=12))


@SLOW
@given(
    sheets(),
    st.sampled_from([",", ";", "\t", "|"]),
    st.sampled_from(["utf-8", "utf-16", "utf-8-sig"]),
    st.sampled_from(["\n", "\r\n"]),
)
def test_every_cell_of_csv_is_stored(
    sheet: tuple[list[str], list[dict[str, Any]]], delimiter: str, encoding: str, end: str
) -> None:
    names, rows = sheet
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.csv"
        with path.open("w", newline="", encoding=encoding) as file:
            writer = csv.writer(file, delimiter=delimiter, lineterminator=end)
            writer.writerow(["id", *names])
            for number, row in enumerate(rows):
                cells = ["" if row[name] is None else CSV_COLUMNS[name][2](row[name]) for name in names]
                writer.writerow([f"row-{number}", *cells])
        mapping = {f"data.{name}{CSV_COLUMNS[name][0]}": name for name in names}
        encoding = "utf-8" if encoding == "utf-8-sig" else encoding
        options = TableOptions(delimiter=delimiter, encoding=encoding, null="none")
        found = asyncio.run(stored(path, mapping, table=options))
    for number, row in enumerate(rows):
        wanted = {name: value for name, value in row.items() if value is not None}
        data = found[f"row-{number}"]
        assert data.keys() == wanted.keys()
        assert all(same(wanted[name], data[name]) for name in wanted), (wanted, data)


def test_the_test_distinguishes_values() -> None:
    assert not same(1, True)
    assert not same(1.0, 1.5)
    assert not same("1", 1)
    assert same(1.0, 1)
    assert float(Decimal("1.100")) == 1.1
