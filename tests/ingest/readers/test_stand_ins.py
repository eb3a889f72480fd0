"""Tables of programs that write something in place of a value, an id or a record: nothing of it lands."""

import datetime as dt
import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from clinia_async import ColumnMapping, InputError, Record, TableOptions, read_records
from tests.ingest.reading import Item, read_file, reported
from tests.ingest.running import SOURCE

NOTES = ColumnMapping.parse("type==note,id=id,data.v=v")
STAYS = ColumnMapping.parse("type==lies-in,from.id=id,from.type==patient,to.id=to,to.type==ward,data.v=v")


def put(path: Path, content: str | bytes) -> None:
    path.write_bytes(content.encode() if isinstance(content, str) else content)


async def read(path: Path, text: str | bytes, columns: ColumnMapping = NOTES, **options: Any) -> list[Item]:
    put(path, text)
    return [*await read_file(path, columns=columns, table=TableOptions(**options))]


def ids(found: list[Item]) -> list[str | None]:
    return [each.write.id for each in found if isinstance(each, Record)]


@pytest.fixture
def sheet(tmp_path: Path) -> Path:
    return tmp_path / "sheet.csv"


@pytest.mark.parametrize(
    "text",
    [
        "NULL", "null", "(null)", "[NULL]", "<NULL>", "<null>", "NaN", "nan", "NaT", "<NA>", "#N/A", "#NULL!",
        "#REF!", "#VALUE!", "#DIV/0!", "#NAME?", "#NUM!", "\\N",
    ],
)  # fmt: skip
@pytest.mark.parametrize("count", [1, 300])
async def test_a_text_for_no_value_is_no_value(text: str, count: int, sheet: Path) -> None:
    rows = "".join(f"r-{number},{text}\nq-{number},x\n" for number in range(count))
    found = await read(sheet, f"id,v\n{rows}")
    assert [line for line, *_ in reported(found)] == [*range(2, 2 + 2 * count, 2)]
    (reason,) = {reason for _, _, reason in reported(found)}
    assert f"give --null '{text}'" in reason
    found = await read(sheet, f"id,v\n{rows}", null=text)
    assert [b'"v"' in each.payload() for each in found if isinstance(each, Record)] == [False, True] * count
    found = await read(sheet, f"id,v\n{rows}", null="none", escape="none")
    assert len(ids(found)) == 2 * count
    end = await read(sheet, f"id,to,v\np-1,{text},x\np-1,w-1,x\n", STAYS)
    assert ids(end) == ["p-1.w-1"]


@pytest.mark.parametrize("text", ["Null", "None", "none", "NA", "N/A", "NULL ", "nullable", "Nan", "."])
async def test_what_may_be_meant_is_a_value(text: str, sheet: Path) -> None:
    assert ids(await read(sheet, f"id,v\nr-1,{text}\n")) == ["r-1"]


async def test_null_is_a_document(sheet: Path) -> None:
    found = await read(sheet, "id,v\nr-1,null\n", ColumnMapping.parse("type==note,id=id,data.v:json=v"))
    assert isinstance(found[0], Record)
    assert b'"v":null' in found[0].payload()


async def test_an_empty_text_of_bcp_is_empty(sheet: Path) -> None:
    text = "id\tv\r\nr-1\t\0\r\nr-2\tx\r\n"
    found = await read(sheet, text, delimiter="tab", quote="none")
    assert [b'"v"' in each.payload() for each in found if isinstance(each, Record)] == [False, True]


@pytest.mark.parametrize("rows", [1, 2000])
async def test_a_line_under_the_header_is_no_record(rows: int, sheet: Path) -> None:
    """`sqlcmd` draws one."""
    records = "".join(f"r-{number},x\n" for number in range(rows))
    found = await read(sheet, f"id,v\n---,--\n{records}")
    assert reported(found) == [(2, "$", "must be a record, and is a line under the names of the columns")]
    assert len(ids(found)) == rows
    found = await read(sheet, f"id,v\n{records}--,--\n")
    assert len(ids(found)) == rows + 1
    found = await read(sheet, f"id,v\n{records}--,--\nr-x\n--,--\nid,v\n--,--\nid,v\n--,--\nq-1,x\n")
    assert [line - rows for line, *_ in reported(found)] == [3, 5, 6, 7, 8]
    assert len(ids(found)) == rows + 3
    found = await read(sheet, "--,x\n", ColumnMapping.parse("type==note,id=1,data.v=2"), header=False)
    assert ids(found) == ["--"]


ID_COLUMN = [
    " p-1",
    "p-1 ",
    "p-1\u00a0",
    "p-1\t",
    "1E+11",
    "1,23E+11",
    '="0012"',
    "'p-1'",
    '"p-1"',
    "“p-1”",
    "„p-1“",
]


@pytest.mark.parametrize("id_", ID_COLUMN)
@pytest.mark.parametrize("place", ["from", "to"])
async def test_an_id_that_a_program_has_changed_is_none(id_: str, place: str, sheet: Path) -> None:
    ends = f"{id_};w-1" if place == "from" else f"p-2;{id_}"
    found = await read(sheet, f"id;to;v\n{ends};x\np-3;w-3;x\n", STAYS, delimiter=";", quote="none")
    ((line, path, reason),) = reported(found)
    assert (line, path.startswith(f"$.{place}.id"), id_ not in reason) == (2, True, True)
    assert ids(found) == ["p-3.w-3"]
    parquet = sheet.with_suffix(".parquet")
    pq.write_table(
        pa.table({"id": [ends.split(";", maxsplit=1)[0]], "to": [ends.split(";")[1]], "v": ["x"]}), parquet
    )
    assert len(reported(await read_file(parquet, columns=STAYS))) == 1


@pytest.mark.parametrize("id_", ["1E11", "E+11", "A1E+11", "a=b", "p 1", '"="', "O'Brien", "'tis", "'"])
async def test_other_ids_are_what_they_were(id_: str, sheet: Path) -> None:
    assert len(ids(await read(sheet, f"id;to;v\n{id_};w-1;x\n", STAYS, delimiter=";"))) == 1


async def test_ids_of_other_types_are_read(sheet: Path) -> None:
    parquet = sheet.with_suffix(".parquet")
    pq.write_table(pa.table({"id": ["p-1"], "to": ["w-1"], "v": [dt.date(2020, 1, 1)]}), parquet)
    assert ids([*await read_file(parquet, columns=STAYS)]) == ["p-1.w-1"]


@pytest.mark.parametrize("row", ['r-1, "x"', 'r-1,  "x"', ' "r-1",x', 'r-1, "x, y"', 'r-1, "x'])
async def test_a_quotation_mark_behind_a_space_is_out_of_place(row: str, sheet: Path) -> None:
    found = await read(sheet, f"id,v\nr-0,x\n{row}\nr-2,y\n")
    assert [line for line, *_ in reported(found)] == [3]
    assert ids(found) == ["r-0", "r-2"]


async def test_spaces_and_quotation_marks_that_are_in_their_place_stay(sheet: Path) -> None:
    found = await read(sheet, 'id,v\nr-1," ""x"""\nr-2,"a, ""b"""\nr-3, x\nr-4,a "b"\n')
    assert ids(found) == ["r-1", "r-2", "r-3", "r-4"]
    values = [each.payload().partition(b'"v":')[2] for each in found if isinstance(each, Record)]
    assert values == [b'" \\"x\\""}}', b'"a, \\"b\\""}}', b'" x"}}', b'"a \\"b\\""}}']


async def test_a_table_without_quotation_marks_says_so_where_they_take_rows(sheet: Path) -> None:
    """As the vocabularies of OMOP are."""
    text = 'id\tv\tw\nr-1\t"foo\tx\nr-2\tbar"\ty\nr-3\tz\tz\n'
    found = await read(sheet, text, delimiter="tab")
    ((line, _, reason),) = reported(found)
    assert (line, "--quote none" in reason, ids(found)) == (2, True, ["r-3"])
    assert ids(await read(sheet, text, delimiter="tab", quote="none")) == ["r-1", "r-2", "r-3"]
    found = await read(sheet, 'id\tv\tw\nr-1\t"one\ntwo\tand"\tz\n', delimiter="tab")
    assert ids(found) == ["r-1"], "a cell of two lines"
    assert ids(await read(sheet, 'id,v,w\nr-1,"one,x\nr-2,two",z\n')) == ["r-1"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
async def test_files_that_were_put_together_have_marks_and_headers_in_them(
    encoding: str, sheet: Path
) -> None:
    pieces = [f"v,id\r\n{name},r-{name}\r\n".encode(encoding) for name in ("a", "b")]
    if encoding == "utf-8":
        pieces = [b"\xef\xbb\xbf" + piece for piece in pieces]
    put(sheet, b"".join(pieces))
    found = [*await read_file(sheet, columns=NOTES, table=TableOptions(encoding=encoding))]
    assert [line for line, *_ in reported(found)] == [3]
    assert ids(found) == ["r-a", "r-b"]
    put(sheet, 'x,r-1\n\ufeff"a, b",r-2\n'.encode())
    mapping = ColumnMapping.parse("type==note,id=2,data.v=1")
    found = [*await read_file(sheet, columns=mapping, table=TableOptions(header=False))]
    values = [each.payload().partition(b'"v":')[2] for each in found if isinstance(each, Record)]
    assert values == [b'"x"}}', b'"a, b"}}']


@pytest.mark.parametrize("rows", [1, 3000])
async def test_columns_in_another_order_end_the_reading(rows: int, sheet: Path) -> None:
    text = io.StringIO()
    text.write("id,v,w\n")
    text.writelines(f"r-{number},a,b\n" for number in range(rows))
    text.write("id,w,v\nq-1,b,a\n")
    put(sheet, text.getvalue())
    found: list[Item] = []

    async def run(**options: Any) -> None:
        async for each in read_records(sheet, SOURCE, columns=NOTES, table=TableOptions(**options)):
            found.append(each)  # noqa: PERF401  what came before the error counts

    with pytest.raises(InputError, match=rf"row {rows + 2} names the columns in another order"):
        await run()
    assert ids(found) == [f"r-{number}" for number in range(rows)]
    found.clear()
    await run(limit=rows)
    assert len(ids(found)) == rows


WORDS = ["Zoë", "François", "é", "Ångström", "naïve – “x”", "50 €"]


@pytest.mark.parametrize("encoding", ["cp1252", "latin-1", "iso8859-15", "cp850", "mac_roman"])
@pytest.mark.parametrize("count", [1, 3000])
async def test_a_file_of_utf8_is_of_no_other_encoding(encoding: str, count: int, sheet: Path) -> None:
    """Each of its bytes is a character there, and a wrong one."""
    rows = "".join(f"r-{number},x\n" for number in range(count))
    text = f"id,v\n{rows}" + "".join(f"q-{number},{word}\n" for number, word in enumerate(WORDS))
    found = await read(sheet, text, encoding=encoding)
    assert [line for line, *_ in reported(found)] == [*range(2 + count, 2 + count + len(WORDS))]
    assert {reason for _, _, reason in reported(found)} == {
        f"expected {encoding.upper()}; try another --encoding, or none for UTF-8"
    }
    assert len(ids(found)) == count


async def test_punctuation_of_windows_is_no_control(sheet: Path) -> None:
    content = "id,v\nr-1,“x”\nr-2,é\nr-3,50 €\n".encode("cp1252")
    found = await read(sheet, content, encoding="latin-1")
    assert ([line for line, *_ in reported(found)], ids(found)) == ([2, 4], ["r-2"])
    found = await read(sheet, content, encoding="cp1252")
    assert ids(found) == ["r-1", "r-2", "r-3"]


@pytest.mark.parametrize(
    "encoding", ["cp1252", "latin-1", "cp1251", "koi8-r", "cp1253", "cp874", "shift_jis", "gbk"]
)
async def test_words_in_other_encodings_are_text(encoding: str, sheet: Path) -> None:
    words = {
        "cp1251": ["ёлка", "Рёв моря", "№ 5"], "koi8-r": ["ёлка", "Рёв моря"], "cp1253": ["Ελλάδα", "Ήλιος"],
        "cp874": ["เกม", "ประเทศไทย"], "shift_jis": ["日本", "カナ"], "gbk": ["联通", "中国"],
    }.get(encoding, ["Zoë", "École", "ÉÀÜ", "Ã O", "30 °C"])  # fmt: skip
    content = "id,v\n" + "".join(f"r-{number},{word}\n" for number, word in enumerate(words))
    found = await read(sheet, content.encode(encoding), encoding=encoding)
    values = [json.loads(each.payload())["data"]["v"] for each in found if isinstance(each, Record)]
    assert values == words
