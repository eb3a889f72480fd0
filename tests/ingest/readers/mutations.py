"""Damaged files of every format, given to the library and to the command line.

Whatever a file holds: no traceback, no claim that a record is good which is not, an exit code that says what
was found, and bounded memory. A slice runs with the tests; many more by hand:

    python -m tests.ingest.readers.mutations --count 1000000
"""

import argparse
import asyncio
import bz2
import contextlib
import gzip
import io
import json
import lzma
import random
import resource
import sys
import tempfile
import time
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard
from attrs import define, field

from clinia_async import BadRecord, Blank, ColumnMapping, InputError, Record, read_records
from clinia_async.cli import main as command_line
from tests.ingest.running import SOURCE

FILES = Path(__file__).parents[2] / "data" / "files"
MAPPING = ColumnMapping.parse("type==t,id=id,data.v=v,data.n:int=n")
KIB = 1024
MEMORY = 96 * KIB
"""KiB by which one file may raise the peak of the process."""
WINDOWS = {".zst": 160 * KIB, ".xz": 320 * KIB}
"""The same for what may ask for a window: 128 MiB of zstd, 256 MiB of xz."""
LOADED = 1 / 200
"""The part of the files that is loaded into an emulator, too."""


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
for each in sorted(FILES.iterdir()):
    SEEDS[each.name] = (
        each.read_bytes(),
        {"columns": MAPPING} if ".csv" in each.name or ".parquet" in each.name else {},
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


@define
class Found:
    """What a reading of a file has found."""

    good: int = 0
    bad: int = 0
    blank: int = 0
    is_unreadable: bool = False

    @property
    def code(self) -> int:
        """The exit code that says so."""
        return 2 if self.is_unreadable else 1 if self.bad else 0


async def read(path: Path, options: Mapping[str, Any]) -> Found:
    """Return what is found. Fails for what is neither a record, a bad record nor an error of the input."""
    found = Found()
    try:
        async for each in read_records(path, SOURCE, **options):
            assert isinstance(each, Record | BadRecord | Blank)
            found.bad += isinstance(each, BadRecord)
            found.blank += isinstance(each, Blank)
            if isinstance(each, Record):
                found.good += 1
                json.loads(each.operation())
                assert b"\n" not in each.payload()
                assert each.write is not None
    except InputError as error:
        found.is_unreadable = True
        quoted = error.__context__
    else:
        quoted = None
    # an error of a library may quote what it has read
    assert quoted is None or isinstance(quoted, InputError), quoted
    return found


def run_command_line(*arguments: object) -> tuple[int, str, str]:
    """Return exit code, stdout and stderr of the command line, which runs in this process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = command_line([*map(str, arguments)])
    return code, out.getvalue(), err.getvalue()


def given_options(options: Mapping[str, Any]) -> list[str]:
    """Return options of `read_records` as the command line has them."""
    return [text for name, value in options.items() for text in (f"--{name}", str(value))]


def check(path: Path, options: Mapping[str, Any], runner: asyncio.Runner, *, load: bool = False) -> Found:
    """Read a file by the library and by the command line. Fails where they differ, or either breaks."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = runner.run(read(path, options))
    code, out, err = run_command_line("validate", path, "--json", *given_options(options))
    report = json.loads(out)
    assert (report["good"], report["bad"], report["blank"]) == (found.good, found.bad, found.blank)
    assert report["complete"] is not found.is_unreadable
    _check_end(code, err, found)
    if load:
        letters = path.with_name("letters")
        emulator = ["--source", SOURCE, "--emulator", "--dead-letters", letters]
        code, _, err = run_command_line("ingest", path, *emulator, *given_options(options))
        letters.unlink(missing_ok=True)
        # of two records with one key one may be refused
        _check_end(code, err, found, also=1 if found.good > 1 and code == 1 else code)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown <= WINDOWS.get(path.suffix, MEMORY), f"{grown:,} KiB"
    return found


def _check_end(code: int, err: str, found: Found, *, also: int | None = None) -> None:
    assert code in {found.code, found.code if also is None else also}, (code, err)
    assert "Traceback" not in err
    assert ("error: " in err) is (code == 2), err


@define
class Campaign:
    """Mutations of the seeds, in turn."""

    chance: random.Random
    folder: Path
    runner: asyncio.Runner
    codes: dict[int, int] = field(factory=dict)
    """How many files had each exit code."""

    def run(self, name: str, number: int, *, load: bool = False) -> None:
        """Check mutation `number` of a seed."""
        content, options = SEEDS[name]
        broken = mutated(content, self.chance)
        path = self.folder / name
        path.write_bytes(broken)
        try:
            code = check(path, options, self.runner, load=load).code
        except BaseException as error:
            error.add_note(f"mutation {number} of {name}: {broken[:2000]!r}")
            raise
        self.codes[code] = self.codes.get(code, 0) + 1


def main() -> int:
    """Check as many as asked for, or as there is time for; return 1 if one breaks."""
    parser = argparse.ArgumentParser(prog="python -m tests.ingest.readers.mutations", description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="end after so many, if before")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    started, names, done = time.monotonic(), [*SEEDS], 0
    with tempfile.TemporaryDirectory() as folder, asyncio.Runner() as runner:
        campaign = Campaign(random.Random(given.seed), Path(folder), runner)
        try:
            while done < given.count and time.monotonic() - started < given.seconds:
                load = campaign.chance.random() < LOADED
                campaign.run(names[done % len(names)], done, load=load)
                done += 1
                if done % 10_000 == 0:
                    print(f"{done:,} after {time.monotonic() - started:,.0f} s", flush=True)
        finally:
            print(f"{done:,} mutations, exit codes {campaign.codes}; {time.process_time():,.0f} s of CPU")
    return 0


if __name__ == "__main__":
    sys.exit(main())
