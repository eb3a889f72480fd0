"""What would be refused is told without a service, by the same code and with the same exit codes."""

import csv
import gzip
import json
import signal
import subprocess
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.cli.program import DATA, DIRTY, Cli, ended, line, start
from tests.patience import PATIENCE

LARGE = DATA / "practises-at-100k.ndjson.gz"


def _file(*lines: str, name: str = "relationships.ndjson") -> Path:
    path = Path(name)
    path.write_text("".join(lines))
    return path


def test_the_dirty_file_is_bad_exactly_where_its_table_says(cli: Cli) -> None:
    with (DATA / "dirty-1k.expected.tsv").open(encoding="utf-8") as rows:
        table = {int(number): verdict for number, verdict in csv.reader(rows, delimiter="\t")}
    verdicts = list(table.values())
    blank, fine = verdicts.count("blank"), verdicts.count("ok")
    ran = cli("validate", DIRTY, "--json", "--dead-letters", "bad.ndjson")
    assert (ran.code, ran.err) == (1, "49 bad records are in bad.ndjson\n")
    report = ran.json
    assert (report["lines"], report["blank"], report["good"]) == (
        1000,
        blank,
        fine,
    )
    assert report["bad"] == 1000 - report["blank"] - report["good"] == 49
    assert sum(each["count"] for each in report["reasons"]) == 49
    assert report["by_action"] == {"CREATE RELATIONSHIP": 941}
    assert report["complete"] is True
    letters = [json.loads(text)["deadLetter"] for text in Path("bad.ndjson").read_text().splitlines()]
    assert {letter["line"] for letter in letters} == {
        number for number, verdict in table.items() if verdict not in {"ok", "blank"}
    }
    again = cli("validate", "bad.ndjson", "--json")
    assert (again.code, again.json["bad"], again.json["lines"]) == (1, 49, 49)


def test_each_reason_names_its_first_lines_and_the_path(cli: Cli) -> None:
    ran = cli("validate", _file(line("a"), *['{"type": "t"}\n'] * 7, "{\n"))
    assert ran.code == 1
    assert ran.out.splitlines()[-2:] == [
        "          7 bad: $.from: is required (lines 2, 3, 4, 5, 6, ...)",
        "          1 bad: $: expected JSON (line 9)",
    ]


def test_it_says_what_ingest_says(cli: Cli) -> None:
    checked = cli("validate", DIRTY, "--json").json
    sent = cli("ingest", DIRTY, "--source", "s", "--emulator", "--json").json
    assert (checked["good"], checked["bad"], checked["blank"]) == (sent["sent"], 49, sent["blank"])
    refused = [each for each in sent["reasons"] if each["disposition"] == "invalid"]
    assert {each["reason"]: each["count"] for each in checked["reasons"]} == {
        each["reason"]: each["count"] for each in refused
    }


@pytest.mark.campaign
def test_repeated_keys_are_counted_and_are_no_fault(cli: Cli) -> None:
    keys = set()
    repeated = 0
    for text in gzip.decompress(LARGE.read_bytes()).splitlines():
        record = json.loads(text)
        key = (record["type"], record["from"]["id"], record["to"]["id"])
        repeated += key in keys
        keys.add(key)
    ran = cli("validate", LARGE)
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.splitlines() == [
        "lines           100,000",
        "blank                 0",
        "good            100,000",
        "bad                   0",
        "    100,000 CREATE RELATIONSHIP",
        f"      {repeated:,} with a key that occurred before",
    ]


def test_nothing_is_a_good_file(cli: Cli) -> None:
    assert cli("validate", _file()).code == 0


def test_an_input_that_cannot_be_read_on_is_reported_after_what_was_read(cli: Cli) -> None:
    packed = gzip.compress("".join(line(f"p-{n}") for n in range(50_000)).encode())
    Path("cut.gz").write_bytes(packed[:-100])
    ran = cli("validate", "cut.gz", "--json")
    assert ran.code == 2
    assert ran.err == "error: the input is a damaged archive or cannot be read to its end\n"
    assert ran.json["complete"] is False
    assert ran.json["good"] > 10_000


COLUMNS = "type==practises-at,from.id=npi,from.type==practitioner,to.id=org,to.type==organization"


def test_tables(cli: Cli) -> None:
    path = _file("npi,org\n1,a\n,b\n", name="sheet.csv")
    ran = cli("validate", path, "--columns", COLUMNS, "--json")
    assert (ran.code, ran.json["good"]) == (1, 1)
    assert ran.json["reasons"] == [
        {"reason": "$.from.id (column npi): is required", "count": 1, "first_lines": [3]}
    ]
    pq.write_table(pa.table({"npi": [1, 2], "org": ["a", "b"]}), "table.parquet")
    ran = cli("validate", "table.parquet", "--columns", COLUMNS.replace("from.id", "from.id:str"))
    assert (ran.code, ran.err) == (0, "")
    Path("table.data").write_bytes(path.read_bytes())
    ran = cli(
        "validate", "table.data", "--columns", COLUMNS, "--format", "csv", "--action", "upsert", "--json"
    )
    assert ran.json["by_action"] == {"UPSERT RELATIONSHIP": 1}


def test_references_of_fhir_that_are_passed_over_are_counted(cli: Cli) -> None:
    patient = {"resourceType": "Patient", "id": "p", "a": {"reference": "#x"}, "b": {"reference": "Group/1"}}
    ran = cli("validate", _file(json.dumps(patient), name="p.fhir.json"))
    assert ran.code == 0
    assert ran.out.splitlines()[-1] == "          1 references skipped: contained in the resource itself"


def test_dots(cli: Cli) -> None:
    path = _file(line("a.1"))
    assert cli("validate", path).code == 1
    assert cli("validate", path, "--dots", "escape").code == 0


@pytest.mark.parametrize(
    "arguments",
    [
        ("--columns", "CANARY=a"),
        ("--columns", "type=CANARY"),
        ("--format", "xml"),
        ("--action", "merge"),
        ("--source", "CANARY ."),
        ("--dead-letters", "gone/letters"),
        ("--dead-letters", "relationships.ndjson"),
        ("--format", "parquet"),
        ("--format", "csv"),
    ],
)
def test_wrong_usage(arguments: tuple[str, ...], cli: Cli) -> None:
    ran = cli("validate", _file(line("CANARY")), *arguments)
    assert ran.code == 2
    assert ran.err.startswith("error: ")
    assert ran.err.count("\n") == 1
    assert "CANARY" not in ran.err


def test_standard_input() -> None:
    ran = ended(start("validate", "-", "--json", stdin=subprocess.PIPE), (line("a") + "\n{").encode())
    assert (ran.code, ran.json["good"], ran.json["blank"], ran.json["bad"]) == (1, 1, 1, 1)
    ran = ended(start("validate", "-", "--format", "parquet", stdin=subprocess.PIPE), b"x")
    assert (ran.code, ran.err.count("\n")) == (2, 1)


def test_an_interrupt_ends_it_while_standard_input_brings_nothing() -> None:
    process = start("validate", "-", stdin=subprocess.PIPE)
    assert process.stdin is not None
    process.stdin.write(line("a").encode())
    process.stdin.flush()
    _until_it_reads(process)
    process.send_signal(signal.SIGINT)
    process.wait(PATIENCE)
    assert ended(process).code == 130


def _until_it_reads(process: subprocess.Popen[bytes]) -> None:
    """Until the program has taken what was written."""
    import fcntl
    import struct
    import termios
    import time

    assert process.stdin is not None
    for _ in range(PATIENCE * 20):
        waiting = fcntl.ioctl(process.stdin.fileno(), termios.FIONREAD, b"\0" * 4)
        if struct.unpack("i", waiting) == (0,):
            return
        time.sleep(0.05)
    pytest.fail("nothing was read")
