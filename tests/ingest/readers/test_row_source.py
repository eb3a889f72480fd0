"""Rows of frames and of database cursors become records, some at a time."""

import asyncio
import datetime as dt
import json
import sqlite3
import threading
import traceback
import tracemalloc
from collections.abc import Iterator, Sequence
from decimal import Decimal
from enum import Enum, IntEnum
from itertools import chain, islice
from typing import Any
from uuid import UUID

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from clinia_async import (
    BadRecord,
    ColumnMapping,
    ConfigError,
    InputError,
    Record,
    RecordStream,
    escape_dots,
    rows,
)
from clinia_async.emulator import Emulator
from tests.ingest.reading import reported
from tests.ingest.running import SOURCE, run, stored_data

SIMPLE = ColumnMapping.parse("type==t,id=id,data.v=v")
TEXT = ColumnMapping.parse("type==t,id=id,data.v:str=v")
IDS = [f"id-{n}" for n in range(1500)]


async def data_of(stream: RecordStream) -> list[object]:
    found = [each async for each in stream]
    assert [each.line for each in found] == [*range(1, len(found) + 1)]
    return [
        json.loads(each.payload())["data"].get("v") if isinstance(each, Record) else reported([each])[0][1:]
        for each in found
    ]


FRAMES = {
    "pandas": pd.DataFrame({"id": IDS, "v": range(1500)}),
    "polars": pl.DataFrame({"id": IDS, "v": range(1500)}),
    "table": pa.table({"id": IDS, "v": range(1500)}),
    "batches": pa.table({"id": IDS, "v": range(1500)}).to_batches(100),
    "batch": pa.record_batch({"id": IDS, "v": range(1500)}),
}


@pytest.mark.parametrize("name", FRAMES)
async def test_frames_are_read_through_the_interface_of_arrow(name: str) -> None:
    frame = FRAMES[name]
    if name == "batches":
        frame = pa.RecordBatchReader.from_batches(frame[0].schema, frame)
    assert await data_of(rows(frame, SOURCE, columns=SIMPLE)) == [*range(1500)]


async def test_missing_values_of_pandas_leave_their_field_out() -> None:
    frame = pd.DataFrame({"id": ["aa", "bb"], "v": [1.5, None]})
    assert await data_of(rows(frame, SOURCE, columns=SIMPLE)) == [1.5, None]


async def test_columns_may_be_named_as_fields() -> None:
    frame = pl.DataFrame({"type": ["t"], "id": ["aa"], "data": [{"v": [1, 2]}]})
    assert await data_of(rows(frame, SOURCE)) == [[1, 2]]


async def test_a_frame_that_arrow_cannot_carry_is_named() -> None:
    frame = pd.DataFrame({"id": ["aa", 1], "v": [1, 2]})
    with pytest.raises(InputError, match="several types"):
        await data_of(rows(frame, SOURCE, columns=SIMPLE))
    with pytest.raises(InputError, match="no column for id"):
        await data_of(rows(pl.DataFrame({"v": [1]}), SOURCE, columns=SIMPLE))


def test_what_is_no_frame_is_named() -> None:
    with pytest.raises(ConfigError, match="collect a frame that is lazy"):
        rows(pl.DataFrame({"id": ["aa"]}).lazy(), SOURCE, columns=SIMPLE)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (pl.Series("id", ["aa"]), "one column and no frame"),
        (pd.DataFrame([["aa", 1, 2]], columns=["id", "v", "v"]), "two of its columns have one name"),
        (
            pl.DataFrame({"id": ["aa"], "v": pl.Series([2**100], dtype=pl.Int128)}),
            "of one that Arrow has not",
        ),
    ],
)
async def test_why_a_frame_cannot_be_read_is_named(frame: Any, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        await data_of(rows(frame, SOURCE, columns=SIMPLE))


@pytest.mark.parametrize("value", [object(), UUID(int=7)])
async def test_an_address_of_an_object_is_no_value(value: object) -> None:
    """Of objects of Python polars gives Arrow the addresses: bytes that may be text by chance."""
    frame = pl.DataFrame({"id": ["aa"], "Object": ["x"], "v": pl.Series([value], dtype=pl.Object)})
    assert len(await data_of(rows(frame, SOURCE, columns=ColumnMapping.parse("type==t,id=id,data.v=Object"))))
    with pytest.raises(InputError, match="holds objects of Python"):
        await data_of(rows(frame, SOURCE, columns=SIMPLE))


WHOLE = "must be text, and is a number: give the field as :str"
FRACTION = "must be text or a whole number, and is one with a fraction"


@pytest.mark.parametrize(
    ("ids", "kind", "wanted"),
    [
        ([1, 22], "", [WHOLE, WHOLE]),
        ([1, 22], ":str", ["1", "22"]),
        (["1", "22"], "", ["1", "22"]),
        ([1.0, None], "", [FRACTION, "is required"]),
        ([1.0, None], ":str", [FRACTION, "is required"]),
        ([Decimal(1), Decimal(22)], "", [WHOLE, WHOLE]),
        ([Decimal(1), Decimal(22)], ":str", ["1", "22"]),
        ([Decimal("1.00"), Decimal("22.00")], ":str", [FRACTION, FRACTION]),
    ],
)
@pytest.mark.parametrize("way", ["frame", "cursor"])
async def test_numbers_as_ids(ids: list[Any], kind: str, wanted: list[str], way: str) -> None:
    """A fraction is no id, even with its dot escaped: pandas makes 1.0 of 1 where another id is missing."""
    mapping = ColumnMapping.parse(f"type==t,from.id{kind}=id,from.type==p,to.id==b,to.type==q,data.v=id")
    data: Any = pa.table({"id": ids}) if way == "frame" else Fake([])
    if way == "cursor":
        data.description, data._rows = (("id", None),), iter([(each,) for each in ids])
    found = [each async for each in rows(data, SOURCE, columns=mapping, map_id=escape_dots)]
    shown = [
        json.loads(each.payload())["from"]["id"] if isinstance(each, Record) else reported([each])[0][2]
        for each in found
    ]
    assert [text[: len(want)] for text, want in zip(shown, wanted, strict=True)] == wanted


async def test_a_decimal_of_too_many_digits_is_one_bad_row() -> None:
    """It is not written out: that would take as much memory as it has digits."""
    values = [Decimal("1E+900000000000000"), Decimal("1E-900000000000000"), Decimal("1E+3")]
    found = await data_of(rows(Fake(values), SOURCE, columns=SIMPLE))
    bad = ("$.data.v (column v)", "must be a number of fewer digits")
    assert found == [bad, bad, 1000]


class Fake:
    """A cursor of a driver that has no thread of its own."""

    description = (("id", None), ("v", None))

    def __init__(self, values: Sequence[object]) -> None:
        self._rows = iter([(f"id-{n}", value) for n, value in enumerate(values)])
        self.threads: set[int] = set()
        self.sizes: set[int] = set()

    def fetchmany(self, size: int) -> list[tuple[object, object]]:
        self.threads.add(threading.get_ident())
        self.sizes.add(size)
        return [*islice(self._rows, size)]


NAIVE = "its timestamps have no time zone"
VALUES: list[tuple[object, object]] = [
    ("x", "x"),
    (None, None),
    (1, 1),
    (2**63, 2**63),
    (True, True),
    (1.5, 1.5),
    (Decimal("1.10"), 1.1),
    (dt.date(2020, 1, 2), "2020-01-02"),
    (dt.time(1, 2, 3), "01:02:03"),
    (dt.datetime(2020, 1, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=1))), "2020-01-01T00:00:00Z"),
    (UUID(int=7), "00000000-0000-0000-0000-000000000007"),
    (b"\xc3\xa9", "é"),
    (memoryview(b"x"), "x"),
    ([1, [Decimal(2)]], [1, [2]]),
    ({"a": {"b": None}, "c": (1,)}, {"a": {}, "c": [1]}),
    (np.int64(5), 5),
    (np.float64(1.5), 1.5),
    (np.bool_(True), True),
    (np.str_("x"), "x"),
    (IntEnum("A", "one").one, 1),  # type: ignore[attr-defined]
    (Enum("B", {"one": "x"}).one, "x"),  # type: ignore[attr-defined]
    (type("Text", (str,), {"__str__": lambda _: "other"})("x"), "x"),
    ([np.float32(0.5)], [0.5]),
]


async def test_values_of_cursors_are_carried() -> None:
    cursor = Fake([value for value, _ in VALUES])
    assert await data_of(rows(cursor, SOURCE, columns=SIMPLE)) == [wanted for _, wanted in VALUES]


@pytest.mark.parametrize(
    "value",
    [
        float("nan"),
        Decimal("NaN"),
        dt.datetime(2020, 1, 1),  # noqa: DTZ001
        b"\xff",
        object(),
        {1: 2},
        [float("inf")],
        "\ud800",
    ],
)
async def test_a_value_that_no_record_carries_costs_its_row(value: object) -> None:
    found = [each async for each in rows(Fake(["x", value, "y"]), SOURCE, columns=SIMPLE)]
    assert [type(each) for each in found] == [Record, BadRecord, Record]
    assert reported(found)[0][:2] == (2, "$.data.v (column v)")


@pytest.mark.parametrize("row", [("aa",), {"id": "aa", "v": 1}, 5])
async def test_a_row_that_is_no_sequence_of_its_columns_is_an_error(row: object) -> None:
    cursor = Fake([1])
    cursor.fetchmany = lambda size: [row]  # type: ignore[assignment, method-assign, list-item]
    with pytest.raises(InputError, match="as a sequence") as caught:
        await data_of(rows(cursor, SOURCE, columns=SIMPLE))
    assert caught.value.__context__ is None


U = UUID("12345678-1234-5678-1234-567812345678")
PERIODS = pd.period_range("2020-01", periods=1, freq="M")
ARROW: dict[str, tuple[object, object]] = {
    "uuid": (pa.array([U.bytes, None], pa.uuid()), [str(U), None]),
    "uuids of pandas": (pd.Series([U]), [str(U)]),
    "bool8": (
        pa.ExtensionArray.from_storage(pa.bool8(), pa.array([0, 1, -1], pa.int8())),
        [False, True, True],
    ),
    "json": (pa.array(["[1]"], pa.json_()), ["[1]"]),
    "run ends": (
        pa.RunEndEncodedArray.from_arrays(pa.array([2, 3], pa.int32()), ["a", None]),
        ["a", "a", None],
    ),
    "run ends of moments": (
        pa.RunEndEncodedArray.from_arrays(pa.array([2], pa.int32()), pa.array([0], pa.timestamp("s", "UTC"))),
        ["1970-01-01T00:00:00Z"] * 2,
    ),
    "views of lists": (pa.array([[1, 2], None, []], pa.list_view(pa.int64())), [[1, 2], None, []]),
    "large views": (pa.array([["é"]], pa.large_list_view(pa.string())), [["é"]]),
    "enum": (pl.Series(["x", None], dtype=pl.Enum(["x"])), ["x", None]),
    "categories": (pl.Series(["x", "y"], dtype=pl.Categorical), ["x", "y"]),
    "views": (pa.array(["a" * 30, None], pa.string_view()), ["a" * 30, None]),
    "keys in a dictionary": (
        pa.MapArray.from_arrays([0, 1], pa.array(["k"]).dictionary_encode(), [1]),
        [{"k": 1}],
    ),
    "decimals": (pa.array([Decimal("1E+3")], pa.decimal128(5, -2)), [1000]),
}


@pytest.mark.parametrize("name", ARROW)
async def test_types_of_arrow_are_carried(name: str) -> None:
    values, wanted = ARROW[name]
    assert isinstance(wanted, list)
    ids = [f"id-{number}" for number in range(len(wanted))]
    maker = {pd.Series: pd.DataFrame, pl.Series: pl.DataFrame}.get(type(values), pa.table)  # type: ignore[call-overload]
    frame = maker({"id": ids, "v": values})
    assert await data_of(rows(frame, SOURCE, columns=SIMPLE)) == wanted


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (PERIODS, "its extension type has no value"),
        (pa.array([[0]], pa.list_view(pa.timestamp("s", "UTC"))), "a view of lists"),
        (pa.StructArray.from_arrays([pa.array([1]), pa.array([2])], ["a", "a"]), "a field twice"),
        (pa.array([1], pa.duration("s")), "none that JSON has"),
    ],
)
async def test_types_of_arrow_that_mean_nothing_alone_are_named(values: object, reason: str) -> None:
    maker = pd.DataFrame if isinstance(values, pd.PeriodIndex) else pa.table
    with pytest.raises(InputError, match=reason):
        await data_of(rows(maker({"id": ["aa"], "v": values}), SOURCE, columns=SIMPLE))


async def test_local_times_need_a_time_zone_or_are_text() -> None:
    local = dt.datetime(1998, 4, 9, 12, 30, 15)  # noqa: DTZ001
    assert NAIVE in str(await data_of(rows(Fake([local]), SOURCE, columns=SIMPLE)))
    assert await data_of(rows(Fake([local]), SOURCE, columns=TEXT)) == ["1998-04-09T12:30:15"]
    zoned = rows(Fake([local]), SOURCE, columns=SIMPLE, timezone="Europe/Paris")
    assert await data_of(zoned) == ["1998-04-09T10:30:15Z"]
    frame = pl.DataFrame({"id": ["aa"], "v": [local]})
    assert await data_of(rows(frame, SOURCE, columns=TEXT)) == ["1998-04-09T12:30:15"]


async def test_rows_are_fetched_some_at_a_time_and_in_a_thread() -> None:
    cursor = Fake(range(1500))
    assert len(await data_of(rows(cursor, SOURCE, columns=SIMPLE))) == 1500
    assert cursor.sizes == {512}
    assert threading.get_ident() not in cursor.threads


async def test_a_cursor_of_sqlite_stays_in_its_thread() -> None:
    database = sqlite3.connect(":memory:")
    database.execute("create table t (id text, v int)")
    database.executemany("insert into t values (?, ?)", ((f"id-{n}", n) for n in range(1500)))
    cursor = database.execute("select id, v from t order by v")
    async with Emulator() as emulator:
        found = await run(emulator, rows(cursor, SOURCE, columns=SIMPLE))
        assert found.report.all_landed
        assert emulator.resources() == 1500
        assert stored_data(emulator) == {}
    database.close()


class OwnCursor(sqlite3.Cursor):
    """As frameworks make one."""


class Around:
    """A cursor around another one, as frameworks put it there."""

    def __init__(self, cursor: sqlite3.Cursor) -> None:
        self.cursor = cursor

    def __getattr__(self, name: str) -> Any:
        return getattr(self.cursor, name)


@pytest.mark.parametrize("way", ["of a class of its own", "around"])
async def test_a_cursor_that_is_made_of_one_of_sqlite_stays_in_its_thread(way: str) -> None:
    database = sqlite3.connect(":memory:")
    cursor = database.cursor(OwnCursor).execute("select 'aa' id, 1 v")
    data: Any = Around(cursor) if way == "around" else cursor
    assert await data_of(rows(data, SOURCE, columns=SIMPLE)) == [1]
    database.close()


async def test_a_result_without_a_description_is_no_cursor() -> None:
    class Result:
        cursor = Fake([1])

        def fetchmany(self, size: int) -> object:
            return self.cursor.fetchmany(size)

    with pytest.raises(ConfigError, match="of a result that holds a cursor give that"):
        await data_of(rows(Result(), SOURCE, columns=SIMPLE))  # type: ignore[arg-type]
    assert await data_of(rows(Result().cursor, SOURCE, columns=SIMPLE)) == [1]


async def test_a_cursor_may_be_asynchronous() -> None:
    class Async(Fake):
        async def fetchmany(self, size: int) -> Any:  # type: ignore[override]
            await asyncio.sleep(0)
            return Fake.fetchmany(self, size)

    assert await data_of(rows(Async(range(3)), SOURCE, columns=SIMPLE)) == [0, 1, 2]


async def test_what_has_no_rows_is_refused() -> None:
    with pytest.raises(ConfigError, match="or of a cursor"):
        rows([{"id": "aa"}], SOURCE)  # type: ignore[arg-type]
    cursor = Fake([])
    cursor.description = None  # type: ignore[assignment]
    with pytest.raises(ConfigError, match="execute a query first"):
        await data_of(rows(cursor, SOURCE, columns=SIMPLE))
    with pytest.raises(ConfigError, match="timezone"):
        rows(Fake([]), SOURCE, timezone="Nowhere")


@pytest.mark.parametrize("error", [OSError, ValueError, KeyError, MemoryError, pa.ArrowInvalid])
async def test_what_is_raised_by_a_source_of_batches_is_an_error_of_the_input(
    error: type[Exception],
) -> None:
    """Arrow makes others of it, whose text has the first one's, and its traceback."""

    def batches() -> Iterator[Any]:
        yield pa.record_batch({"type": ["t"], "id": ["aa"], "data.v": ["1"]})
        raise error("CANARY-7731")

    source = batches()
    first = next(source)
    stream = pa.RecordBatchReader.from_batches(first.schema, chain([first], source))
    with pytest.raises(InputError, match="cannot be read to its end") as raised:
        [each async for each in rows(stream, SOURCE)]
    assert "CANARY" not in "".join(traceback.format_exception(raised.value))


async def test_memory_does_not_grow_with_a_stream() -> None:
    def batches() -> Iterator[pa.RecordBatch]:
        for n in range(100):
            yield pa.record_batch({"id": [f"id-{n}"] * 500, "v": ["x" * 1000] * 500})

    schema = next(batches()).schema
    tracemalloc.start()
    try:
        async for _ in rows(pa.RecordBatchReader.from_batches(schema, batches()), SOURCE, columns=SIMPLE):
            pass
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 12 * 1024 * 1024, "the rows are of 50 MB"


class Rows:
    """A cursor of one row."""

    description = (("id",), ("v",))

    def __init__(self, value: object) -> None:
        self._rows = [("aa", value)]

    def fetchmany(self, _: int) -> Sequence[Sequence[object]]:
        rows, self._rows = self._rows, []
        return rows


NO_JSON = ("$.data.v (column v)", "must be a value that JSON has")
OF_NUMPY = {
    "array": (np.array([1.5, 2.5]), [1.5, 2.5]),
    "array of arrays": (np.array([[1], [2]]), [[1], [2]]),
    "array of one": (np.array(5), 5),
    "empty array": (np.array([]), []),
    "array of NaN": (np.array([np.nan]), ("$.data.v (column v)", "must be a finite number")),
    "array of text": (np.array(["a,b"]), ["a,b"]),
    "array of objects": (np.array([{"a": np.int8(1)}, None]), [{"a": 1}, None]),
    "bool": (np.bool_(True), True),
    "int": (np.uint64(2**64 - 1), 2**64 - 1),
    "text": (np.str_("x"), "x"),
    "day": (np.datetime64("2020-01-02"), "2020-01-02"),
    "moment of nanoseconds": (np.datetime64("2020-01-02T03:04:05.123456789"), NO_JSON),
    "moments of nanoseconds": (np.array(["2020-01-02"], dtype="datetime64[ns]"), NO_JSON),
    "no moment": (np.datetime64("NaT", "s"), None),
    "no moment of pandas": (pd.NaT, None),
    "duration of nanoseconds": (np.timedelta64(5, "ns"), NO_JSON),
    "duration": (np.timedelta64(5, "s"), NO_JSON),
    "more digits": (np.longdouble("1.5"), NO_JSON),
    "complex": (np.complex64(1j), NO_JSON),
}


@pytest.mark.parametrize("name", OF_NUMPY)
async def test_values_of_numpy_from_a_cursor_are_those_of_python_or_refused(name: str) -> None:
    value, wanted = OF_NUMPY[name]
    assert await data_of(rows(Rows(value), SOURCE, columns=SIMPLE)) == [wanted]
