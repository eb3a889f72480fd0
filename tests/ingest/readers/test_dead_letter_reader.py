"""Dead letters of every format can be fed back in: as they are they stay bad, and mended they are read."""

import datetime as dt
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from clinia_async import (
    BadRecord,
    ColumnMapping,
    Disposition,
    InputError,
    Record,
    RecordOutcome,
    TableOptions,
)
from clinia_async.ingest.outcomes.dead_letters import dead_letter
from tests.ingest.reading import Item, read_file, reported

SIMPLE = ColumnMapping.parse("type==t,id=id,data.v=v")
NUMBERS = ColumnMapping.parse("type==t,id=id,data.v:int=v")
RESOURCE = b'{"id":1,"resourceType":"A","b":{"reference":"C/d"}}'
FLOATS = ColumnMapping.parse("type==t,id=id,data.v:float=v")


def as_dead_letters(items: list[Item], path: Path) -> list[bytes]:
    letters = [
        dead_letter(RecordOutcome(each, Disposition.INVALID, each.reason))
        for each in items
        if isinstance(each, BadRecord)
    ]
    path.write_bytes(b"".join(letters))
    return letters


def parquet(path: Path, *values: object, type_: pa.DataType | None = None) -> None:
    pq.write_table(pa.table({"id": ["aa"] * len(values), "v": pa.array(values, type_)}), path)


def entry(**fields: object) -> bytes:
    encounter = {"resourceType": "Encounter", "subject": {"reference": "Patient/p9"}, **fields}
    return json.dumps(
        {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": encounter}]}
    ).encode()


CASES: dict[str, tuple[str, bytes, dict[str, Any], str, str]] = {
    "ndjson": ("x.ndjson", b'\n{"type":"t","id":7,"data":{}}\n', {}, '"id":7', '"id":"aa"'),
    "no json": ("x.ndjson", b'{"type":"t","id":"aa","data":{}\n', {}, '"data":{}', '"data":{}}'),
    "list": ("x.json", b'[{"type":"t",\n"id":7,"data":{}}]', {}, '"id":7', '"id":"aa"'),
    "short row": ("x.csv", b"id,v\naa\n", {"columns": SIMPLE}, '["aa"]', '["aa","1"]'),
    "header again": ("x.csv", b"id,v\nid,v\n", {"columns": SIMPLE}, '"\\ud800id,v"', '"aa","1"'),
    "bad cell": ("x.csv", b"id,v\naa,x\n", {"columns": NUMBERS}, '"x"', '"1"'),
    "own names": ("x.csv", b"type,id,data.v:int\nt,aa,x\n", {}, '"x"', '"1"'),
    "bad text": ("x.csv", b"id,v\naa,\xff\n", {"columns": SIMPLE}, "\\udcff", "x"),
    "other dialect": (
        "x.csv",
        b"id;v\naa;1.5\n",
        {"columns": FLOATS, "table": TableOptions(delimiter=";", decimal=",")},
        '"1.5"',
        '"1,5"',
    ),
    "bundle": ("x.fhir.json", entry(id=12), {}, '"id":12', '"id":"e12"'),
    "resource": (
        "x.fhir.ndjson",
        b'{"id":1,"resourceType":"A","b":{"reference":"C/d"}}',
        {},
        '"id":1',
        '"id":"aa"',
    ),
    "no json in fhir": (
        "x.fhir.ndjson",
        b'{"resourceType":"A","id":"a","b":{"reference":"C/d"}',
        {},
        '"C/d"}',
        '"C/d"}}',
    ),
}


@pytest.mark.parametrize("case", CASES)
async def test_a_letter_stays_bad_until_it_is_mended(case: str, tmp_path: Path) -> None:
    name, content, options, fault, mended = CASES[case]
    path, letters = tmp_path / name, tmp_path / "x.dead.ndjson"
    path.write_bytes(content)
    first = list(await read_file(path, **options))
    written = as_dead_letters(first, letters)
    if "table" in options:  # how the file was cut into cells is over
        options = {**options, "table": TableOptions(decimal=options["table"].decimal)}
    texts = set()
    for _ in range(3):
        (again,) = await read_file(letters, **options)
        assert isinstance(again, BadRecord)
        assert again.line == reported(first)[0][0]
        assert again.text == json.loads(written[0])["deadLetter"]["text"].encode()
        (text,) = as_dead_letters([again], letters)
        texts.add(text)
    assert len(texts) == 1, "letters do not grow"
    letter = json.loads(written[0])
    assert fault in letter["deadLetter"]["text"]
    letter["deadLetter"]["text"] = letter["deadLetter"]["text"].replace(fault, mended)
    letters.write_text(json.dumps(letter) + "\n")
    if json.dumps(letter).startswith('{"deadLetter": '):
        letters.write_text(json.dumps(letter, separators=(",", ":")) + "\n")
    (found,) = await read_file(letters, **options)
    assert isinstance(found, Record), found
    assert found.line == reported(first)[0][0]


@pytest.mark.parametrize(
    ("values", "type_"),
    [
        ([float("nan")], None),
        ([2**52], pa.timestamp("s", "UTC")),
        ([b"\xff"], None),
        ([[1.0, float("inf")]], None),
        ([[("a", 1), ("a", 2)]], pa.map_(pa.string(), pa.int8())),
        ([dt.date(2020, 1, 1)], None),
    ],
)
async def test_values_of_parquet_that_are_bad_stay_bad(
    values: list[object], type_: pa.DataType | None, tmp_path: Path
) -> None:
    path, letters = tmp_path / "x.parquet", tmp_path / "letters"
    parquet(path, *values, type_=type_)
    mapping = NUMBERS if isinstance(values[0], dt.date) else SIMPLE
    first = list(await read_file(path, columns=mapping))
    assert as_dead_letters(first, letters)
    again = list(await read_file(letters, columns=mapping))
    assert [type(each) for each in again] == [BadRecord]
    assert again[0].line == 1


def mend(path: Path, cells: str | None) -> None:
    """Mend the one row in a file of dead letters: its id, or all of its cells."""
    letter = json.loads(path.read_bytes())
    about = letter["deadLetter"]
    about["text"] = about["text"].replace('"?"', '"aa"')
    about["text"] = about["text"] if cells is None else f'{{"columns":["id","v"],"cells":{cells}}}'
    path.write_text(json.dumps(letter, separators=(",", ":")) + "\n")


async def data_of_mended(table: Path, cells: str | None = None) -> object:
    """Return the data of the one row of a table, whose dead letter was mended."""
    path = table.with_name("x.dead.ndjson")
    as_dead_letters(list(await read_file(table, columns=SIMPLE)), path)
    mend(path, cells)
    (record,) = await read_file(path, columns=SIMPLE)
    assert isinstance(record, Record)
    return json.loads(record.operation())["create"]["data"]


@pytest.mark.parametrize("value", ["", "x", None, 0, False, [], [""], 1.5, {"a": ""}])
async def test_a_mended_row_has_the_values_of_the_table(value: object, tmp_path: Path) -> None:
    """An empty text of Parquet is a value, and no cell without one."""
    pq.write_table(pa.table({"id": ["?"], "v": [value]}), tmp_path / "x.parquet")
    data = await data_of_mended(tmp_path / "x.parquet")
    assert data == ({} if value is None else {"v": value})


@pytest.mark.parametrize(
    ("row", "cells"), [("?,", None), ("aa", '["aa",""]'), ("aa", '["aa",null]'), ("aa,,1", '["aa",""]')]
)
async def test_an_empty_cell_of_csv_stays_without_a_value(
    row: str, cells: str | None, tmp_path: Path
) -> None:
    (tmp_path / "x.csv").write_text(f"id,v\n{row}\n")
    assert await data_of_mended(tmp_path / "x.csv", cells) == {}


@pytest.mark.parametrize("text", ["NULL", "#N/A", "\\N", "\0"])
@pytest.mark.parametrize("null", [None, "none"])
async def test_a_text_for_no_value_is_none_in_a_mended_row_either(
    text: str, null: str | None, tmp_path: Path
) -> None:
    """Whatever else the row was bad for: a cell is missing here."""
    table, letters = TableOptions(null=null, escape=null), tmp_path / "x.dead.ndjson"
    mapping = ColumnMapping.parse("type==t,id=id,data.v=v,data.w=w,data.j:json=j")
    (tmp_path / "x.csv").write_text(f"id,v,j,w\naa,{text},null\n")
    first = [*await read_file(tmp_path / "x.csv", columns=mapping, table=table)]
    as_dead_letters(first, letters)
    letters.write_bytes(letters.read_bytes().replace(b"]}", b',\\"x\\"]}'))
    (found,) = await read_file(letters, columns=mapping)
    if text == "\0" or null == "none":
        assert isinstance(found, Record), found
        data = json.loads(found.operation())["create"]["data"]
        assert data == ({"w": "x", "j": None} if text == "\0" else {"v": text, "w": "x", "j": None})
        return
    assert isinstance(found, BadRecord)
    assert "mended" in found.reason


async def test_rows_of_dead_letters_need_the_mapping_of_their_run(tmp_path: Path) -> None:
    path, letters = tmp_path / "x.csv", tmp_path / "x.dead.ndjson"
    path.write_bytes(b"id,v\naa\n")
    as_dead_letters(list(await read_file(path, columns=SIMPLE)), letters)
    with pytest.raises(InputError, match="mapping of columns"):
        await read_file(letters)
    # one that lacks a cell is bad for that; a whole one for the column that it lacks
    letters.write_bytes(letters.read_bytes().replace(b'[\\"aa\\"]', b'[\\"aa\\",\\"1\\"]'))
    other = ColumnMapping.parse("type==t,id=ident")
    assert reported(list(await read_file(letters, columns=other))) == [(2, "$", "has no column for id")]


async def test_dead_letters_in_dead_letters_are_opened(tmp_path: Path) -> None:
    path = tmp_path / "x.dead.ndjson"
    inner = '{"deadLetter":{"line":7,"reason":"x","text":"{bad"}}'
    path.write_text(json.dumps({"deadLetter": {"line": 1, "text": inner}}, separators=(",", ":")))
    (found,) = await read_file(path)
    assert isinstance(found, BadRecord)
    assert (found.line, found.text) == (7, b"{bad")


async def test_what_holds_no_dead_letters_is_not_read_as_such(tmp_path: Path) -> None:
    path = tmp_path / "x.ndjson"
    path.write_text('{"type":"t","id":"aa","data":{}}\n')
    with pytest.raises(InputError, match="no dead letters"):
        await read_file(path, format="dead-letters")
