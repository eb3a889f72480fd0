"""Memory is bounded, whatever the size of the file, of a line, of a cell or of a row."""

import gzip
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard

pytestmark = pytest.mark.campaign

PROGRAM = """
import asyncio, sys, tracemalloc, zstandard
from pathlib import Path
from clinia_async import ColumnMapping, InputError, read_records
path, format_, columns, first = sys.argv[1:]
mapping = ColumnMapping.parse(columns) if columns else None
def resident():
    text = Path("/proc/self/status").read_text()
    return int(text.split("VmHWM:")[1].split()[0]) / 1024
async def counted(path):
    counts = {}
    try:
        async for each in read_records(Path(path), "s", format=format_, columns=mapping):
            counts[type(each).__name__] = counts.get(type(each).__name__, 0) + 1
    except InputError:
        counts["InputError"] = 1
    return counts
async def main():
    await counted(first)  # loads the readers, which are code and not data
    before = resident()
    counts = await counted(path)
    print(counts, round(resident() - before))
asyncio.run(main())
"""
LINE = b'{"type":"t","from":{"id":"%d","type":"a"},"to":{"id":"z","type":"b"},"data":{"x":"%s"}}\n'
COLUMNS = "type==t,from.id=a,from.type==a,to.id=b,to.type==b"
LARGE = 300_000_000


def grown(path: Path, format_: str, columns: str = "", *, first: Path = Path("/dev/null")) -> tuple[str, int]:
    """What was read, and by how many MiB the program grew after it had read ``first``."""
    command = [sys.executable, "-c", PROGRAM, str(path), format_, columns, str(first)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=100)
    counts, _, size = done.stdout.strip().rpartition(" ")
    return counts, int(size)


def pieces(size: int, piece: bytes) -> Iterator[bytes]:
    for _ in range(size // len(piece)):
        yield piece


def write(path: Path, *, start: bytes = b"", piece: bytes, size: int = LARGE) -> Path:
    with gzip.open(path, "wb", compresslevel=1) if path.suffix == ".gz" else path.open("wb") as file:
        file.write(start)
        for each in pieces(size, piece * 100):
            file.write(each)
    return path


def test_many_lines(tmp_path: Path) -> None:
    path = write(tmp_path / "lines.gz", piece=LINE % (1, b"x" * 200), size=100_000_000)
    counts, size = grown(path, "ndjson")
    assert "Record" in counts
    assert size <= 24


@pytest.mark.parametrize("format_", ["ndjson", "csv", "fhir"])
@pytest.mark.parametrize("name", ["line", "line.gz", "line.zst"])
def test_one_endless_line(format_: str, name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    if name.endswith(".zst"):
        path.write_bytes(zstandard.compress(b"a,b\n" + b"x" * LARGE))
    else:
        write(path, start=b"a,b\n" if format_ == "csv" else b"", piece=b"x" * 1000)
    counts, size = grown(path, format_, COLUMNS if format_ == "csv" else "")
    assert counts in {"{'BadRecord': 1}", "{'BadRecord': 2}", "{'InputError': 1}"}
    # a document of FHIR is held whole, up to its limit, and joined once
    assert size <= (64 if format_ == "fhir" else 24)


@pytest.mark.parametrize(
    "piece",
    [
        b"1,2\n",  # rows
        b'"x\n',  # a quotation mark left open
        b'"x\n",',  # one row over many lines
        b"x,",  # a row of endless cells
    ],
)
def test_csv_of_any_size(piece: bytes, tmp_path: Path) -> None:
    path = write(tmp_path / "sheet.csv", start=b"a,b\n", piece=piece, size=2_000_000)
    counts, size = grown(path, "csv", COLUMNS)
    assert counts
    # where the end of a row is looked for, its lines are objects, up to the largest row
    assert size <= (48 if piece.startswith(b'"x\n",') else 24)


def write_table(path: Path, row_groups: int) -> Path:
    batch = pa.record_batch({"a": [f"prac-{n}" for n in range(20_000)], "b": ["x" * 200] * 20_000})
    with pq.ParquetWriter(path, batch.schema, use_dictionary=False, compression="none") as file:
        for _ in range(row_groups):
            file.write_batch(batch)
    return path


def test_many_row_groups(tmp_path: Path) -> None:
    # pyarrow keeps for itself what it once needed, how much differs by machine: a table of
    # five row groups makes it do so, and one of sixty needs no more
    few = write_table(tmp_path / "few.parquet", 5)
    many = write_table(tmp_path / "many.parquet", 60)
    assert many.stat().st_size > 200_000_000
    counts, size = grown(many, "parquet", COLUMNS, first=few)
    assert counts == "{'Record': 1200000}"
    assert size <= 64


def test_many_bundles(tmp_path: Path) -> None:
    patient = {"resourceType": "Patient", "id": "p", "managingOrganization": {"reference": "Organization/9"}}
    bundle = {"resourceType": "Bundle", "entry": [{"resource": patient}] * 100}
    path = write(tmp_path / "b.ndjson", piece=json.dumps(bundle).encode() + b"\n", size=20_000_000)
    counts, size = grown(path, "fhir")
    assert "Record" in counts
    assert size <= 24
