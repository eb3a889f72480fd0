"""CSV and Parquet: rows become records by a mapping, with their values exactly as they are."""

import asyncio
import csv
import datetime as dt
import encodings
import gzip
import io
import json
import pkgutil
import random
import subprocess
import sys
import tempfile
import zipfile
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pyarrow as pa
import pyarrow.csv as pcsv
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import example, given
from hypothesis import strategies as st

from clinia_async import (
    Action,
    BadRecord,
    Blank,
    ColumnMapping,
    ConfigError,
    InputError,
    Record,
    TableOptions,
    rows,
)
from clinia_async.ingest.readers.compression import READ_POSITION, ReadPosition
from clinia_async.ingest.readers.files import read_records
from clinia_async.ingest.readers.ndjson import LineReader
from clinia_async.ingest.readers.ndjson_strict import Rules
from tests.ingest.reading import Item, read_file, reported
from tests.ingest.running import SOURCE

MAPPING = ColumnMapping.parse(
    "type=rel,from.id=npi,from.type==practitioner,to.id=org,to.type==organization,data.since=start"
)
CANARY = "CANARY-7731"


def sent(items: list[Item] | object) -> list[object]:
    assert isinstance(items, list)
    return [
        json.loads(each.operation())[str(each.action).lower()] for each in items if isinstance(each, Record)
    ]


def edge(from_: str, to: str, **data: object) -> dict[str, object]:
    ends = {"from": {"id": from_, "type": "practitioner"}, "to": {"id": to, "type": "organization"}}
    return {"type": "treats", **ends, **({"data": data} if data else {})}


@pytest.fixture
def sheet(tmp_path: Path) -> Path:
    return tmp_path / "sheet.csv"


def put(path: Path, content: str | bytes) -> None:
    path.write_bytes(content.encode() if isinstance(content, str) else content)


@pytest.mark.parametrize("pack", [lambda text: text, gzip.compress, zstandard.compress])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
async def test_rows_are_counted_as_a_spreadsheet_does(pack: object, end: str, sheet: Path) -> None:
    rows = ["rel,npi,start,org,unused", "treats,007,2019-04-01,org-1,x", "", ",,,,", 'treats,8,,"o,""r""g",y']
    put(sheet, pack(b"\xef\xbb\xbf" + end.join(rows).encode()))  # type: ignore[operator]
    found = await read_file(sheet, columns=MAPPING, format="csv")
    assert [each.line for each in found] == [2, 3, 4, 5]
    assert [type(each) for each in found] == [Record, Blank, Blank, Record]
    assert sent(found) == [edge("007", "org-1", since="2019-04-01"), edge("8", 'o,"r"g')]


async def test_a_newline_in_quotes_is_a_part_of_its_cell(sheet: Path) -> None:
    put(sheet, b'rel,npi,org,start\ntreats,1,o,"a\r\nb\nc"\ntreats,2,o,\n')
    found = await read_file(sheet, columns=MAPPING)
    assert sent(found) == [edge("1", "o", since="a\r\nb\nc"), edge("2", "o")]
    assert [each.line for each in found] == [2, 3]


async def test_values_are_of_the_kind_asked_for_digit_by_digit(sheet: Path) -> None:
    put(
        sheet,
        "t,i,a,b,c,d,e\n"
        'p,p1,00012345678901234567890,12345678901234567890123,1.100,TRUE,"{""x"": [1.10]}"\n'
        "p,p2,,,,,\n",
    )
    mapping = ColumnMapping.parse(
        "type=t,id=i,data.a=a,data.b:int=b,data.c:float=c,data.d:bool=d,data.e:json=e"
    )
    found = await read_file(sheet, columns=mapping)
    first, second = (each.operation() for each in found if isinstance(each, Record))
    wanted = (
        b'{"a":"00012345678901234567890","b":12345678901234567890123,"c":1.100,"d":true,"e":{"x": [1.10]}}'
    )
    assert wanted in first
    assert json.loads(second)["create"] == {"type": "p", "id": "p2", "data": {}}


@pytest.mark.parametrize(
    ("kind", "cell", "rule"),
    [
        ("int", "007", "a whole number"),
        ("int", "1.0", "a whole number"),
        ("int", "٣", "a whole number"),
        ("float", "1,5", "a finite number"),
        ("float", "1e999", "a finite number"),
        ("float", "inf", "a finite number"),
        ("bool", "yes", "true or false"),
        ("json", "{", "JSON"),
        ("json", '1,"x":2', "JSON"),
        ("json", '{"a":1,"a":2}', "JSON"),
        ("json", "NaN", "JSON"),
    ],
)
async def test_what_is_not_of_its_kind_is_reported_by_row_and_column(
    kind: str, cell: str, rule: str, sheet: Path
) -> None:
    text = io.StringIO()
    csv.writer(text).writerows([["t", "i", "n"], ["p", "p1", cell], ["p", CANARY, ""]])
    put(sheet, text.getvalue())
    mapping = ColumnMapping.parse(f"type=t,id=i,data.n:{kind}=n")
    found = await read_file(sheet, columns=mapping)
    ((line, path, reason),) = reported(found)
    assert (line, path) == (2, "$.data.n (column n)")
    assert rule in reason
    assert cell not in reason


async def test_bad_rows_are_reported_and_their_neighbours_are_read(sheet: Path) -> None:
    rows = [b"rel,npi,org,start", b"treats,,o,", b"treats,a.b,o,", b"treats,1,o", b"treats,1,o,x,y"]
    rows += [b"treats,\xff,o,", b"treats,1,o,fine", b"tr\xc3\xa9ats,1,o,", b"treats," + b"x" * 300 + b",o,"]
    put(sheet, b"\n".join(rows))
    found = await read_file(sheet, columns=MAPPING)
    assert [(line, path) for line, path, _ in reported(found)] == [
        (2, "$.from.id (column npi)"),
        (3, "$.from.id (column npi)"),
        (4, "$"),
        (5, "$"),
        (6, "$"),
        (8, "$.type (column rel)"),
        (9, "$.from.id (column npi)"),
    ]
    assert reported(found)[2][2] == "must have as many cells as the header: 4"
    assert reported(found)[4][2] == "expected UTF-8"
    assert sent(found) == [edge("1", "o", since="fine")]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "no header"),
        ("rel,npi,org\nx,y,z", "no column for data.since"),
        ("rel,npi,npi,org,start\n", "more than one column for from.id"),
        (f'rel,npi,org,start\ntreats,1,o,\ntreats,"{CANARY}', "row 3 is no CSV"),
    ],
)
async def test_what_no_table_can_be_read_from_on_is_an_error(text: str, reason: str, sheet: Path) -> None:
    put(sheet, text)
    found: list[Item] = []

    async def read() -> None:
        async for each in read_records(sheet, SOURCE, columns=MAPPING):
            found.append(each)  # noqa: PERF401  what came before the error counts

    with pytest.raises(InputError, match=reason) as caught:
        await read()
    assert len(found) == ("row 3" in reason), "the rows before are read all the same"
    assert CANARY not in str(caught.value)
    assert caught.value.__context__ is None


async def test_headers_may_name_the_members_themselves(sheet: Path) -> None:
    put(
        sheet,
        "type,from.id,from.type,to.id,to.type,data.n:int,action\ntreats,1,practitioner,o,organization,5,UPSERT\n",
    )
    assert sent(await read_file(sheet)) == [edge("1", "o", n=5)]
    put(sheet, f"{CANARY},type\n1,2\n")
    with pytest.raises(InputError, match="mapping of columns") as caught:
        await read_file(sheet)
    assert CANARY not in str(caught.value)


@given(st.lists(st.tuples(st.text(min_size=1), st.text()), max_size=8))
@example([("0", "nan"), ("NULL", "\\N")])
def test_what_python_writes_as_csv_is_read_as_it_was(rows: list[tuple[str, str]]) -> None:
    text = io.StringIO()
    csv.writer(text).writerows([["t", "i", "a", "b"], *(("p", "p1", one, two) for one, two in rows)])
    if "\r" in "".join(map("".join, rows)).replace("\r\n", ""):
        return  # a lone carriage return ends no row here, and needs no quotes for Python's writer
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sheet.csv"
        path.write_bytes(text.getvalue().encode("utf-8", "surrogatepass"))
        mapping = ColumnMapping.parse("type=t,id=i,data.a=a,data.b=b")
        table = TableOptions(null="none")  # texts such as "nan" would be refused otherwise
        found = asyncio.run(read_file(path, columns=mapping, table=table))  # type: ignore[arg-type]
    assert [each["data"] for each in sent(found)] == [  # type: ignore[index]
        {"a": one, **({"b": two} if two else {})} for one, two in rows
    ]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "type must be given"),
        ("from.id=a", "type must be given"),
        ("type", "such as from.id=npi"),
        ("type=a,type=b", "each once"),
        ("type=a,type:str=b", "must be given once"),
        ("type=", "item 1 must name a column"),
        ("type=a,from=b", "item 2 names no field"),
        ("type=a,data..x=b", "item 2 names no field"),
        ("type=a,datum=b", "item 2 names no field"),
        ("type=a,data:int.x=b", "item 2 must be"),
        ("type=a,data.x:date=b", "item 2 must be"),
        ("type=a,data=b,data.x=c", "as a whole or in parts"),
        ('type=a,"data.x=b', "such as from.id=npi"),
    ],
)
def test_a_mapping_that_is_none_is_reported_at_once(text: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        ColumnMapping.parse(text)


def test_a_mapping_has_a_text_that_means_the_same() -> None:
    columns = {"type": "==", "from.id:str": 'last, "first"', "data.a.b:json": "x=y", "data.c": "= const, é"}
    mapping = ColumnMapping(columns)
    assert ColumnMapping.parse(str(mapping)) == mapping
    assert len({mapping, ColumnMapping.parse(str(mapping))}) == 1
    assert ColumnMapping.parse('type==t,"data.name=last, first"').fields[1].column == "last, first"


WHO = pa.array(
    [{"npi": 1, "x": None}, {"npi": 2, "x": 7}, None], pa.struct([("npi", pa.int64()), ("x", pa.int8())])
)
TABLE = {
    "rel": pa.array(["treats"] * 3).dictionary_encode(),
    "who": WHO,
    "org": ["o", "o", None],
    "ts": pa.array([0, 1_500_000_000_123_456_789, -1], pa.timestamp("ns", "Europe/Paris")),
    "day": pa.array([dt.date(2020, 2, 29), None, dt.date(1, 1, 1)]),
    "dec": pa.array([Decimal("1.10"), Decimal("99999999999999999999.01"), None], pa.decimal128(30, 2)),
    "big": pa.array([2**64 - 1, 2**63, None], pa.uint64()),
    "num": pa.array([1.5, None, -0.0]),
    "yes": [True, False, None],
    "list": pa.array([[1, None], [], None], pa.list_(pa.int16())),
}
COLUMNS = {
    "type": "rel", "from.id:str": "who.npi", "from.type": "=practitioner", "to.id": "org", "to.type": "=organization",
    **{f"data.{name}": name for name in ("ts", "day", "dec", "big", "num", "yes", "list", "who")},
}  # fmt: skip


async def test_the_types_of_parquet_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    pq.write_table(pa.table(TABLE), path)
    found = await read_file(path, columns=ColumnMapping(COLUMNS))
    assert sent(found) == [
        edge("1", "o", ts="1970-01-01T00:00:00Z", day="2020-02-29", dec=1.1, big=2**64 - 1, num=1.5, yes=True, list=[1, None], who={"npi": 1}),
        edge("2", "o", ts="2017-07-14T02:40:00.123456789Z", dec=1e20, big=2**63, yes=False, list=[], who={"npi": 2, "x": 7}),
    ]  # fmt: skip
    assert b'"dec":99999999999999999999.01' in found[1].operation()  # type: ignore[union-attr]
    assert b'"dec":1.10' in found[0].operation()  # type: ignore[union-attr]
    assert reported(found) == [(3, "$.from.id (column who.npi)", "is required")]


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (pa.array([dt.datetime(2020, 1, 1)]), "no time zone"),  # noqa: DTZ001
        (pa.array([[dt.datetime(2020, 1, 1)]]), "no time zone"),  # noqa: DTZ001
        (pa.array([dt.timedelta(1)]), "none that JSON has"),
        (pa.array([[(1, 1)]], pa.map_(pa.int8(), pa.int8())), "keys that are no text"),
    ],
)
async def test_types_that_a_record_cannot_carry_are_reported_at_once(
    values: object, reason: str, tmp_path: Path
) -> None:
    path = tmp_path / "table.parquet"
    pq.write_table(pa.table({"rel": ["p"], "x": values}), path)
    with pytest.raises(InputError, match=f"the column for data.x cannot be carried: .*{reason}"):
        await read_file(path, columns=ColumnMapping({"type": "rel", "data.x": "x"}))


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        (pa.array([float("nan")]), "a finite number"),
        (pa.array([float("-inf")], pa.float32()), "a finite number"),
        (pa.array([[1.0, float("nan")]]), "a finite number"),
        (pa.array([2**52], pa.timestamp("s", "UTC")), "the years 1 to 9999"),
        (pa.array([2**30], pa.int32()).cast(pa.date32()), "the years 1 to 9999"),
    ],
)
async def test_values_that_a_record_cannot_carry_are_reported_by_row(
    values: object, reason: str, tmp_path: Path
) -> None:
    path = tmp_path / "table.parquet"
    pq.write_table(pa.table({"rel": ["p"], "x": values}), path)
    ((line, place, rule),) = reported(
        await read_file(path, columns=ColumnMapping({"type": "rel", "data.x": "x"}))
    )
    assert (line, reason in rule) == (1, True)
    assert place.startswith("$.data.x")


async def test_columns_of_parquet_may_be_named_as_members(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    ids = [f"p-{number}" for number in range(3001)]
    pq.write_table(pa.table({"type": ["p"] * 3001, "id": ids, "data": [{"n": n} for n in range(3001)]}), path)
    found = await read_file(path)
    assert [each.line for each in found] == list(range(1, 3002))
    assert sent(found) == [{"type": "p", "id": id_, "data": {"n": n}} for n, id_ in enumerate(ids)]


@pytest.mark.parametrize("lost", [10, 2000])
async def test_parquet_that_is_cut_off_or_something_else_is_an_error(lost: int, tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    pq.write_table(pa.table({"type": [CANARY] * 1000}), path)
    path.write_bytes(path.read_bytes()[:-lost] or CANARY.encode())
    with pytest.raises(InputError, match="not Parquet") as caught:
        await read_file(path)
    assert CANARY not in str(caught.value)
    assert caught.value.__context__ is None


async def test_parquet_that_is_damaged_inside_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    pq.write_table(pa.table({"type": [f"{CANARY}{n}" for n in range(5000)]}), path, write_page_checksum=True)
    content = bytearray(path.read_bytes())
    content[100:2000] = b"\xff" * 1900
    path.write_bytes(content)
    with pytest.raises(InputError, match="damaged") as caught:
        await read_file(path, columns=ColumnMapping({"type": "type"}))
    assert CANARY not in str(caught.value)


COUNT = b"\x16\xe8\x07"
"""500 in the metadata of Parquet: of the file, of a column and of a group of rows."""


@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("count", [b"\x16\x81\x00", b"\x16\x80\x00"], ids=["-1", "0"])
@pytest.mark.parametrize("mapping", ["type==t", "type==t,data.v=v"])
async def test_parquet_whose_counts_differ_loses_no_rows_in_silence(
    place: int, count: bytes, mapping: str, tmp_path: Path
) -> None:
    path = tmp_path / "table.parquet"
    pq.write_table(pa.table({"v": [*range(500)]}), path)
    parts = path.read_bytes().split(COUNT)
    assert len(parts) == 4
    path.write_bytes(COUNT.join(parts[: place + 1]) + count + COUNT.join(parts[place + 1 :]))
    reading = ReadPosition()
    token = READ_POSITION.set(reading)
    try:
        found = await read_file(path, columns=ColumnMapping.parse(mapping))
    except InputError as error:
        assert "damaged" in str(error)  # noqa: PT017  or all of it is read
    else:
        assert len(found) == 500
    finally:
        READ_POSITION.reset(token)


def test_without_its_extra_it_says_how_to_install_it(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    pq.write_table(pa.table(TABLE), path)
    program = f"""
import asyncio, sys
sys.modules["pyarrow"] = None
from pathlib import Path
from typing import Any
from uuid import UUID
from clinia_async import InputError, read_records
async def main():
    async for each in read_records(Path({str(path)!r}), "s"): pass
try:
    asyncio.run(main())
except InputError as error:
    print(error, error.__context__)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "Parquet needs `pyarrow`: pip install 'clinia-async[parquet]' None\n"


@pytest.mark.parametrize(
    "row",
    [
        "treats,1,o," + "x," * 3_000_000,
        "treats,1,o," + '"x\n",' * 300_000,
        'treats,1,o,"' + "x\n" * 600_000 + '"',
        'treats,1,o,"' + "x" * 1_100_000 + '"',
    ],
)
async def test_a_row_that_is_too_large_costs_itself(row: str, sheet: Path) -> None:
    put(sheet, f"rel,npi,org,start\ntreats,1,o,\n{row}\ntreats,2,o,\ntreats,3,o,\n")
    found = await read_file(sheet, columns=MAPPING)
    assert reported(found) == [(3, "$", "the row is too large")]
    assert [each.line for each in found] == [2, 3, 4, 5]


async def test_a_large_cell_is_read(sheet: Path) -> None:
    put(sheet, "rel,npi,org,start\ntreats,1,o," + "x" * 140_000 + "\ntreats,2,o,\n")
    assert [each.line for each in await read_file(sheet, columns=MAPPING)] == [2, 3]


SIMPLE = ColumnMapping.parse("type==t,id=id,data.v=v")


def values(items: object) -> list[object]:
    return [each["data"].get("v") for each in sent(items)]  # type: ignore[index]


@pytest.mark.parametrize(
    ("content", "options"),
    [
        (b"id\tv\naa\t1\nbb\t2\n", {"delimiter": "tab"}),
        (b"id;v\r\naa;1\r\nbb;2", {"delimiter": ";"}),
        (b"id|v\n|aa||1|\n|bb||2|\n".replace(b"||", b"|,|").replace(b"id|v", b"id,v"), {"quote": "|"}),
        (b"id\rv".replace(b"\r", b",") + b"\raa,1\rbb,2\r", {}),
        ("id,v\naa,1\nbb,2".encode("utf-16"), {"encoding": "utf-16"}),
        ("id,v\r\naa,1\r\nbb,2".encode("utf-16-le"), {"encoding": "utf-16-le"}),
        (b"made by x\n\nid,v\naa,1\nbb,2\n", {"skip": 2}),
        (b"id,v\naa,1\nbb,2\ncc,3\n", {"limit": 2}),
    ],
)
async def test_tables_are_written_in_many_ways(content: bytes, options: dict[str, Any], sheet: Path) -> None:
    put(sheet, content)
    found = await read_file(sheet, columns=SIMPLE, table=TableOptions(**options))
    assert values(found) == ["1", "2"]


@pytest.mark.parametrize("mark", [";", "\t", "|", ","])
@pytest.mark.parametrize("quote", ["", '"'])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("given", [None, "same"])
async def test_a_first_line_may_name_the_delimiter(
    mark: str, quote: str, encoding: str, given: str | None, sheet: Path
) -> None:
    put(sheet, f"{quote}sep={mark}{quote}\r\nt{mark}i\r\nt{mark}aa\r\n".encode(encoding))
    table = TableOptions(encoding=encoding, delimiter=mark if given else None)
    (found,) = await read_file(sheet, columns=ColumnMapping.parse("type=t,id=i"), table=table)
    assert isinstance(found, Record)
    assert found.line == 3


@pytest.mark.parametrize("mark", ["\x01", "\x02", "\x1f", "\x1c", "\x07", "¦", "§"])
@pytest.mark.parametrize("rows", [1, 500])
async def test_cells_may_be_separated_by_any_character(mark: str, rows: int, sheet: Path) -> None:
    put(sheet, f"t{mark}i\n" + "".join(f"t{mark}a{n}\n" for n in range(rows)))
    table = TableOptions(delimiter=mark)
    found = await read_file(sheet, columns=ColumnMapping.parse("type=t,id=i"), table=table)
    assert [type(each) for each in found] == [Record] * rows


@pytest.mark.parametrize("limit", [None, 10])
async def test_the_header_once_more_is_no_record(limit: int | None, sheet: Path) -> None:
    """As files that were put together have it."""
    put(sheet, "type,id,data.v\nt,aa,1\ntype,id,data.v\nt,bb,2\n")
    found = await read_file(sheet, table=TableOptions(limit=limit))
    assert [type(each) for each in found] == [Record, BadRecord, Record]
    (bad,) = [each for each in found if isinstance(each, BadRecord)]
    assert (bad.line, bad.path, "once more" in bad.reason) == (3, "$", True)
    put(sheet, "1,2\n1,2\n")
    mapping = ColumnMapping({"type": "=t", "id": "=aa", "data.a": "1", "data.b": "2"})
    found = await read_file(sheet, columns=mapping, table=TableOptions(header=False))
    assert [type(each) for each in found] == [Record, Record]


@pytest.mark.parametrize("action", ["column", "option"])
async def test_rows_may_delete_resources(action: str, sheet: Path, tmp_path: Path) -> None:
    put(sheet, "a,i,v\nDELETE,aa,\nDELETE,bb,\n" + ("UPSERT,cc,1\n" if action == "column" else ""))
    pq.write_table(pcsv.read_csv(sheet), tmp_path / "x.parquet")
    mapping = {"type": "=t", "id": "i", "data.v:str": "v", **({"action": "a"} if action == "column" else {})}
    options = {} if action == "column" else {"action": "DELETE"}
    for path in (sheet, tmp_path / "x.parquet"):
        found = await read_file(path, columns=ColumnMapping(mapping), **options)
        made = [(each.action, each.key) for each in found if isinstance(each, Record)]
        wanted = [(Action.DELETE, "aa"), (Action.DELETE, "bb"), (Action.UPSERT, "cc")]
        assert [(action_, key and key[2]) for action_, key in made] == wanted[: len(found)]
        assert len(found) == (3 if action == "column" else 2)


async def test_a_table_may_have_no_header(sheet: Path) -> None:
    put(sheet, "aa,1\nbb,2\n")
    mapping = ColumnMapping.parse("type==t,id=1,data.v=2")
    found = await read_file(sheet, columns=mapping, table=TableOptions(header=False))
    assert (values(found), [each.line for each in found]) == (["1", "2"], [1, 2])


ENCODINGS = sorted({each.name for each in pkgutil.iter_modules(encodings.__path__)} - {"aliases"})
OTHER_BYTES = [
    b"",
    *("id,v\naa,é\n".encode(each) for each in ("utf-8", "latin-1", "utf-16", "utf-16-le", "utf-32")),
    bytes(range(1, 256)) * 3,
    b"\0" * 10,
    b"xn--\xff,\\u12,\\N{x},+AA-\n",
]


async def test_more_lines_are_passed_over_than_there_are(sheet: Path) -> None:
    put(sheet, "id,v\naa,1\n")
    with pytest.raises(InputError, match="the input is empty"):
        await read_file(sheet, columns=SIMPLE, table=TableOptions(skip=10**30))


@pytest.mark.filterwarnings("ignore::DeprecationWarning:")  # of `unicode_escape`
@pytest.mark.parametrize("encoding", ENCODINGS)
async def test_no_bytes_in_any_encoding_raise_an_error_of_its_codec(encoding: str, sheet: Path) -> None:
    """It quotes them, and does not say what to do."""
    try:
        table = TableOptions(encoding=encoding)
    except ConfigError:
        return
    for content in OTHER_BYTES:
        put(sheet, content)
        with suppress(InputError):
            await read_file(sheet, columns=SIMPLE, table=table)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-7"])
async def test_a_table_in_another_encoding_than_is_given_is_refused(encoding: str, sheet: Path) -> None:
    put(sheet, "id,v\naa,é1\n".encode("latin-1"))
    with pytest.raises(InputError, match=f"not in the encoding {encoding}: give the one that it is in"):
        await read_file(sheet, columns=SIMPLE, table=TableOptions(encoding=encoding))


async def test_other_encodings_are_read_and_what_is_not_in_them_is_bad(sheet: Path) -> None:
    put(sheet, "id,v\naa,é€\n".encode("cp1252") + b"bb,\x81\ncc,x\n")
    found = await read_file(sheet, columns=SIMPLE, table=TableOptions(encoding="cp1252"))
    assert values(found) == ["é€", "x"]
    assert [line for line, *_ in reported(found)] == [3]


async def test_quotes_may_mean_nothing(sheet: Path) -> None:
    put(sheet, 'id\tv\naa\tMill "B" Ward\nbb\t"x\n')
    found = await read_file(sheet, columns=SIMPLE, table=TableOptions(delimiter="tab", quote="none"))
    assert values(found) == ['Mill "B" Ward', '"x']


@pytest.mark.parametrize(
    ("cell", "number"),
    [
        ("1,5", "1.5"),
        ("-0,25", "-0.25"),
        ("7", "7"),
        ("1.234,5", "1234.5"),
        ("1.234.567", "1234567"),
        ("1.5", None),
        ("1,5,6", None),
        ("12.34,5", None),
        ("1 000,5", None),
    ],
)
async def test_numbers_may_have_a_decimal_comma(cell: str, number: str | None, sheet: Path) -> None:
    put(sheet, f"id;v\naa;{cell}\n")
    mapping = ColumnMapping.parse("type==t,id=id,data.v:float=v")
    found = await read_file(sheet, columns=mapping, table=TableOptions(delimiter=";", decimal=","))
    if number is None:
        assert "decimal comma" in reported(found)[0][2]
    else:
        assert isinstance(found[0], Record)
        assert b'"v":%b}' % number.encode() in found[0].payload()


@pytest.mark.parametrize(
    "options",
    [
        {"delimiter": ""},
        {"delimiter": ";;"},
        {"delimiter": "\n"},
        {"quote": "''"},
        {"encoding": "none-such"},
        {"encoding": "zlib"},
        {"skip": -1},
        {"limit": -1},
        {"decimal": ";"},
        {"timezone": "Nowhere/None"},
        {"timezone": "../../etc/passwd"},
    ],
)
def test_options_of_a_table_that_are_none_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(options))):
        TableOptions(**options)


async def test_a_missing_column_is_named_beside_those_that_are_there(sheet: Path) -> None:
    put(sheet, "ident,v\naa,1\n")
    with pytest.raises(InputError, match="no column for id: it must have 'id', and there are 'ident', 'v'"):
        await read_file(sheet, columns=SIMPLE)
    put(sheet, "id\tv\naa\t1\n")
    with pytest.raises(InputError, match="--delimiter tab"):
        await read_file(sheet, columns=SIMPLE)


MANY = {
    "binary": (pa.array([b"abc", "é".encode(), None]), ["abc", "é", None]),
    "fixed": (pa.array([b"abc"], pa.binary(3)), ["abc"]),
    "map": (pa.array([[("a", 1), ("b", None)], []], pa.map_(pa.string(), pa.int8())), [{"a": 1}, {}]),
    "decimals": (pa.array([[Decimal("1.10")]], pa.list_(pa.decimal128(9, 2))), [[1.1]]),
    "moments": (pa.array([[0, None]], pa.list_(pa.timestamp("ms", "UTC"))), [["1970-01-01T00:00:00Z", None]]),
    "inner": (
        pa.array([{"at": 1, "on": dt.date(2020, 1, 1)}], pa.struct([("at", pa.timestamp("ns", "UTC")), ("on", pa.date64())])),
        [{"at": "1970-01-01T00:00:00.000000001Z", "on": "2020-01-01"}],
    ),
    "times": (pa.array([dt.time(1, 2, 3), dt.time(1, 2, 3, 400)]), ["01:02:03", "01:02:03.0004"]),
    "dictionary": (pa.array([dt.date(2020, 1, 1)] * 2).dictionary_encode(), ["2020-01-01"] * 2),
    "texts": (pa.array([["a"]]), [["a"]]),
    "large": (pa.array(["a"], pa.large_string()), ["a"]),
    "halves": (pa.array([1.5], pa.float16()), [1.5]),
    "null": (pa.nulls(2), [None, None]),
}  # fmt: skip


@pytest.mark.parametrize("name", MANY)
async def test_values_of_all_usual_types_are_carried(name: str, tmp_path: Path) -> None:
    column, wanted = MANY[name]
    path = tmp_path / "table.parquet"
    pq.write_table(pa.table({"id": [f"id-{n}" for n in range(len(column))], "v": column}), path)
    found = await read_file(path, columns=SIMPLE)
    assert reported(found) == []
    assert values(found) == wanted


@pytest.mark.parametrize(
    ("values_", "text"),
    [
        (pa.array([dt.datetime(1998, 4, 9, 12, 30, 15)]), "1998-04-09T12:30:15"),  # noqa: DTZ001
        (pa.array([0], pa.timestamp("s", "UTC")), "1970-01-01T00:00:00Z"),
        (pa.array([1.5]), "1.5"),
        (pa.array([True]), "true"),
        (pa.array([Decimal("1.10")]), "1.10"),
        (pa.array([dt.date(2020, 1, 1)]), "2020-01-01"),
        (pa.array([b"x"]), "x"),
        (pa.array([2**64 - 1], pa.uint64()), "18446744073709551615"),
    ],
)
async def test_str_reads_anything_that_has_a_text(values_: object, text: str, tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    pq.write_table(pa.table({"id": ["aa"], "v": values_}), path)
    mapping = ColumnMapping.parse("type==t,id=id,data.v:str=v")
    assert values(await read_file(path, columns=mapping)) == [text]


FAR = dt.datetime(9999, 12, 31, 23, 59, 59, 999999)  # noqa: DTZ001
EARLY = dt.datetime(1, 1, 1, 0, 0, 0, 1)  # noqa: DTZ001
NEAR = pa.scalar(-1, pa.timestamp("ns"))  # the last nanosecond of 1969
INT96 = {
    "far": (
        pa.array([FAR, EARLY, None]),
        ["9999-12-31T23:59:59.999999Z", "0001-01-01T00:00:00.000001Z", None],
    ),
    "near": (pa.array([NEAR, None]), ["1969-12-31T23:59:59.999999999Z", None]),
    "lists": (pa.array([[FAR, None], [], None]), [["9999-12-31T23:59:59.999999Z", None], [], None]),
    "structs": (
        pa.array([{"at": EARLY, "n": 7}, None, {"at": None, "n": 8}]),
        [{"at": "0001-01-01T00:00:00.000001Z", "n": 7}, None, {"n": 8}],
    ),
    "maps": (
        pa.array([[("a", FAR), ("b", None)], []], pa.map_(pa.string(), pa.timestamp("us"))),
        [{"a": "9999-12-31T23:59:59.999999Z"}, {}],
    ),
}


@pytest.mark.parametrize("rows", [1, 700])
@pytest.mark.parametrize("kind", INT96)
async def test_moments_of_int96_are_exact_in_every_year(kind: str, rows: int, tmp_path: Path) -> None:
    column, wanted = INT96[kind]
    path = tmp_path / "table.parquet"
    table = pa.concat_tables([pa.table({"v": column})] * rows)
    pq.write_table(table, path, use_deprecated_int96_timestamps=True, row_group_size=900)
    mapping = ColumnMapping.parse("type==t,data.v=v")
    found = await read_file(path, columns=mapping, table=TableOptions(timezone="UTC"))
    assert reported(found) == []
    assert values(found) == wanted * rows


async def test_naive_timestamps_are_in_the_time_zone_that_is_said(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    moments = pa.array([dt.datetime(2020, 7, 1, 12), dt.datetime(2020, 1, 1, 12, 0, 0, 5)])  # noqa: DTZ001
    pq.write_table(pa.table({"id": ["aa", "bb"], "v": moments}), path)
    found = await read_file(path, columns=SIMPLE, table=TableOptions(timezone="Europe/Paris"))
    assert values(found) == ["2020-07-01T10:00:00Z", "2020-01-01T11:00:00.000005Z"]


async def test_skip_and_limit_hold_for_parquet_too(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    pq.write_table(pa.table({"id": [f"id-{n}" for n in range(2000)], "v": [*range(2000)]}), path)
    found = await read_file(path, columns=SIMPLE, table=TableOptions(skip=700, limit=900))
    assert values(found) == [*range(700, 1600)]
    assert [each.line for each in found] == [*range(701, 1601)]


async def test_a_bad_text_costs_its_row(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    column = pa.array([b"fine", b"\xff"]).view(pa.string())
    pq.write_table(pa.table({"id": ["aa", "bb"], "v": column}), path)
    found = await read_file(path, columns=SIMPLE)
    assert (values(found), reported(found)) == (
        ["fine"],
        [(2, "$.data.v (column v)", "must be text in UTF-8")],
    )


WHOLE = "type==t,id=id,data.first={},data.s=s,data.in.i:int=i,data.in.f:float=f,data.b:bool=b,data.j:json=j,data.n=n,data.e=e"
CELLS = {
    "s": ["x", 'a "b", % \\ é\n', "", "%b%%s"],
    "i": ["0", "-12", "", "9" * 40],
    "f": ["1.50", "-1e5", "", "3"],
    "b": ["true", "", "false", "TRUE"],
    "j": ['{"a":\n[1, 2]}', "", '"x,y"', "[]"],
    "n": ["", "1,2", '","', ""],
    "e": ['x",', ",", '",', ',"', "\\", '\\",'],
}


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("first", ["id", "s"], ids=["present", "absent"])
@pytest.mark.parametrize("has_id", [True, False])
async def test_a_row_is_read_alike_alone_and_among_others(
    seed: int, first: str, has_id: bool, sheet: Path
) -> None:
    chance = random.Random(seed)
    kinds = {name: chance.sample(cells, chance.randint(1, 4)) for name, cells in CELLS.items()}
    rows = [[f"id-{n}", *(chance.choice(cells) for cells in kinds.values())] for n in range(12)]
    whole = WHOLE if has_id else WHOLE.replace(",id=id", "")
    mapping = ColumnMapping.parse(f"{whole.format(first)},data.p==50%,data.c:int==7")

    async def read(chosen: list[list[str]]) -> list[object]:
        with sheet.open("w", newline="") as file:
            csv.writer(file).writerows([["id", *kinds], *chosen])
        found = await read_file(sheet, columns=mapping, format="csv")
        for each in found:
            assert isinstance(each, Record)
            strict = LineReader(Rules(SOURCE)).read_strictly(each.line, each.payload())
            assert isinstance(strict, Record)
            assert (each.key, each.retry_safety) == (strict.key, strict.retry_safety)
            assert each.write == strict.write
        return sent(found)

    alone = [value for row in rows for value in await read([row])]
    assert await read(rows) == alone
    assert len(alone) == len(rows)


@pytest.mark.parametrize("store_schema", [True, False])
async def test_uuids_of_parquet_are_their_text(store_schema: bool, tmp_path: Path) -> None:
    path, id_ = tmp_path / "x.parquet", UUID("7f345678-1234-5678-1234-567812345678")
    table = pa.table({"id": pa.array([id_.bytes], pa.uuid()), "v": pa.array([id_.bytes], pa.uuid())})
    pq.write_table(table, path, store_schema=store_schema)
    found = await read_file(path, columns=ColumnMapping.parse("type==t,id=id,data.v=v"))
    assert sent(found) == [{"type": "t", "id": str(id_), "data": {"v": str(id_)}}]


def in_container(kind: str, values_: pa.Array) -> pa.Array:
    """Return a row for all of the values, or for the first."""
    match kind:
        case "list":
            return pa.ListArray.from_arrays(pa.array([0, len(values_)]), values_)
        case "struct":
            return pa.StructArray.from_arrays([values_[:1]], ["a"])
        case "map":
            keys = pa.array(["a", "b"][: len(values_)])
            return pa.MapArray.from_arrays(pa.array([0, len(values_)]), keys, values_)
    return pa.DictionaryArray.from_arrays(pa.array([0], pa.int8()), values_)


@pytest.mark.parametrize(
    ("kind", "make"),
    [
        ("list", lambda one, other: [one, other]),
        ("struct", lambda one, _: {"a": one}),
        ("map", lambda one, other: {"a": one, "b": other}),
        ("dictionary", lambda one, _: one),
    ],
)
@pytest.mark.parametrize("extension", ["uuid", "bool8", "json_"])
async def test_extension_types_are_read_wherever_they_stand(kind: str, make: Any, extension: str) -> None:
    stored_as, texts = {
        "uuid": (
            pa.array([UUID(int=5).bytes, UUID(int=6).bytes], pa.binary(16)),
            [str(UUID(int=5)), str(UUID(int=6))],
        ),
        "bool8": (pa.array([1, 0], pa.int8()), [True, False]),
        "json_": (pa.array(["1", "{}"]), ["1", "{}"]),
    }[extension]
    array = in_container(kind, pa.ExtensionArray.from_storage(getattr(pa, extension)(), stored_as))
    table = pa.table({"id": ["aa"], "v": array})
    found = [
        each async for each in rows(table, SOURCE, columns=ColumnMapping.parse("type==t,id=id,data.v=v"))
    ]
    (made,) = sent(found)
    assert made["data"]["v"] == make(*texts)  # type: ignore[index]


async def test_a_record_stands_on_one_line_whatever_its_cells_hold(sheet: Path) -> None:
    mapping = ColumnMapping.parse("type==t,id=id,data.j:json=j")
    for cell in ('"{""a"":\n\r\n1}"', '"[""\\u00e9"",\n1.10]"'):
        put(sheet, f"id,j\naa,{cell}\nbb,{cell}\n")
        found = await read_file(sheet, columns=mapping, format="csv")
        assert [isinstance(each, Record) and b"\n" not in each.payload() for each in found] == [True, True]


async def test_columns_of_parquet_with_and_without_nulls_are_read_alike(tmp_path: Path) -> None:
    mapping = ColumnMapping.parse("type==t,id=id,data.n=n,data.f=f,data.l=l,data.z=z")
    columns = {
        "id": ["aa", "bb", "cc"],
        "n": [1, None, 3],
        "f": [None, 0.5, 2.0],
        "l": [[1, None], None, []],
        "z": pa.nulls(3),
    }
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table(columns), path)
    assert [value["data"] for value in sent(await read_file(path, columns=mapping))] == [  # type: ignore[index]
        {"n": 1, "l": [1, None]},
        {"f": 0.5},
        {"n": 3, "f": 2.0, "l": []},
    ]


@pytest.mark.parametrize(
    "type_", [pa.string(), pa.struct([("inner", pa.int8())]), pa.list_(pa.struct([("inner", pa.int8())]))]
)
async def test_parquet_whose_names_are_no_text_is_damaged(type_: pa.DataType, tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"id": ["aa"], "outer": pa.nulls(1, type_)}), path, store_schema=False)
    name = b"outer" if type_ == pa.string() else b"inner"
    path.write_bytes(path.read_bytes().replace(name, name[:-1] + b"\xa5"))
    for columns in (ColumnMapping.parse("type==t,id=id,data.v=outer"), None):
        with pytest.raises(InputError) as caught:
            await read_file(path, columns=columns)
        assert caught.value.__context__ is None


PLAIN = ColumnMapping.parse("type==t,id=id,data.v=v")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
async def test_a_byte_order_mark_is_no_part_of_the_first_name(mark: str, encoding: str, sheet: Path) -> None:
    put(sheet, f'{mark}"id",v\r\nid-1,é\ufeff\r\n'.encode(encoding))
    found = await read_file(sheet, columns=PLAIN, table=TableOptions(encoding=encoding))
    assert sent(found) == [{"type": "t", "id": "id-1", "data": {"v": "é\ufeff"}}]


@pytest.mark.parametrize(
    "rows",
    ["id-1,é\nid-2,b\n", "\n\nid-1,é\nid-2,b\n", ",\nid-1,é\nid-2,b", "\r\n\r\nid-1,é\r\nid-2,b\r\n"],
)
async def test_without_a_header_a_bad_or_blank_first_row_costs_itself(rows: str, sheet: Path) -> None:
    put(sheet, rows.encode("latin-1"))
    mapping = ColumnMapping.parse("type==t,id=1,data.v=2")
    found = await read_file(sheet, columns=mapping, table=TableOptions(header=False))
    assert sent(found) == [{"type": "t", "id": "id-2", "data": {"v": "b"}}]
    assert [each.line for each in found] == [*range(1, len(rows.splitlines()) + 1)]
    assert [reason for *_, reason in reported(found)] == ["expected UTF-8"]


async def test_the_encoding_that_is_not_kept_is_named(sheet: Path) -> None:
    put(sheet, b"id,v\nid-1,\x81\n")
    found = await read_file(sheet, columns=PLAIN, table=TableOptions(encoding="cp1252"))
    assert reported(found) == [(2, "$", "expected CP1252; try another --encoding, or none for UTF-8")]


@pytest.mark.parametrize("content", ["\nid,v\nid-1,b\n", "\n\n", ",\nid-1,b\n"])
async def test_an_empty_row_names_no_columns(content: str, sheet: Path) -> None:
    put(sheet, content)
    with pytest.raises(InputError, match=r"is empty.*--skip"):
        await read_file(sheet, columns=PLAIN)


async def test_a_long_line_is_passed_over_as_one(sheet: Path) -> None:
    put(sheet, "x" * 3_000_000 + "\ntitle\nid,v\nid-1,b\n")
    found = await read_file(sheet, columns=PLAIN, table=TableOptions(skip=2))
    assert [(type(each), each.line) for each in found] == [(Record, 4)]


@pytest.mark.parametrize(
    ("name", "mark"),
    [
        ("a.tsv", "\t"),
        ("A.TSV.GZ", "\t"),
        ("a.tsv.csv", ","),
        ("a.tsvs.csv", ","),
        ("a.zip:in/b.tsv", "\t"),
        ("a.tsv.zip:b.csv", "\t"),
        ("a.zip:b.tsv.csv", ","),
    ],
)
async def test_tabs_are_known_by_the_end_of_a_name(name: str, mark: str, tmp_path: Path) -> None:
    outer, _, inner = name.partition(":")
    content = f"id{mark}v\nid-1{mark}b\n".encode()
    path = tmp_path / outer
    if inner:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr(inner, content)
    else:
        path.write_bytes(gzip.compress(content) if outer.endswith("GZ") else content)
    assert sent(await read_file(path, columns=PLAIN)) == [{"type": "t", "id": "id-1", "data": {"v": "b"}}]


@pytest.mark.parametrize("options", [{"quote": ","}, {"quote": "|", "delimiter": "pipe"}])
def test_the_delimiter_is_no_quotation_mark(options: dict[str, str]) -> None:
    with pytest.raises(ConfigError, match="another character than the delimiter"):
        TableOptions(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n", "\t", "\0"])
async def test_a_line_end_in_a_string_is_no_json(end: str, sheet: Path) -> None:
    put(sheet, f'id,v\nid-1,"""a{end}b"""\nid-2,"[1,\n2]"\n'.encode())
    mapping = ColumnMapping.parse("type==t,id=id,data.v:json=v")
    found = await read_file(sheet, columns=mapping)
    assert [(line, reason) for line, _, reason in reported(found)] == [(2, "must be JSON")]
    assert sent(found) == [{"type": "t", "id": "id-2", "data": {"v": [1, 2]}}]


@pytest.mark.parametrize(
    ("columns", "name"),
    [
        ({"a.b": ["x"]}, "a.b"),
        ({"a.b": [{"c": "x"}]}, "a.b.c"),
        ({"a": [{"b.c": "x"}]}, "a.b.c"),
        ({"a": [{"b": {"c.d": "x"}}]}, "a.b.c.d"),
        ({"a.b": [{"c.d": {"e": "x"}}]}, "a.b.c.d.e"),
        ({"a.b": ["x"], "a": [{"b": "y"}]}, "a.b"),
        ({"a.": [{".b": "x"}]}, "a...b"),
    ],
)
async def test_columns_of_parquet_may_have_dots_in_their_names(
    columns: dict[str, list[Any]], name: str, tmp_path: Path
) -> None:
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"id": ["id-1"], **columns}), path)
    mapping = ColumnMapping.parse(f"type==t,id=id,data.v={name}")
    assert sent(await read_file(path, columns=mapping)) == [{"type": "t", "id": "id-1", "data": {"v": "x"}}]


async def test_a_name_that_may_mean_two_columns_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    pq.write_table(pa.table({"id": ["id-1"], "a.b": [{"c": "x"}], "a": [{"b.c": "y"}]}), path)
    with pytest.raises(InputError, match=r"more than one column for data\.v"):
        await read_file(path, columns=ColumnMapping.parse("type==t,id=id,data.v=a.b.c"))


async def test_integers_beyond_every_double_are_kept_in_the_write_too(sheet: Path) -> None:
    """A write is made of a record where it is sent alone, or met a record that exists."""
    digits = "1" * 400
    put(sheet, f"from,to,n\na,b,{digits}\nc,d,-{digits}\ne,f,5\n")
    mapping = ColumnMapping.parse(
        "type==t,from.id=from,from.type==p,to.id=to,to.type==o,data.n:int=n,data.m:json=n"
    )
    found = await read_file(sheet, columns=mapping)
    for record, number in zip(found, (int(digits), -int(digits), 5), strict=True):
        assert isinstance(record, Record)
        assert record.write is not None
        assert json.loads(record.write.operation())["create"]["data"] == {"n": number, "m": number}
