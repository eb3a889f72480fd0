"""CSV with escapes, held against Python's own `csv`, and files of programs that write them."""

import csv
import io
import itertools
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from clinia_async import (
    ColumnMapping,
    ConfigError,
    DeadLetters,
    Disposition,
    InputError,
    Record,
    RecordOutcome,
    TableOptions,
)
from clinia_async.emulator import Emulator
from clinia_async.ingest.processes.job import ProcessIngestion
from clinia_async.ingest.readers.csv_faults import BadRow
from clinia_async.ingest.readers.csv_marks import OUT_OF_PLACE
from clinia_async.ingest.readers.csv_reader import CsvTable
from clinia_async.ingest.readers.csv_rows import RowParser
from clinia_async.ingest.readers.files import identity_of, read_records
from clinia_async.ingest.readers.text_lines import TextLines
from clinia_async.ingest.records.record import BadRecord
from tests.ingest.reading import Item, read_file, reported
from tests.ingest.running import SOURCE

Row = list[str] | BadRow | None
"""None is an error that ends the reading."""


class Pieces:
    """An input whose bytes come in these pieces."""

    path = member = None

    def __init__(self, pieces: Sequence[bytes]) -> None:
        self._pieces = [*pieces]

    def peek(self, size: int, *, until: Callable[[bytes], bool] = lambda _: False) -> bytes:
        joined = b""
        for piece in self._pieces:
            if len(joined) >= size or (joined and until(joined)):
                break
            joined += piece
        return joined

    def read(self) -> bytes:
        return self._pieces.pop(0) if self._pieces else b""


def read_pieces(pieces: Sequence[bytes], **options: Any) -> list[Row]:
    table = CsvTable(Pieces(pieces), TableOptions(**options))  # type: ignore[arg-type]
    table.header()
    found: list[Row] = []
    try:
        while (rows := table.rows()) is not None:
            found += rows.cells  # type: ignore[arg-type]
    except InputError:
        found.append(None)
    return found


def read_text(text: str, **options: Any) -> list[Row]:
    return read_pieces([text.encode()], **options)


def cut(text: str, size: int) -> list[bytes]:
    raw = text.encode()
    return [raw[start : start + size] for start in range(0, len(raw), size)]


def by_python(text: str, **options: Any) -> Iterator[list[str]]:
    """Yield the rows of a text behind its header, up to the first error, as `csv` reads them."""
    reader = csv.reader(io.StringIO(text, newline="\n"), strict=True, **options)
    next(reader)
    while True:
        try:
            yield next(reader)
        except (StopIteration, csv.Error):
            return


CELL = st.text(st.sampled_from("ab,;\t|\"'\n\r\\^ éN0"), max_size=6)
ROWS = st.lists(st.lists(CELL, min_size=2, max_size=2), min_size=1, max_size=8)


@st.composite
def written(draw: st.DrawFn) -> tuple[str, dict[str, Any], dict[str, Any], list[list[str]]]:
    """Draw a text that `csv` wrote, the options to read it with there and here, and its rows."""
    delimiter = draw(st.sampled_from([",", ";", "\t", "|"]))
    dialect = {
        "delimiter": delimiter,
        "quotechar": draw(st.sampled_from(['"', "'"])),
        "escapechar": draw(st.sampled_from(["\\", "\\", "^"])),
    }
    quoting = draw(st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONE]))
    end = draw(st.sampled_from(["\n", "\r\n"]))
    rows = [[f"id-{number}", *row] for number, row in enumerate(draw(ROWS))]
    text = io.StringIO(newline="")
    doubles = draw(st.booleans())
    writer = csv.writer(text, **dialect, quoting=quoting, doublequote=doubles, lineterminator=end)
    writer.writerows([["id", "v", "w"], *rows])
    options = {"delimiter": delimiter, "quote": dialect["quotechar"], "escape": dialect["escapechar"]}
    if quoting == csv.QUOTE_NONE and draw(st.booleans()):
        options["quote"] = "none"
        dialect |= {"quoting": csv.QUOTE_NONE}
    return text.getvalue(), dialect, options, rows


@settings(max_examples=100, deadline=None)
@given(written())
def test_what_python_writes_is_read(
    made: tuple[str, dict[str, Any], dict[str, Any], list[list[str]]],
) -> None:
    text, dialect, options, rows = made
    assume([*by_python(text, **dialect)] == rows)  # a carriage return is not escaped by every version
    found = read_text(text, **options)
    # before a whole line end, either it is escaped or the carriage return alone
    if f"{options['escape']}\r\n" in text:
        assert all(each in rows or isinstance(each, BadRow | None) for each in found)
    elif dialect["delimiter"] != "\t":
        assert found == rows
    else:  # a row over several lines may be several rows
        assert all(each in rows or isinstance(each, BadRow) for each in found)
        assert len(found) == len(rows)


@settings(max_examples=60, deadline=None)
@given(written())
def test_wherever_a_file_is_cut_it_is_read_alike(
    made: tuple[str, dict[str, Any], dict[str, Any], list[list[str]]],
) -> None:
    text, _, options, _ = made
    for given_ in (options, {**options, "escape": None}, {**options, "escape": None, "null": "b"}):
        whole = read_text(text, **given_)
        assert read_pieces(cut(text, 1), **given_) == whole
        raw = text.encode()
        for place in range(1, len(raw)):
            assert read_pieces([raw[:place], raw[place:]], **given_) == whole


TOKENS = st.sampled_from(
    ["a", "b", ",", '"', '""', "\n", "\r\n", '\\"', "\\\\", "\\,", "\\\n", "é", "\\\r\\\n", '",', ',"', '"\n']
)
TEXTS = st.lists(TOKENS, max_size=24).map("".join)


def same_until_a_fault(found: Sequence[Row], wanted: Sequence[list[str]]) -> None:
    """Python stops at the first fault."""
    good = [*itertools.takewhile(lambda row: isinstance(row, list), found)]
    # a row of no cells and one of an empty cell are blank
    assert [row or [""] for row in good if row is not None] == [row or [""] for row in wanted]


@settings(max_examples=100, deadline=None)
@given(TEXTS)
@example('a,"b\\""\n\\,\\\n')
@example('a\\\nb,"\\"\n\n"\n')
def test_any_text_is_read_as_python_reads_it(text: str) -> None:
    # behind an escaped line end Python knows no end of a row but a line end
    text = f"v,w\n{text}" if text.endswith("\n") else f"v,w\n{text}\n"
    same_until_a_fault(read_text(text, escape="backslash"), [*by_python(text, escapechar="\\")])
    same_until_a_fault(read_text(text, escape="none"), [*by_python(text)])
    text = text.replace("\\N", "").replace('"', "'")
    wanted = [*by_python(text, escapechar="\\", quoting=csv.QUOTE_NONE)]
    same_until_a_fault(read_text(text, escape="backslash", quote="none"), wanted)


@settings(max_examples=100, deadline=None)
@given(TEXTS, st.sampled_from(["backslash", "quoted-backslash", "none", None]), st.sampled_from([None, "a"]))
def test_rows_are_read_alike_together_and_alone(text: str, escape: str | None, null: str | None) -> None:
    text = f"v,w\n{text}"
    together = read_text(text, escape=escape, null=null)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RowParser, "read_together", lambda *_: None)
        alone = read_text(text, escape=escape, null=null)
    assert [row or [""] if isinstance(row, list) else row for row in together] == [
        row or [""] if isinstance(row, list) else row for row in alone
    ]


PLAIN = st.text(st.sampled_from('ab,"\n '), max_size=6)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(PLAIN, PLAIN), min_size=1, max_size=8),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL, csv.QUOTE_NONE]),
    st.sampled_from(["\n", "\r\n"]),
    st.booleans(),
)
def test_without_the_option_no_escape_gives_a_wrong_value(
    rows: list[tuple[str, str]], quoting: Any, end: str, has_header: bool
) -> None:
    """Whatever needs an escape: a row is right, or it is bad."""
    wanted = [[f"id-{number}", *row] for number, row in enumerate(rows)]
    text = io.StringIO(newline="")
    writer = csv.writer(text, escapechar="\\", doublequote=False, quoting=quoting, lineterminator=end)
    writer.writerows([["id", "v", "w"], *wanted] if has_header else wanted)
    assume("\\\r\n" not in text.getvalue() and "\n\\\n" not in text.getvalue())
    try:
        found = read_text(text.getvalue(), header=has_header)
    except InputError:
        assert not has_header
        return
    for row in found:
        assert row in wanted or not isinstance(row, list), (text.getvalue(), found)
    lost = [row for row in wanted if row not in found]
    assert len(found) == len(wanted) if not lost else any(not isinstance(row, list) for row in found)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(CELL, CELL), min_size=1, max_size=8), st.booleans(), st.sampled_from(["\n", "\r\n"])
)
def test_a_file_without_escapes_is_read_as_it_stands_if_one_says_so(
    rows: list[tuple[str, str]], are_quoted: bool, end: str
) -> None:
    wanted = [[f"id-{number}", *row] for number, row in enumerate(rows)]
    text = io.StringIO(newline="")
    quoting = csv.QUOTE_ALL if are_quoted else csv.QUOTE_MINIMAL
    csv.writer(text, quoting=quoting, lineterminator=end).writerows([["id", "v", "w"], *wanted])
    assume([*by_python(text.getvalue())] == wanted)
    assert read_text(text.getvalue(), escape="none") == wanted
    found = read_text(text.getvalue())
    assert all(row in wanted or not isinstance(row, list) for row in found)
    assert found == wanted or not all(isinstance(row, list) for row in found)


MAPPING = ColumnMapping.parse("type==t,id=id,data.v=v,data.w=w")
NUMBERED = ColumnMapping.parse("type==t,id=1,data.v=2,data.w=3")
BY_SPARK = r"""id,v,w
r-1,plain,z
r-2,"a \"b\"",z
r-3,a\b,z
r-4,"a\\b,c",z
r-5,C:\new,z
r-6,x\,z
r-7,"x\\,y",z
r-8,"a\\\"b",z
r-9,it\'s,z
r-10,"new
line",z
r-11,"q\"",z
r-12,\N,z
r-13,,z
"""
SPARK = [
    "plain", 'a "b"', "a\\b", "a\\b,c", "C:\\new", "x\\", "x\\,y", 'a\\"b', "it\\'s", "new\nline", 'q"',
    "\\N", None,
]  # fmt: skip
"""By Spark 3.5 with its default options; with `quoteAll` each is in quotation marks."""
BY_POSTGRES = (
    'r-1\tplain\tz\nr-2\ta "b"\tz\nr-3\ta\\\\b\tz\nr-4\ttab\\there\tz\nr-5\tline\\nend\tz\n'
    "r-6\tcr\\r\\nlf\tz\n"
    'r-7\tx\\\\\tz\nr-8\t\\N\tz\nr-9\t\\\\N\tz\nr-10\tN\tz\nr-11\tit\'s\tz\nr-12\t\\b\\f\\v\tz\nr-13\t"q"\tz\n'
)
POSTGRES = [
    "plain", 'a "b"', "a\\b", "tab\there", "line\nend", "cr\r\nlf", "x\\", None, "\\N", "N", "it's", "\b\f\v",
    '"q"',
]  # fmt: skip
"""By `COPY ... TO STDOUT` of PostgreSQL 15."""
BY_MYSQL = 'r-1\ta\\\tb\tz\nr-2\tline\\\nend\tz\nr-3\t\\N\tz\nr-4\ta\\\\N\tz\nr-5\tnul\\0\tz\nr-6\t"q\tz\n'
MYSQL = ["a\tb", "line\nend", None, "a\\N", "nul\0", '"q']
"""By `SELECT ... INTO OUTFILE` with its default options."""
MYSQL_ENCLOSED = '"r-1","a \\"b\\"","z"\n"r-2","line\\\nend","z"\n"r-3",\\N,"z"\n"r-4","a,\\\\","z"\n'
"""By `... FIELDS TERMINATED BY ',' ENCLOSED BY '"'`."""
BY_CLICKHOUSE = "r-1\tit\\'s\tz\nr-2\t\\N\tz\nr-3\ta\\tb\tz\n"
BY_REDSHIFT = '"r-1"|"it\\\'s \\"b\\" \\| \\\\"|"z"\n"r-2"|"a\\\r\\\nb"|"z"\n'
"""By `UNLOAD ... ESCAPE ADDQUOTES`."""
POSTGRES_NULL = '"id","v","w"\n"r-1","plain","z"\n"r-2",\\N,"z"\n"r-3","\\N","z"\n"r-4","a ""b""\\","z"\n'
"""By `COPY ... (FORMAT csv, HEADER, NULL '\\N', FORCE_QUOTE *)`."""
BY_R = '"","id","v","w"\n"1","r-1","NA","z"\n"2","r-2",NA,"z"\n'
"""By `write.csv`: the text NA is in quotation marks."""


def values(found: Sequence[Item]) -> list[object]:
    assert all(isinstance(each, Record) for each in found), reported(found)
    return [json.loads(each.payload())["data"].get("v") for each in found if isinstance(each, Record)]


@pytest.mark.parametrize(
    ("text", "options", "wanted"),
    [
        (BY_SPARK, {"escape": "quoted-backslash"}, SPARK),
        (BY_POSTGRES, {"delimiter": "tab", "quote": "none", "escape": "backslash"}, POSTGRES),
        (BY_MYSQL, {"delimiter": "tab", "quote": "none", "escape": "\\"}, MYSQL),
        (MYSQL_ENCLOSED, {"escape": "backslash"}, ['a "b"', "line\nend", None, "a,\\"]),
        (BY_CLICKHOUSE, {"delimiter": "tab", "quote": "none", "escape": "backslash"}, ["it's", None, "a\tb"]),
        (BY_REDSHIFT, {"delimiter": "pipe", "escape": "backslash"}, ['it\'s "b" | \\', "a\r\nb"]),
        (POSTGRES_NULL, {"null": "\\N"}, ["plain", None, "\\N", 'a "b"\\']),
        (POSTGRES_NULL, {"null": "\\N", "escape": "none"}, ["plain", None, "\\N", 'a "b"\\']),
        (BY_R, {"null": "NA"}, ["NA", None]),
        ("id,v,w\nr-1,NULL,z\nr-2,x,z\n", {"null": "NULL"}, [None, "x"]),
        ("id|v|w\nr-1|.|z\n", {"null": ".", "delimiter": "pipe", "quote": "none"}, [None]),
    ],
)  # fmt: skip
async def test_what_programs_write_is_read(
    text: str, options: dict[str, Any], wanted: list[object], tmp_path: Path
) -> None:
    path = tmp_path / "x.csv"
    has_header = "id" in text.partition("\n")[0]
    for copies in (1, 400):
        head, _, rest = text.partition("\n") if has_header else ("", "", text)
        path.write_bytes((f"{head}\n" * has_header + rest * copies).encode())
        table = TableOptions(header=has_header, **options)
        found = await read_file(path, columns=MAPPING if has_header else NUMBERED, table=table)
        assert values(found) == wanted * copies


def put(path: Path, text: str) -> None:
    path.write_bytes(text.encode())


async def read(text: str, path: Path, columns: ColumnMapping = MAPPING, **options: Any) -> list[Item]:
    put(path, text)
    return [*await read_file(path, columns=columns, table=TableOptions(**options))]


@pytest.fixture
def sheet(tmp_path: Path) -> Path:
    return tmp_path / "sheet.csv"


HEAD = "id,v,w\n"


@pytest.mark.parametrize(
    "row",
    [
        'r-1,"a \\"b\\"",z',
        'r-1,"a \\"b\\", c",z',
        'r-1,"\\"",z',
        'r-1,z,"line \\"one\\"\nline two"',
        'r-1,a \\"b\\",z',
        "r-1,a\\, b,z",
        "r-1,a,b\\\nc",
        "r-1,a\\\nb,c",
        "r-1,\\N,z",
    ],
)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
async def test_a_row_with_escapes_is_bad_until_one_says_what_they_are(
    row: str, end: str, sheet: Path
) -> None:
    text = (HEAD + row + "\nr-2,x,z\n").replace("\n", end)
    found = await read(text, sheet)
    (bad,) = reported(found)
    assert bad[0] == 2
    assert "--escape backslash" in bad[2]
    assert [each.write.id for each in found if isinstance(each, Record)] == ["r-2"]
    if "\\\r\n" in text:
        return  # a carriage return or a line end: nobody knows
    again = await read(text, sheet, escape="backslash")
    assert [each.write.id for each in again if isinstance(each, Record)] == ["r-1", "r-2"]


@pytest.mark.parametrize("row", ["r-1\ta\\nb\tz", "r-1\ta\\\\b\tz", "r-1\ta\\tb\t\\N", "r-1\tC:\\\\dir\tz"])
@pytest.mark.parametrize("options", [{"quote": "none"}, {}])
async def test_a_row_with_tabs_may_have_the_escapes_of_databases(
    row: str, options: dict[str, Any], sheet: Path
) -> None:
    text = f"id\tv\tw\n{row}\nr-2\tx\tz\n"
    found = await read(text, sheet, delimiter="tab", **options)
    ((line, _, reason),) = reported(found)
    assert (line, "--escape backslash" in reason) == (2, True)
    found = await read(text, sheet, delimiter="tab", quote="none", escape="backslash")
    assert len(values(found)) == 2


@pytest.mark.parametrize("cell", ["C:\\dir", "\\server", "a\\ b", "\\d+", "x\\"])
async def test_a_backslash_that_databases_would_not_write_is_a_backslash(cell: str, sheet: Path) -> None:
    found = await read(f"id\tv\tw\nr-1\t{cell}\tz\n", sheet, delimiter="tab", quote="none")
    assert values(found) == [cell]
    text = "id\tv\tw\nr-1\tx\t\\N\n"
    mapping = ColumnMapping.parse("type==t,id=id,data.v=v")
    assert len(values(await read(text, sheet, mapping, delimiter="tab", quote="none"))) == 1, (
        "nobody asks for it"
    )


async def test_a_line_end_behind_an_escape_is_no_value_by_halves(sheet: Path) -> None:
    text = "id,v,w\r\nr-1,a\\\r\nb,c\r\nr-2,x,z\r\n"
    found = await read(text, sheet, escape="backslash")
    assert reported(found) == [(2, "$", OUT_OF_PLACE)]
    assert [each.write.id for each in found if isinstance(each, Record)] == ["r-2"]
    found = await read(text.replace("a\\\r\nb", '"a\\\r\nb"'), sheet, escape="backslash")
    assert values(found) == ["a\r\nb", "x"]


@pytest.mark.parametrize(
    ("row", "value"),
    [
        ('r-1,"C:\\dir\\",z', "C:\\dir\\"),
        ("r-1,C:\\dir\\,z", "C:\\dir\\"),
        ('r-1,"{""a"": ""say \\""hi\\""""}",z', '{"a": "say \\"hi\\""}'),
        ("r-1,\\\\server\\share\\,z", "\\\\server\\share\\"),
        ("r-1,C:\\new,z", "C:\\new"),
        ("r-1,a\\\\,z", "a\\\\"),
        ('r-1,a"b,z', 'a"b'),
    ],
)
async def test_backslashes_that_are_no_escapes_stay(row: str, value: str, sheet: Path) -> None:
    for options in ({}, {"escape": "none"}, {"escape": "quoted-backslash"}):
        if '"' in row and "escape" in options and options["escape"] != "none" and "\\" in row:
            continue
        found = await read(f"{HEAD}{row}\nr-2,x,z\n", sheet, **options)
        assert values(found) == [value, "x"]


def test_what_follows_an_ambiguous_row_begins_where_a_row_does_either_way() -> None:
    """By one way the row ends with its first line, by the other its mark is closed in the second."""
    taken = 'id-0,\\,",\n"\nid-1,"x",y\n'
    bad, good = read_text(f"{HEAD}{taken}id-2,x,y\n")
    assert isinstance(bad, BadRow)
    assert bad.text == taken
    assert bad.reason.endswith("; it goes over 3 lines")
    assert good == ["id-2", "x", "y"]
    rows = [["id-0", "\\", ",\n"], ["id-1", "x", "y"], good]
    assert read_text(f"{HEAD}{taken}id-2,x,y\n", escape="none") == rows
    assert [type(row) for row in read_text(HEAD + 'id-0,\\,",\n"\nid-1,x,y\n')] == [BadRow, type(None)]


async def test_paths_at_the_ends_of_rows_cost_no_search_of_all_that_follows(
    sheet: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [f"id-{number},C:\\dir,D:\\dir\\" for number in range(2000)]
    given_back = 0
    put_back = TextLines.put_back

    def counting(self: TextLines, lines: list[str]) -> None:
        nonlocal given_back
        given_back += len(lines)
        put_back(self, lines)

    monkeypatch.setattr(TextLines, "put_back", counting)
    found = await read("\n".join(["id,v,w", *rows, "id-x,a,b", ""]), sheet)
    assert len(values(found)) == 2001
    assert given_back < 10 * len(rows)


async def test_a_header_with_escapes_says_so(sheet: Path) -> None:
    with pytest.raises(InputError, match=r"the input has no header: .*--escape"):
        await read('id,a \\"v\\",w\nr-1,x,z\n', sheet)
    with pytest.raises(InputError, match=r"row 2 is no CSV: .*; try --escape backslash"):
        await read(HEAD + 'r-1,"a \\" b,"c\n' + "x\n" * 20_000, sheet)


@pytest.mark.parametrize("cell", ["a\\qb", "\\N x", "x\\N", '"\\N"', '"a\\qb"', "C:\\dir"])
async def test_an_escape_out_of_place_costs_its_row(cell: str, sheet: Path) -> None:
    found = await read(f"{HEAD}r-1,{cell},z\nr-2,x,z\n", sheet, escape="backslash")
    ((line, path, reason),) = reported(found)
    assert (line, path, reason.startswith("has an escape before a character")) == (2, "$", True)


async def test_an_n_is_a_line_feed_only_where_nothing_is_quoted(sheet: Path) -> None:
    text = f"{HEAD}r-1,a\\nb,z\n"
    assert values(await read(text, sheet, escape="backslash", quote="none")) == ["a\nb"]
    assert len(reported(await read(text, sheet, escape="backslash"))) == 1
    assert values(await read(text, sheet)) == ["a\\nb"]


async def test_a_wrong_count_of_cells_names_the_option(sheet: Path) -> None:
    found = await read(f"{HEAD}r-1,a\\, b\\, c\nr-2,x,z\n", sheet)
    ((_, _, reason),) = reported(found)
    assert reason.endswith("try --escape backslash, or quoted-backslash for a file of Apache Spark")


async def test_null_is_no_name_of_a_column_and_no_part_of_a_cell(sheet: Path) -> None:
    mapping = ColumnMapping.parse("type==t,id=id,data.v=NA,data.w=w")
    found = await read("id,NA,w\nr-1,NA x,NA\n", sheet, mapping, null="NA")
    assert values(found) == ["NA x"]
    assert isinstance(found[0], Record)
    assert b'"w"' not in found[0].payload()


@pytest.mark.parametrize(
    "options",
    [
        {"escape": ""},
        {"escape": "\n"},
        {"escape": "\\\\"},
        {"escape": '"'},
        {"escape": ","},
        {"escape": "|", "delimiter": "pipe"},
        {"escape": "quoted-backslash", "quote": "none"},
        {"escape": 5},
        {"null": ""},
        {"null": "a\nb"},
        {"null": 5},
    ],
)
def test_options_that_are_none_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(options))):
        TableOptions(**options)


async def test_a_delimiter_that_a_file_names_is_no_escape(sheet: Path) -> None:
    with pytest.raises(InputError, match="as delimiter"):
        await read("sep=|\nid|v|w\n", sheet, escape="|")


async def test_the_options_count_for_a_journal_and_older_journals_stay_valid(sheet: Path) -> None:
    put(sheet, HEAD)
    tables = [None, TableOptions(), *(TableOptions(escape=each) for each in ("none", "\\", "^"))]
    tables += [TableOptions(escape="quoted-backslash"), TableOptions(null="NA"), TableOptions(null="x")]
    found = {await identity_of(sheet, table=table) for table in tables}
    assert len(found) == len(tables)
    assert await identity_of(sheet, table=TableOptions(escape="backslash")) in found
    assert TableOptions(delimiter=";").identity() == (
        "TableOptions(delimiter=';', quote='\"', encoding='utf-8', skip=0, limit=None, header=True,"
        " decimal='.', timezone=None)"
    )


async def test_dead_letters_of_a_file_with_escapes_are_read_once_more(sheet: Path) -> None:
    options: dict[str, Any] = {"escape": "backslash", "null": "NA"}
    columns = ColumnMapping.parse("type==t,id=id,data.v=v,data.n:int=w")
    found = await read(HEAD + 'r-1,"a \\"b\\" \\\\N",x\nr-2,\\N,y\nr-3,NA,z\n', sheet, columns, **options)
    assert len(reported(found)) == 3
    letters = sheet.with_name("x.dead.ndjson")
    with DeadLetters(letters) as file:
        for each in found:
            assert isinstance(each, BadRecord)
            file.add(RecordOutcome(each, Disposition.INVALID, ""))
    mended = letters.read_text()
    for number, cell in enumerate("xyz"):
        mended = mended.replace(f'\\"{cell}\\"]', f'\\"{number}\\"]')
    letters.write_text(mended)
    again = await read_file(letters, columns=columns)
    assert values(again) == ['a "b" \\N', None, None]


async def test_several_processes_read_escapes_alike(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    rows = "".join(f'r-{number},"a \\"{number}\\"\n\\"b\\", c",z\n' for number in range(40))
    path.write_text(HEAD + rows)
    async with Emulator() as emulator:
        job = ProcessIngestion(
            [path],
            SOURCE,
            processes=2,
            dead_letters=tmp_path / "dead.ndjson",
            session={"base_url": emulator.url, "api_key": emulator.key},
            read={"columns": MAPPING, "table": TableOptions(escape="backslash")},
        )
        report = await job.run()
        assert report.all_landed
        held = {each.id: each.data for each in emulator.stored_resources()}
    assert held == {f"r-{n}": {"v": f'a "{n}"\n"b", c', "w": "z"} for n in range(40)}


async def test_a_stream_of_records_ends_where_the_file_cannot_be_read_on(sheet: Path) -> None:
    put(sheet, HEAD + 'r-1,"a \\"\n' + "x\n" * 20_000)
    found = []

    async def run() -> None:
        table = TableOptions(escape="backslash")
        async for each in read_records(sheet, SOURCE, columns=MAPPING, table=table):
            found.append(each)  # noqa: PERF401

    with pytest.raises(InputError, match="row 2 is no CSV"):
        await run()
    assert found == []
