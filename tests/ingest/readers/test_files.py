"""The real files: what is wrong in them is found, what is right lands, and the counts are exact."""

import csv
import gc
import gzip
import io
import json
import lzma
import os
import zipfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random

import pytest

from clinia_async import (
    BadRecord,
    ColumnMapping,
    ConfigError,
    Disposition,
    InputError,
    ProcessIngestion,
    Record,
    TableOptions,
    escape_dots,
    fhir_definitions,
    identity_of,
    read_ndjson,
    read_records,
    unescape_dots,
)
from clinia_async.emulator import Emulator
from clinia_async.ingest.readers.containers import compression_of, is_binary, unsupported
from clinia_async.ingest.records.record import Blank
from tests.ingest.reading import read_file, reported
from tests.ingest.running import BOTH_WAYS, SOURCE, run

DATA = Path(__file__).parents[2] / "data"

VERDICTS = {
    "json": ("$", "expected JSON"),
    "json NaN": ("$", "expected numbers that are finite"),
    "duplicate key": ("$", "expected an object with each key once"),
    "not an object": ("$", "expected an object"),
    "missing from/to": ("$.from", "is required"),
    "missing to.type": ("$.to.type", "is required"),
    "empty id": (
        "$.from.id",
        "must be 1 to 256 characters, none of them a dot, a control or an invisible character",
    ),
    "id not a string": ("$.from.id", "must be a string"),
    "data not an object": ("$.data", "must be an object"),
}


def expected_table() -> dict[int, str]:
    with (DATA / "dirty-1k.expected.tsv").open(encoding="utf-8") as rows:
        return {int(number): verdict for number, verdict in csv.reader(rows, delimiter="\t")}


@pytest.mark.parametrize("via", BOTH_WAYS)
async def test_the_dirty_file_fails_exactly_where_its_table_says(via: str) -> None:
    table = expected_table()
    async with Emulator() as emulator:
        found = await run(emulator, read_ndjson(DATA / "dirty-1k.ndjson", SOURCE), via=via)
        held = emulator.relationships()
    wrong = {
        each.line: (each.record.path, each.record.reason)
        for each in found.outcomes
        if isinstance(each.record, BadRecord)
    }
    assert wrong == {
        line: VERDICTS[verdict] for line, verdict in table.items() if verdict not in {"ok", "blank"}
    }
    landed = [each.line for each in found.outcomes if each.disposition.has_landed]
    assert sorted(landed) == [line for line, verdict in table.items() if verdict == "ok"]
    assert found.report.blank == sum(verdict == "blank" for verdict in table.values())
    assert held == found.reported[Disposition.PERSISTED]


async def test_ids_with_dots_are_refused_and_escaped_ones_land() -> None:
    path = DATA / "mixed-1k.ndjson"
    dotted = {each.line async for each in read_ndjson(path, SOURCE) if isinstance(each, BadRecord)}
    assert dotted
    async with Emulator() as emulator:
        records = read_ndjson(path, SOURCE, map_id=escape_dots)
        found = await run(emulator, records, on_existing="keep")
        ends = {tuple(map(unescape_dots, each.id.split("."))) for each in emulator.stored()}
    assert found.report.all_landed
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert ends == {(line["from"]["id"], line["to"]["id"]) for line in lines}
    assert dotted == {n for n, line in enumerate(lines, 1) if "." in line["from"]["id"] + line["to"]["id"]}


@pytest.mark.parametrize("packed", [False, True])
async def test_lines_are_cut_at_newlines_alone(tmp_path: Path, packed: bool) -> None:
    good = '{"type":"t","from":{"id":"%s","type":"a"},"to":{"id":"z","type":"b"},"data":{"x":"\u2028\x85"}}'
    text = "\ufeff" + good % 1 + "\r\n" + "  \r\n\n" + good % 2 + "\n" + "\ufeff" + good % 3 + "\n" + good % 4
    path = tmp_path / "lines"
    raw = text.encode()
    path.write_bytes(gzip.compress(raw[:50]) + gzip.compress(raw[50:]) if packed else raw)
    records = [each async for each in read_ndjson(path, SOURCE)]
    assert [type(each) for each in records] == [Record, Blank, Blank, Record, BadRecord, Record]
    assert [each.line for each in records] == [1, 2, 3, 4, 5, 6]


async def test_a_line_too_large_is_one_bad_record_and_its_neighbours_are_read(tmp_path: Path) -> None:
    good = b'{"type":"t","from":{"id":"1","type":"a"},"to":{"id":"z","type":"b"}}\n'
    path = tmp_path / "large"
    path.write_bytes(good + b'{"type":"' + b"x" * 3_000_000 + b'"}\n' + good)
    records = [each async for each in read_ndjson(path, SOURCE, largest_line=1_000_000)]
    assert [type(each) for each in records] == [Record, BadRecord, Record]
    assert isinstance(records[1], BadRecord)
    assert records[1].text is None
    assert records[1].reason == "the line is too large"


async def test_bytes_that_are_no_text_are_one_bad_record(tmp_path: Path) -> None:
    path = tmp_path / "bytes"
    path.write_bytes(b'{"type":"\xff"}\n\n{"type":"\xed\xa0\x80"}\n')
    records = [each async for each in read_ndjson(path, SOURCE)]
    assert [(each.path, each.reason) for each in records if isinstance(each, BadRecord)] == [
        ("$", "expected UTF-8"),
        ("$", "expected UTF-8"),
    ]


@pytest.mark.parametrize("name", ["missing", "."])
async def test_what_is_no_file_is_an_error_of_the_input(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match="regular file"):
        _ = [each async for each in read_ndjson(tmp_path / name, SOURCE)]


GOOD = b'{"type":"t","from":{"id":"%d","type":"a"},"to":{"id":"z","type":"b"}}'


async def test_a_byte_order_mark_belongs_at_the_start_alone(tmp_path: Path) -> None:
    path = tmp_path / "marked"
    path.write_bytes(b"\xef\xbb\xbf" + GOOD % 1 + b"\n\xef\xbb\xbf" + GOOD % 2 + b"\n" + GOOD % 3)
    found = await read_file(path)
    assert reported(found) == [(2, "$", "expected JSON")]
    assert [type(each) for each in found] == [Record, BadRecord, Record]


async def test_a_last_line_that_is_cut_off_is_bad_and_the_others_are_read(tmp_path: Path) -> None:
    path = tmp_path / "growing"
    path.write_bytes(GOOD % 1 + b"\n" + GOOD % 2 + b"\n" + (GOOD % 3)[:-20])
    assert reported(await read_file(path)) == [(3, "$", "expected JSON")]


async def test_keys_given_twice_are_refused_and_many_or_unusual_ones_are_not(tmp_path: Path) -> None:
    many = json.dumps({f"k{number}": number for number in range(10_000)}).encode()
    path = tmp_path / "keys"
    lines = [
        (GOOD % 1)[:-1] + b',"data":{"x":1,"x":2}}',
        (GOOD % 2)[:-1] + b',"data":{"__proto__":{"x":1}}}',
        (GOOD % 3)[:-1] + b',"data":' + many + b"}",
    ]
    path.write_bytes(b"\n".join(lines))
    found = await read_file(path)
    assert reported(found) == [(1, "$", "expected an object with each key once")]
    assert isinstance(found[2], Record)
    assert many in found[2].operation()


@pytest.mark.parametrize("format_", ["ndjson", "csv", "parquet", "fhir"])
@pytest.mark.parametrize("kind", ["missing", "folder", "fifo", "device", "loop"])
async def test_only_regular_files_are_read(tmp_path: Path, format_: str, kind: str) -> None:
    path = tmp_path / "input"
    if kind == "folder":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "device":
        path = Path("/dev/zero")
    elif kind == "loop":
        path.symlink_to(path)
    with pytest.raises(InputError, match="regular file"):
        await read_file(path, format=format_)


async def test_a_record_that_needs_an_id_is_refused_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "resources"
    path.write_bytes(b'{"type":"patient","data":{}}\n' * 2)
    assert reported(await read_file(path, action="UPSERT")) == [
        (1, "$.id", "is required"),
        (2, "$.id", "is required"),
    ]
    assert [each.key for each in await read_file(path) if isinstance(each, Record)] == [None, None]


@pytest.mark.parametrize("name", ["data.ndjson", "data.csv", "data.parquet", "data.fhir.json"])
async def test_the_identity_is_that_of_the_content_and_of_all_options(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"some content")
    columns = ColumnMapping({"type": "=t", "id": "a"})
    others = [
        await identity_of(path, format="ndjson" if name != "data.ndjson" else "csv"),
        await identity_of(path, action="DELETE"),
        await identity_of(path, map_id=escape_dots),
        await identity_of(path, map_id=partial(escape_dots)),  # no function, and called as one
        await identity_of(path, format="csv", columns=columns),
        await identity_of(path, format="csv", columns=ColumnMapping({"type": "=t", "id": "b"})),
    ]
    first = await identity_of(path)
    assert len({first, *others}) == 7
    copy = tmp_path / "elsewhere" / name
    copy.parent.mkdir()
    copy.write_bytes(b"some content")
    assert await identity_of(copy) == first
    copy.write_bytes(b"some other content")
    assert await identity_of(copy) != first
    copy.write_bytes(b"some conten")
    assert await identity_of(copy) != first
    assert await identity_of(None) is None
    with pytest.raises(InputError, match="regular file"):
        await identity_of(tmp_path)


@pytest.mark.parametrize("other", ["same", "symbolic", "hard", "dots"])
async def test_a_file_is_named_once(other: str, tmp_path: Path) -> None:
    """Whatever names the files to the library, and by whichever of its names."""
    path = tmp_path / "a.fhir.ndjson"
    path.write_bytes(b'{"resourceType":"Patient","id":"aa"}\n')
    again = {"same": path, "dots": tmp_path / ".." / tmp_path.name / path.name}.get(other, tmp_path / "b")
    if other == "symbolic":
        again.symlink_to(path)
    elif other == "hard":
        again.hardlink_to(path)
    paths = [path, again]
    with pytest.raises(ConfigError, match="named twice"):
        read_records(paths, SOURCE)
    with pytest.raises(ConfigError, match="named twice"):
        await identity_of(paths)
    with pytest.raises(ConfigError, match="named twice"):
        await fhir_definitions(paths)
    with pytest.raises(ConfigError, match="named twice"):
        ProcessIngestion(paths, SOURCE, processes=2, dead_letters=tmp_path / "d")
    with pytest.raises(ConfigError, match="named twice"):
        read_records([None, None], SOURCE)  # type: ignore[list-item]
    copy = tmp_path / "copy.fhir.ndjson"
    copy.write_bytes(path.read_bytes())
    read_records([path, copy, tmp_path / "gone"], SOURCE)


async def test_options_that_do_not_go_together_are_reported_at_once(tmp_path: Path) -> None:
    path = tmp_path / "data.ndjson"
    with pytest.raises(ConfigError, match="CSV and Parquet"):
        read_records(path, SOURCE, columns=ColumnMapping({"type": "=t"}))
    with pytest.raises(ConfigError, match="format"):
        read_records(path, SOURCE, format="xml")
    with pytest.raises(ConfigError, match="action"):
        read_records(path, SOURCE, action="MERGE")


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("delimiter", ";"),
        ("quote", "none"),
        ("escape", "backslash"),
        ("null", "NA"),
        ("encoding", "utf-16"),
        ("skip", 1),
        ("limit", 0),
        ("header", False),
        ("decimal", ","),
        ("timezone", "UTC"),
    ],
)
async def test_no_option_of_tables_is_ignored(option: str, value: object, tmp_path: Path) -> None:
    """It is refused at once where the name says the format, and else when the content does.

    The rows in dead letters are in cells already: how they were cut, and which of them were read, is over.
    """
    table = TableOptions(**{option: value})  # type: ignore[arg-type]
    applies = {"timezone": {"x.parquet"}, "skip": {"x.csv", "x.parquet"}, "limit": {"x.csv", "x.parquet"}}
    applies["decimal"] = {"x.csv", "x.dead.ndjson"}
    names = ("x.ndjson", "x.json", "x.fhir.json", "x.dead.ndjson", "x.csv", "x.parquet")
    for name in names:
        if name in applies.get(option, {"x.csv"}):
            read_records(tmp_path / name, SOURCE, table=table)
        else:
            with pytest.raises(ConfigError, match=f"{option} is for"):
                read_records(tmp_path / name, SOURCE, table=table)
    read_records([tmp_path / name for name in names], SOURCE, table=table)
    unnamed = tmp_path / "unnamed"
    unnamed.write_bytes(LINES)
    with pytest.raises(InputError, match=f"{option} is for"):
        await read_file(unnamed, table=table)
    other = tmp_path / "other"
    other.write_bytes(LINES)
    stream = read_records([other, unnamed], SOURCE, table=table)
    with pytest.raises(InputError, match=f"{option} is for"):
        await anext(aiter(stream))  # before the first of them is read
    for letters in (unnamed, tmp_path / "x.csv"):
        letters.write_bytes(b'{"deadLetter":{"line":1,"text":"{}"}}\n')
        if option == "decimal":
            assert len(await read_file(letters, table=table)) == 1
            continue
        with pytest.raises(InputError, match=f"{option} is for"):
            await read_file(letters, table=table)


OF_ANOTHER_FORMAT = {
    "x.ndjson": b'{"resourceType":"Patient","id":"p1"}\n',
    "x.jsonl": b"[\n{}]",
    "x": b"a,b\n1,2\n",
    "x.json": b"PAR1",
    "x.csv": b'{"type":"t","id":"aa"}\n',
    "x.tsv": b"7z\xbc\xaf\x27\x1c",
    "y.ndjson": b"\x1f\x8b\x08",
    "x.dead.ndjson": b"[{}]",
    "folder": None,
    "gone.ndjson": None,
}


@pytest.mark.parametrize("name", OF_ANOTHER_FORMAT)
async def test_nothing_is_read_where_one_of_several_files_is_of_another_format(
    name: str, tmp_path: Path
) -> None:
    first, other, last = (tmp_path / each for each in ("first.ndjson", name, "last.fhir.ndjson"))
    first.write_bytes(LINES)
    last.write_bytes(b'{"resourceType":"Patient","id":"p1"}\n')
    content = OF_ANOTHER_FORMAT[name]
    if content is not None:
        other.write_bytes(content)
    elif name == "folder":
        other.mkdir()
    for fhir in ("references", "both"):
        with pytest.raises(InputError) as alone:
            await read_file(other)
        with pytest.raises(InputError) as error:
            await anext(aiter(read_records([first, other, last], SOURCE, fhir=fhir)))
        assert str(error.value) == f"{other}: {alone.value}"


async def test_leaving_early_closes_the_file(tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.write_bytes((GOOD % 1 + b"\n") * 100_000)
    records = read_records(path, SOURCE)
    first = await anext(records)
    assert first.line == 1
    await records.aclose()  # a file that stays open is a warning, and warnings are errors
    gc.collect()


def zip_of(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def old_tar(content: bytes) -> bytes:
    """An archive as there were before POSIX: without a word that says so."""
    header = bytearray(512)
    header[:8], header[100:107] = b"x.ndjson", b"0000644"
    header[124:135], header[148:156] = b"%011o" % len(content), b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header) + content + b"\0" * (-len(content) % 512)


LINES = b"".join(GOOD % n + b"\n" for n in range(3))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (old_tar(LINES), "a tar archive"),
        (lzma.compress(LINES, format=lzma.FORMAT_ALONE), "lzma"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n", "Git LFS"),
        (b"\x07\x00\x01\x02binary\n" * 20, "no text"),
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x28" + b"\0" * 40, "an image"),
        (b"\x1b\xf3\n\x05\x11\n" * 90, "no text"),
        (b'{\n  "type": "t",\n  "id": "aa"\n}\n', "--format json"),
        (LINES.replace(b"\n", b"\r"), "carriage returns"),
        (zip_of({"[Content_Types].xml": b"", "xl/workbook.xml": b""}), "Excel"),
        (zip_of({"[Content_Types].xml": b""}), "Excel"),
        (zip_of({"mimetype": b"", "content.xml": b"", "META-INF/manifest.xml": b""}), "OpenDocument"),
        (zip_of({"mimetype": b"application/vnd.oasis.opendocument.text"}), "OpenDocument"),
        (zip_of({"a.ndjson": LINES, "b.ndjson": LINES}), "2 files"),
        (b"MZ\x90\0\x03\0\0\0" + b"\0" * 600 + zip_of({"a.ndjson": LINES}), "a program"),
        (b"MZ, a stub of text\n" * 60 + zip_of({"a.ndjson": LINES}), "unpacks itself"),
        (b"no,archive\n" * 60 + zip_of({"a.ndjson": LINES}) + b"", "unpacks itself"),
        (b"#!/bin/sh\ncat <<END\n" + LINES + b"END\n", "a script"),
        (b"!<arch>\na.ndjson        0           0     0     100644  99        `\n" + LINES, "an ar archive"),
        (b"070701" + b"0" * 104 + b"a.ndjson\0\0" + LINES, "a cpio archive"),
        (b"\x1e" + LINES.replace(b"\n", b"\n\x1e", 1), "JSON text sequence"),
        (b"ORC" + b"\x11\0\0" * 90, "an ORC file"),
        (b"ARROW1\0\0" + b"\xff" * 90, "an Arrow file"),
        (b"type: t\nid: aa\n", "none of its first lines is JSON"),
        (b"[section]\nid=aa\n", "none of its first lines is JSON"),
        (b"INSERT INTO t VALUES (1);\n", "none of its first lines is JSON"),
    ],
)
async def test_what_is_no_ndjson_is_named(content: bytes, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "data"
    path.write_bytes(content)
    with pytest.raises(InputError, match=reason):
        await read_file(path)


def test_bytes_without_a_name_are_no_text() -> None:
    """As brotli gives them, and whatever else is as dense: a line break may be anywhere in them."""
    chance = Random(7)
    refused = 0
    for _ in range(2000):
        start = chance.randbytes(chance.randint(300, 700))
        refused += is_binary(start) or unsupported(start) is not None or compression_of(start) is not None
    assert refused >= 1998  # one in some thousand begins as JSON does


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "cp1251", "shift_jis"])
def test_text_in_any_encoding_is_text(encoding: str) -> None:
    line = {"latin-1": "né à Évreux,été\n", "cp1251": "имя,город\n"}.get(encoding, "名前,東京\n")
    assert not is_binary(line.encode(encoding) * 20)
    assert not is_binary(b"id,note\n" + b'aa,"\x01\x02\0\x07 \xc3\xa9"\n' * 40), (
        "cells may hold any character"
    )


@pytest.mark.parametrize("pack", [gzip.compress, lzma.compress, lambda data: zip_of({"x.parquet": data})])
async def test_parquet_in_an_archive_is_named(pack: Callable[[bytes], bytes], tmp_path: Path) -> None:
    path = tmp_path / "x.parquet.gz"
    path.write_bytes(pack(b"PAR1" + b"\0" * 50 + b"PAR1"))
    with pytest.raises(InputError, match="unpack it"):
        await read_file(path)


@pytest.mark.parametrize(
    "column",
    [
        "ORCID",
        "MZ",
        "PARENT",
        "FEA1",
        "ARROW1",
        "BM",
        "GIF",
        "Obj",
        "II",
        "PK",
        "Rar",
        "MM",
        "BZh",
        "FHS",
        "MSH",
    ],
)
@pytest.mark.parametrize("end", ["", "\n"])
async def test_a_table_may_begin_as_a_container_does(column: str, end: str, tmp_path: Path) -> None:
    path = tmp_path / "data.csv"
    path.write_text(f"{column},n\naa,1{end}")
    (found,) = await read_file(path, columns=ColumnMapping({"type": "=t", "id": column, "data.n": "n"}))
    assert isinstance(found, Record)


@pytest.mark.parametrize("first", [b"{", b"\0", b"{\0"])
async def test_a_first_line_that_is_damaged_costs_itself(first: bytes, tmp_path: Path) -> None:
    path = tmp_path / "data.ndjson"
    path.write_bytes(first[:1] + b"\n" + LINES if first == b"{" else b"{" + first + b"\n" + LINES)
    assert [type(each) for each in await read_file(path)] == [BadRecord, Record, Record, Record]


async def test_the_name_inside_an_archive_says_its_format_too(tmp_path: Path) -> None:
    path = tmp_path / "data.zip"
    path.write_bytes(
        zip_of({"x.csv": b"id\naa\n", "__MACOSX/._x.csv": b"\0\5", ".DS_Store": b"\0", "d/": b""})
    )
    columns = ColumnMapping({"type": "=t", "id": "id"})
    assert [type(each) for each in await read_file(path, columns=columns)] == [Record]
    path.write_bytes(zip_of({"x": LINES}))
    with pytest.raises(InputError, match="--format"):
        await read_file(path, columns=columns)


async def test_a_cell_that_holds_a_null_character_spoils_no_other_row(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(b"id\nbad\0\ngood\n")
    found = await read_file(path, columns=ColumnMapping({"type": "=t", "id": "id"}))
    assert [type(each) for each in found] == [BadRecord, Record]
