"""Whatever a file holds: no traceback, no claim that a record is good which is not, and bounded memory.

A slice of the mutations runs here, and as many as the environment variable CLINIA_MUTATIONS says.
"""

import asyncio
import bz2
import gzip
import io
import json
import lzma
import os
import random
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

from clinia_async import BadRecord, Blank, ColumnMapping, InputError, Record, read_records
from tests.ingest.running import SOURCE

MUTATIONS = int(os.environ.get("CLINIA_MUTATIONS", "2000"))
FILES = Path(__file__).parents[2] / "data" / "files"
MAPPING = ColumnMapping.parse("type==t,id=id,data.v=v,data.n:int=n")


def lines(count: int) -> bytes:
    ends = {"from": {"id": "a-{n}", "type": "x"}, "to": {"id": "b", "type": "y"}}
    meta = {"createdAt": "2020-01-01T00:00:00Z"}
    kinds = [
        {"type": "t", "id": "id-{n}", "data": {"v": "é\u2028", "n": 1.10}},
        {"type": "r", **ends, "data": {"x": [1]}},
        {"action": "UPSERT", "type": "t", "id": "up-{n}", "data": {}, "meta": meta},
    ]
    return "".join(json.dumps(kinds[n % 3]).replace("{n}", str(n)) + "\n" for n in range(count)).encode()


def table() -> bytes:
    rows = [f'id-{n},"quoted ""{n}""\nline",{n}' for n in range(20)]
    return "\n".join(["id,v,n", *rows, ""]).encode()


def parquet() -> bytes:
    columns = {"id": [f"id-{n}" for n in range(50)], "v": [f"é{n}" for n in range(50)], "n": [*range(50)]}
    buffer = io.BytesIO()
    pq.write_table(pa.table(columns), buffer, row_group_size=20, compression="zstd")
    return buffer.getvalue()


def zipped(content: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.ndjson", content)
    return buffer.getvalue()


def fhir(indent: int | None) -> bytes:
    text = (FILES / "k01-flat.fhir.json").read_text()
    return json.dumps(json.loads(text), indent=indent).encode()


LETTERS = (
    b'{"deadLetter":{"line":3,"text":"{\\"columns\\":[\\"id\\",\\"v\\",\\"n\\"],\\"cells\\":[\\"aa\\",\\"1\\",\\"2\\"]}"}}\n'
    * 5
)
SEEDS: dict[str, tuple[bytes, dict[str, Any]]] = {
    "x.ndjson": (lines(9), {}),
    "x.json": (b"[" + b",".join(lines(9).splitlines()) + b"]", {}),
    "x.csv": (table(), {"columns": MAPPING}),
    "x.parquet": (parquet(), {"columns": MAPPING}),
    "x.fhir.json": (fhir(1), {"fhir": "resources"}),
    "y.fhir.json": (fhir(None), {}),
    "x.fhir.ndjson": ((FILES / "f03-first-line-cut.fhir.ndjson").read_bytes(), {}),
    "x.dead.ndjson": (LETTERS, {"columns": MAPPING}),
    "x.ndjson.gz": (gzip.compress(lines(9)), {}),
    "x.ndjson.bz2": (bz2.compress(lines(9)), {}),
    "x.ndjson.xz": (lzma.compress(lines(9)), {}),
    "x.ndjson.zst": (zstandard.compress(lines(9)), {}),
    "x.ndjson.zip": (zipped(lines(9)), {}),
}
for given in sorted(FILES.iterdir()):
    SEEDS[given.name] = (
        given.read_bytes(),
        {"columns": MAPPING} if ".csv" in given.name or ".parquet" in given.name else {},
    )
WORDS = [
    b"\x00",
    b"\xff",
    b'"',
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b"\n",
    b"\r",
    b"\\",
    b"NaN",
    b"1e999",
    b'"id":',
    b"\xed\xa0\x80",
]
WORDS += [
    b"9" * 400,
    b"[" * 600,
    b'{"a":' * 600,
    b"\\ud800",
    b"resourceType",
    b"PAR1",
    b"\x1f\x8b\x08",
    b"\xef\xbb\xbf",
    b"null",
]


def mutated(content: bytes, chance: random.Random) -> bytes:
    raw = bytearray(content)
    for _ in range(chance.randint(1, 3)):
        place = chance.randrange(len(raw) + 1)
        match chance.randrange(6):
            case 0:
                del raw[place:]
            case 1:
                raw[place:place] = chance.choice(WORDS)
            case 2:
                raw[place : place + chance.randint(1, 30)] = b""
            case 3:
                raw[place : place + 1] = bytes([chance.randrange(256)])
            case 4:
                raw[place : place + 8] = chance.choice(WORDS)
            case _:
                start = chance.randrange(len(raw) + 1)
                raw[place:place] = raw[start : start + chance.randint(1, 200)]
    return bytes(raw)


async def read(path: Path, options: dict[str, Any]) -> None:
    """Raises for anything that is neither a record, a bad record nor an error of the input."""
    try:
        async for each in read_records(path, SOURCE, **options):
            assert isinstance(each, Record | BadRecord | Blank)
            if isinstance(each, Record):
                json.loads(each.operation())
                assert each.write is not None
    except InputError as error:
        found = error.__context__
    else:
        return
    assert found is None or isinstance(found, InputError), found


@pytest.mark.parametrize("name", SEEDS)
def test_no_damage_is_a_traceback(name: str, tmp_path: Path) -> None:
    content, options = SEEDS[name]
    chance = random.Random(name)
    path = tmp_path / name

    async def run() -> None:
        for number in range(max(1, MUTATIONS // len(SEEDS))):
            broken = mutated(content, chance)
            path.write_bytes(broken)
            try:
                await read(path, options)
            except BaseException as error:
                error.add_note(f"mutation {number} of {name}: {broken[:2000]!r}")
                raise

    asyncio.run(run())


@pytest.mark.parametrize("name", [name for name in SEEDS if name.startswith(("x.", "y."))])
def test_no_file_that_is_cut_off_is_a_traceback(name: str, tmp_path: Path) -> None:
    content, options = SEEDS[name]
    path = tmp_path / name

    async def run() -> None:
        for length in range(0, len(content), max(1, len(content) // 60)):
            path.write_bytes(content[:length])
            await read(path, options)

    asyncio.run(run())


# Kinds of inputs that a suite of tests for parsers of JSON has: what must be taken, and what must be refused.
TAKEN = [
    "[]",
    "{}",
    '{"a":[]}',
    "[1e1]",
    "[-0]",
    "[123e65]",
    "[0e+1]",
    "[1E22]",
    '["\\u0060\\u012a"]',
    '["\\uD801\\udc37"]',
    '["\\"\\\\\\/\\b\\f\\n\\r\\t"]',
    '["\\u0000"]',
    '["\u20ac\U0001d11e"]',
    "[ 1\n,\t2 ]",
    '{"":0}',
    '{"\\u0000":1}',
    "[null,true,false]",
    '["\x7f"]',
    "[-123123e-10]",
    '["\u2028"]',
    "[" * 190 + "]" * 190,
]
REFUSED = [
    "[1,]",
    "[1 true]",
    "[,1]",
    "[1,,2]",
    '{"a":1,}',
    '{"a" 1}',
    "{a:1}",
    "{1:1}",
    '{"a":1}}',
    "[1",
    '["a',
    "[-]",
    "[+1]",
    "[01]",
    "[1.]",
    "[.5]",
    "[1e]",
    "[0x1]",
    "[NaN]",
    "[Infinity]",
    "[-Infinity]",
    '["\\x00"]',
    '["\\u00"]',
    '["\\ud800"]',
    '["\t"]',
    '["\n"]',
    "['a']",
    "[True]",
    "[nul]",
    "[1]x",
    "[1][2]",
    "",
    "[\u00a0]",
    '{"a":1,"a":2}',
    "[1e999]",
    "[" * 10_000,
    "[" * 300 + "]" * 300,
    "[\x0c]",
    '["\\a"]',
    '["\\uD834\\uDd"]',
    "*",
    "[*]",
    '{"a":/*x*/1}',
    "[1,\n// x\n2]",
    "<.>",
    "[\u2060]",
    '\\u000A""',
    '["asd]',
]


@pytest.mark.parametrize(
    "wrap", [lambda text: f'{{"type":"t","id":"aa","data":{{"x":{text}}}}}'], ids=["data"]
)
def test_json_is_taken_as_its_standard_says(wrap: Callable[[str], str], tmp_path: Path) -> None:
    path = tmp_path / "x.ndjson"
    good = [wrap(text).replace("\n", " ") for text in TAKEN]
    bad = [wrap(text).replace("\n", "\x0b") for text in REFUSED]
    path.write_bytes("\n".join([*good, *bad]).encode())

    async def run() -> list[type]:
        return [type(each) async for each in read_records(path, SOURCE)]

    assert asyncio.run(run()) == [Record] * len(good) + [BadRecord] * len(bad)


@pytest.mark.parametrize("kind", ["fhir-ndjson", "fhir-document", "json"])
def test_json_of_every_format_is_taken_as_its_standard_says(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "x"

    async def run(text: str) -> list[type]:
        record = f'{{"type":"t","id":"aa","data":{{"x":{text}}}}}'
        resource = f'{{"resourceType":"T","id":"aa","x":{text}}}'
        path.write_bytes((f"[{record}]" if kind == "json" else resource).encode())
        try:
            found = read_records(path, SOURCE, format=kind, fhir="resources")
            return [type(each) async for each in found]
        except InputError:
            return [BadRecord]

    for text in TAKEN:
        taken = text.replace("\n", " ") if kind == "fhir-ndjson" else text
        assert asyncio.run(run(taken)) == [Record], text
    for text in REFUSED:
        assert BadRecord in asyncio.run(run(text)), text
