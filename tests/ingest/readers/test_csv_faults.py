"""A row of CSV with a mark or a carriage return out of place costs itself, and what it takes is said."""

import asyncio
import csv
import io
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clinia_async import (
    ColumnMapping,
    DeadLetters,
    Disposition,
    InputError,
    Record,
    RecordOutcome,
    TableOptions,
)
from clinia_async.ingest.readers.csv_marks import Marks
from clinia_async.ingest.readers.csv_rows import RowParser
from clinia_async.ingest.readers.files import read_records
from clinia_async.ingest.records.record import BadRecord
from tests.ingest.reading import Item, read_file, reported
from tests.ingest.running import SOURCE

MAPPING = ColumnMapping.parse("type==t,id=id,data.v=v,data.w=w")
HEAD = "id,v,w\n"
BY_MARK = "is no CSV: a quotation mark is out of place or left open"
BY_RETURN = "is no CSV: a carriage return stands in a cell without quotation marks"


def put(path: Path, text: str) -> None:
    path.write_bytes(text.encode())


async def read(path: Path, text: str, **options: object) -> list[Item]:
    put(path, text)
    return list(await read_file(path, columns=MAPPING, table=TableOptions(**options)))  # type: ignore[arg-type]


def ids(found: list[Item]) -> list[str | None]:
    return [each.write.id for each in found if isinstance(each, Record)]


@pytest.fixture
def sheet(tmp_path: Path) -> Path:
    return tmp_path / "sheet.csv"


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("xx,a\rb,c", BY_RETURN),
        ("xx,\r,c", BY_RETURN),
        ('xx,"a"b,c', BY_MARK),
        ('xx,"6" pipe",c', BY_MARK),
        ('xx,"he said "hi" there",c', BY_MARK),
        ('xx,"a" ,c', BY_MARK),
        ('"xx"y,a,c', BY_MARK),
        ('xx,"a,c', BY_MARK),
        ('xx,a,"c', BY_MARK),
        ('xx,"a,"c"', BY_MARK),
        ('xx,"a""b,c', BY_MARK),
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("is_quoted", [False, True])
async def test_a_bad_row_costs_itself(row: str, reason: str, end: str, is_quoted: bool, sheet: Path) -> None:
    good = '"{0}","a ""b"", c","1"' if is_quoted else "{0},b,1"
    rows = ["id,v,w", good.format("aa"), row, good.format("cc"), good.format("dd")]
    found = await read(sheet, end.join([*rows, ""]))
    assert reported(found) == [(3, "$", reason)]
    assert ids(found) == ["aa", "cc", "dd"]
    assert [each.line for each in found] == [2, 3, 4, 5]


async def test_what_a_mark_takes_with_it_is_said(sheet: Path) -> None:
    found = await read(sheet, HEAD + 'aa,"open\nmore text\nand "more\nto,an end",x\nbb,1,2\n')
    assert reported(found) == [(2, "$", f"{BY_MARK}; it goes over 4 lines")]
    assert ids(found) == ["bb"]
    found = await read(sheet, HEAD + 'aa,"open\nmore\nto an end"\nbb,1,2\n')
    assert reported(found) == [(2, "$", "must have as many cells as the header: 3; it goes over 3 lines")]
    assert ids(found) == ["bb"]


@pytest.mark.parametrize("rest", ["text\n", "text\n" * 2000, "x" * 70_000 + "\n"])
async def test_a_mark_that_is_never_closed_ends_the_reading(rest: str, sheet: Path) -> None:
    put(sheet, HEAD + 'aa,1,2\nbb,"open,2\n' + rest)
    found = []

    async def read_all() -> None:
        async for each in read_records(sheet, SOURCE, columns=MAPPING):
            found.append(each)  # noqa: PERF401  what came before the error counts

    with pytest.raises(InputError, match=f"row 3 {BY_MARK}") as caught:
        await read_all()
    assert ids(found) == ["aa"]
    assert caught.value.__context__ is None


async def test_a_mark_that_would_take_a_large_file_costs_its_row(sheet: Path) -> None:
    rows = [f"id-{n},{'x' * 50},{n}" for n in range(20_000)]
    found = await read(sheet, HEAD + "\n".join(['aa,"open,2', *rows, ""]))
    assert [place for place, *_ in reported(found)] == [2]
    assert len(ids(found)) == 20_000


async def test_a_table_of_faults_is_not_searched_for_ever(sheet: Path) -> None:
    with pytest.raises(
        InputError, match=r"row \d+: too many rows are no CSV: see --quote, --escape and --delimiter"
    ):
        await read(sheet, HEAD + 'aa,bb,"x\n' * 300_001)


async def test_dead_letters_of_bad_rows_stay_bad_until_they_are_mended(sheet: Path) -> None:
    found = await read(sheet, HEAD + 'aa,"a"b,c\nbb,a\rb,c\n')
    letters = sheet.with_name("x.dead.ndjson")
    with DeadLetters(letters) as file:
        for each in found:
            assert isinstance(each, BadRecord)
            file.add(RecordOutcome(each, Disposition.INVALID, ""))
    again = await read_file(letters, columns=MAPPING)
    assert [line for line, *_ in reported(again)] == [2, 3]  # type: ignore[arg-type]
    text = letters.read_text().replace("\\\\ud800", "")
    text = text.replace('[\\"aa,\\\\\\"a\\\\\\"b,c\\\\n\\"]', '[\\"aa\\",\\"ab\\",\\"c\\"]')
    letters.write_text(text)
    assert ids(list(await read_file(letters, columns=MAPPING))) == ["aa"]


async def test_without_marks_only_a_carriage_return_is_out_of_place(sheet: Path) -> None:
    found = await read(sheet, HEAD + 'aa,"a,5"\nbb,a\rb,c\ncc,",x\n', quote="none")
    assert (ids(found), reported(found)) == (["aa", "cc"], [(3, "$", BY_RETURN)])


async def test_a_header_that_is_no_csv_says_so(sheet: Path) -> None:
    with pytest.raises(InputError, match=r"no header: is no CSV"):
        await read(sheet, 'id,"v"x,w\naa,1,2\n')
    with pytest.raises(InputError, match="is empty, and has no header"):
        await read(sheet, "")


@pytest.mark.parametrize(("mark", "name"), [(";", "semicolon"), ("\t", "tab"), ("|", "pipe")])
@pytest.mark.parametrize("has_header", [True, False])
async def test_quoted_cells_with_another_delimiter_name_it(
    mark: str, name: str, has_header: bool, sheet: Path
) -> None:
    rows = "".join(f'"{one}"{mark}"{two}"\r\n' for one, two in [("id", "v"), ("aa", "1"), ("bb", "2")])
    put(sheet, rows)
    columns = ColumnMapping.parse("type==t,id=id" if has_header else "type==t,id=1")
    with pytest.raises(InputError, match=f"try --delimiter {name}$"):
        await read_file(sheet, columns=columns, table=TableOptions(header=has_header))
    table = TableOptions(header=has_header, delimiter=name)
    assert ids(await read_file(sheet, columns=columns, table=table))[-2:] == ["aa", "bb"]


async def test_a_header_in_another_encoding_names_the_option(sheet: Path) -> None:
    with pytest.raises(InputError, match="the header is not in ASCII: give its encoding with --encoding"):
        await read(sheet, "id,größe\naa,1\n", encoding="ascii")


CELL = st.text(st.sampled_from('ab",\n é'), max_size=6)
ROWS = st.lists(st.tuples(CELL, CELL), min_size=1, max_size=12)


def written(rows: list[tuple[str, ...]]) -> str:
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows(rows)
    return text.getvalue()


@settings(max_examples=100, deadline=None)
@given(ROWS, ROWS, st.sampled_from(["zz,a\rb,c", 'zz,"a"b,c', 'zz,"a "b" c",d', 'zz,"6" x",d', "zz,\r\r x,"]))
def test_rows_around_a_bad_one_are_what_they_were(
    before: list[tuple[str, str]], after: list[tuple[str, str]], bad: str
) -> None:
    def row(place: str, number: int, cells: tuple[str, str]) -> tuple[str, str, str]:
        return f"{place}-{number}", cells[0], cells[1]

    first = [row("before", *each) for each in enumerate(before)]
    last = [row("after", *each) for each in enumerate(after)]
    text = HEAD + written(first) + bad + "\n" + written(last)
    with tempfile.TemporaryDirectory() as folder:
        found = asyncio.run(read(Path(folder) / "sheet.csv", text))
    good = [each for each in found if isinstance(each, Record)]
    wanted = {id_: (v, w) for id_, v, w in [*first, *last]}
    values = {each.write.id: each.write.data for each in good}  # type: ignore[attr-defined]
    assert [*values][: len(first)] == [id_ for id_, *_ in first]
    assert values.keys() <= wanted.keys(), "nothing is made of a part of a row"
    lost = len(wanted) - len(values)
    (reason,) = [reason for _, _, reason in reported(found)]
    assert ("goes over" in reason) is (lost > 0), "what was taken is said"


@settings(max_examples=100, deadline=None)
@given(st.text(st.sampled_from('ab",\n\r é;'), max_size=60))
def test_whatever_stands_in_a_table_nothing_is_lost_in_silence(text: str) -> None:
    """Each line is in a record, in a bad row, blank, or behind the row that an error names."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sheet.csv"
        path.write_bytes((HEAD + text).encode())
        found: list[Item] = []

        async def run() -> bool:
            try:
                async for each in read_records(path, SOURCE, columns=MAPPING):
                    found.append(each)  # noqa: PERF401
            except InputError as error:
                return f"row {len(found) + 2} is no CSV" in str(error)
            return True

        assert asyncio.run(run())
    assert [each.line for each in found] == [*range(2, len(found) + 2)]


@pytest.mark.parametrize(
    ("line", "cells"),
    [
        ('a,"[""en"", ""fr""]",b\n', ["a", '["en", "fr"]', "b"]),
        ('a, b,"c ""d"" e"\n', ["a", " b", 'c "d" e']),
        ('a, "b,c",d\n', None),
        (' "a",b,c\n', None),
    ],
)
def test_rows_are_read_together_unless_a_cell_begins_with_a_space_and_a_mark(
    line: str, cells: list[str] | None
) -> None:
    """JSON in a cell has a space before many a mark; such rows one by one take five times as long."""
    parser = RowParser(None, Marks(",", '"'), is_certain=False)  # type: ignore[arg-type]  # no more lines
    found = parser.read_together(["x,y,z\n", line])
    assert found == (None if cells is None else [["x", "y", "z"], cells])
