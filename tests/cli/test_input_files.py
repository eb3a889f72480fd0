"""Which files a command reads, as which format, and what it says of those that it cannot read."""

import gzip
import json
import os
import subprocess
import threading
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from clinia_async import InputError
from clinia_async.ingest.readers import spool
from tests.cli.program import DATA, Cli, ended, line, start
from tests.patience import PATIENCE

FILES = DATA / "files"
EXIT_CODES = {
    **dict.fromkeys(
        (
            "f01-nested-bundle.fhir.json",
            "f01-parameters.fhir.json",
            "f01-inner-full-url.fhir.json",
            "f02-two-servers.fhir.json",
            "f05-history.fhir.json",
            "f05-patch-in-a-transaction.fhir.json",
            "f06-id-with-underscore.fhir.json",
            "f08-conditional-found-in-the-bundle.fhir.json",
            "f10-two-extensions.fhir.json",
            "m01-array.fhir.json",
            "k01-flat.fhir.json",
            "k01-every-digit.ndjson",
            "a01-stored.zip",
            "a01-records.ndjson.bz2",
        ),
        0,
    ),
    **dict.fromkeys(
        (
            "f03-first-line-cut.fhir.ndjson",
            "f04-one-bad-entry.fhir.json",
            "f04-no-resource-type.fhir.json",
            "d01-numeric-id.fhir.json",
            "x01-600-levels.fhir.ndjson",
            "m03-500-levels.ndjson",
        ),
        1,
    ),
    **dict.fromkeys(
        (
            "a01-two-files.tar.gz",
            "a02-garbage-after-frame.ndjson.zst",
            "m01-Patient.ndjson",
            "m02-utf16.fhir.json",
        ),
        2,
    ),
}


@pytest.mark.parametrize("name", EXIT_CODES)
def test_the_exit_code_of_a_file(name: str, cli: Cli) -> None:
    assert cli("validate", FILES / name).code == EXIT_CODES[name]


def test_files_folders_and_patterns_are_one_input(cli: Cli) -> None:
    Path("in/deeper").mkdir(parents=True)
    Path("in/b.ndjson").write_text(line("p-1"))
    Path("in/deeper/a.json").write_text(f"[{line('p-2')}, {line('p-3')}]")
    Path("in/old.dead.ndjson").write_text(line("p-4"))
    Path("in/README.txt").write_text("no input")
    Path("more-1.ndjson.gz").write_bytes(gzip.compress(line("p-5").encode()))
    Path("more-2.ndjson").write_text(line("p-6"))
    ran = cli("ingest", "in", "more-*", "--source", "ehr-prod", "--emulator", "--json")
    assert (ran.code, ran.json["emulator_holds"]) == (0, 5)


def test_a_job_of_several_files_goes_on_where_it_stopped(served: object, cli: Cli) -> None:
    for number in range(3):
        Path(f"{number}.ndjson").write_text(line(f"p-{number}"))
    first = cli("ingest", "0.ndjson", "1.ndjson", "2.ndjson", "--journal", "job.db", "--json")
    again = cli("ingest", "0.ndjson", "1.ndjson", "2.ndjson", "--journal", "job.db", "--json")
    assert (first.json["landed"], first.json["sent"], again.json["sent"]) == (3, 3, 0)
    Path("1.ndjson").write_text(line("p-9"))
    assert cli("ingest", "0.ndjson", "1.ndjson", "2.ndjson", "--journal", "job.db").code == 2


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["-", "a.ndjson"], "cannot stand beside files"),
        (["gone.ndjson"], "does not exist"),
        (["gone-*"], "matches no file"),
        (["empty"], "holds no file"),
    ],
)
def test_files_that_are_none_are_refused(arguments: list[str], reason: str, cli: Cli) -> None:
    Path("a.ndjson").write_text(line("p-1"))
    Path("empty").mkdir()
    ran = cli("validate", *arguments)
    assert ran.code == 2
    assert reason in ran.err


@pytest.mark.parametrize(
    ("name", "content", "suggestion"),
    [
        ("x.ndjson", b'{"resourceType":"Patient","id":"p"}\n', "--format fhir"),
        ("x", b'{"id":"p","resourceType":"Patient"}\n', "--format fhir"),
        ("x.json", b'{\n  "resourceType": "Patient",\n  "id": "p"}', "--format fhir"),
        ("x.json", b'[\n {"resourceType": "Patient"}]', "--format fhir"),
        ("x.ndjson", b'[{"type":"t","id":"aa","data":{}}]', "--format json"),
        ("x", b"id,v\n1,2\n3,4\n", "--format csv"),
        ("x", b"PAR1....PAR1", "--format parquet"),
        ("x.csv", b"PAR1....PAR1", "--format parquet"),
        ("x.ndjson", b"\xff\xfe{\x00}\x00", "UTF-16"),
        ("x.fhir.json", '{"resourceType":"X"}'.encode("utf-16-le"), "UTF-16"),
        ("x.csv", "id,v\n1,2".encode("utf-16"), "give --encoding utf-16"),
        ("x.csv", "id,v\n1,2".encode("utf-32-be"), "UTF-32"),
        ("x.fhir.json", '{"resourceType":"X"}'.encode("utf-32-le"), "iconv -f utf-32 -t UTF-8"),
        ("x.csv", b'{"type":"t","id":"aa","data":{}}\n', "--format ndjson"),
        ("x.csv", b'{"resourceType":"Patient","id":"p"}\n', "--format fhir"),
        ("x.ndjson", b"id,v\n1,2\n3,4\n", "--format csv"),
        ("x.csv", b"id;v\n1;2\n", "--delimiter semicolon"),
        ("x.csv", b"\n\nid,v\n1,2\n", "--skip"),
        ("x.json", b"// a comment\n[]", "such as a comment"),
        ("x.hl7", b"MSH|^~\\&|A|B\rPID|1\r", "HL7"),
        ("x.pkl", b"\x80\x04\x95\x0a\x00\x00\n", "no text"),
        ("x.db", b"SQLite format 3\0" + b"\0" * 500, "export it"),
        ("x.arrows", b"\xff\xff\xff\xff\x78\x00\x00\x00\x10\x00\x00\x00" + b"\0" * 500, "Arrow"),
        ("x.tar", bytes(257) + b"ustar\x00" + bytes(300), "tar -xOf ARCHIVE FILE | clinia-async ingest -"),
        ("x.ndjson", b"7z\xbc\xaf\x27\x1c" + b"\0" * 300, "7z"),
        ("x.csv", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 300, "Excel"),
        ("x.fhir.json", b"<?xml version='1.0'?>\n<Bundle/>", "XML"),
        ("x.gz", gzip.compress(gzip.compress(b"{}", mtime=0), mtime=0), "compressed twice"),
    ],
)
def test_another_format_is_named_and_nothing_is_sent(
    name: str, content: bytes, suggestion: str, cli: Cli
) -> None:
    Path(name).write_bytes(content)
    ran = cli("validate", name)
    assert ran.code == 2
    assert suggestion in ran.err
    assert ran.err.count("\n") == 1
    assert ran.err.startswith("error: ")


@pytest.mark.parametrize("kind", ["link", "pipe", "device"])
def test_what_is_no_regular_file_is_named(kind: str, cli: Cli) -> None:
    path = Path("/dev/null" if kind == "device" else "x.ndjson")
    if kind == "link":
        path.symlink_to("gone")
    elif kind == "pipe":
        os.mkfifo(path)
    for command in (["validate", path], ["ingest", path, "--source", "s", "--emulator"]):
        ran = cli(*command)
        assert ran.code == 2
        assert ("is a link to what does not exist" if kind == "link" else "must be a regular file") in ran.err
        assert "Traceback" not in ran.err


def test_a_format_may_be_said(cli: Cli) -> None:
    resource = json.dumps(
        {"resourceType": "Patient", "id": "p", "managingOrganization": {"reference": "Organization/o"}}
    )
    Path("x.txt").write_text(f"{resource}\n{resource}\n")
    assert cli("validate", "x.txt", "--format", "fhir-ndjson", "--json").json["good"] == 2
    assert cli("validate", "x.txt", "--format", "fhir", "--json").json["good"] == 2
    Path("y.txt").write_text(f"[{resource},\n{resource}]")
    assert cli("validate", "y.txt", "--format", "fhir-document", "--json").json["good"] == 2


@pytest.mark.parametrize("head", [1, 3])
def test_a_pipe_may_bring_its_first_byte_alone(head: int) -> None:
    content = gzip.compress(line("p-1").encode())
    reading, writing = os.pipe()

    def feed() -> None:
        with os.fdopen(writing, "wb", buffering=0) as pipe:
            pipe.write(content[:head])
            time.sleep(0.3)
            pipe.write(content[head:])

    feeding = threading.Thread(target=feed)
    feeding.start()
    process = start("validate", "-", "--json", stdin=reading)
    os.close(reading)
    out, _ = process.communicate(timeout=PATIENCE)
    feeding.join()
    assert (process.returncode, json.loads(out)["good"]) == (0, 1)


def test_resources_at_the_emulator_are_counted_too(cli: Cli) -> None:
    ran = cli("ingest", FILES / "m05-resources.ndjson", "--source", "ehr-prod", "--emulator")
    assert ran.out.splitlines()[-1] == "the emulator holds 0 relationships and 9 resources"


TABLE = ("--columns", "type==t1,id=concept_id,data.v=concept_name", "--json")


def test_a_table_is_read_as_the_options_say(cli: Cli) -> None:
    ran = cli("validate", FILES / "c03-tab.csv", *TABLE)
    assert (ran.code, "--delimiter tab" in ran.err) == (2, True)
    ran = cli("validate", FILES / "c03-tab.csv", *TABLE, "--delimiter", "tab")
    assert (ran.code, ran.json["good"]) == (0, 1)
    Path("x.csv").write_bytes("about\n1;é\n2;x\n".encode("cp1252"))
    options = ["--delimiter", ";", "--encoding", "cp1252", "--skip", "1", "--no-header", "--limit", "1"]
    ran = cli("validate", "x.csv", "--columns", "type==t1,id:str=1,data.v=2", *options, "--json")
    assert (ran.code, ran.json["lines"]) == (1, 1), "an id has two characters at least"


def test_escapes_are_read_as_the_option_says(cli: Cli) -> None:
    Path("x.csv").write_text('id,v,w\nr-1,"a \\"b\\"",\\N\nr-2,NA,z\n')
    columns = ("--columns", "type==note,id=id,data.v=v,data.w=w")
    ran = cli("validate", "x.csv", *columns)
    assert (ran.code, "try --escape backslash" in ran.out) == (1, True)
    ran = cli("validate", "x.csv", *columns, "--escape", "backslash", "--null", "NA")
    assert ran.code == 0
    for escape in ("\\", "backslash"):
        ran = cli("ingest", "x.csv", *columns, "--source", "ehr", "--emulator", "--escape", escape)
        assert ran.code == 0
    ran = cli("validate", "x.csv", "--escape", "\\\\")
    assert (ran.code, "escape must be one character" in ran.err) == (2, True)


def test_another_escape_is_another_input_for_a_journal(cli: Cli) -> None:
    Path("x.csv").write_text('id,v\nr-1,"a \\"b\\""\n')
    job = ("ingest", "x.csv", "--columns", "type==note,id=id,data.v=v", "--source", "ehr", "--emulator")
    assert cli(*job, "--journal", "j", "--escape", "backslash").code == 0
    assert cli(*job, "--journal", "j", "--escape", "backslash").code == 0
    for other in (("--escape", "quoted-backslash"), (), ("--escape", "backslash", "--null", "NA")):
        ran = cli(*job, "--journal", "j", *other)
        assert (ran.code, "other input" in ran.err or "journal" in ran.err) == (2, True), ran.err


def test_options_of_a_table_that_are_none_are_refused(cli: Cli) -> None:
    ran = cli("validate", FILES / "c03-tab.csv", "--delimiter", "::")
    assert (ran.code, "one character" in ran.err) == (2, True)


@pytest.mark.parametrize(
    ("name", "columns", "code"),
    [
        ("m04-mac-line-ends.csv", "type==t1,id=id,data.v=v", 0),
        ("p01-empty-group.parquet", "type==t1,data.v=nested", 0),
        ("p02-naive-timestamp.parquet", "type==t1,data.v=at", 2),
        ("p02-naive-timestamp.parquet", "type==t1,data.v:str=at", 0),
        ("p02-text-as-binary.parquet", "type==t1,data.v=v", 0),
        ("p03-one-bad-text.parquet", "type==t1,data.v=v", 1),
        ("d01-short-row.csv", "type==t1,id=id,data.v=v", 1),
    ],
)
def test_the_exit_code_of_a_table(name: str, columns: str, code: int, cli: Cli) -> None:
    assert cli("validate", FILES / name, "--columns", columns).code == code


SEVERAL = {
    "a.ndjson": f'{line("p-1")}{{"type": "practises-at"}}\n',
    "b.csv": "type,from.id,from.type,to.id,to.type\nx,a.b,t,c,t\nx,a.b\n",
    "c.fhir.json": '{"resourceType": "Patient", "id": 1}',
    "d.ndjson": f'{line("p-1", data={"other": 1})}\n{{"type": "practises-at"}}\n',
}
PLACES = {("a.ndjson", 2), ("b.csv", 2), ("b.csv", 3), ("c.fhir.json", 1), ("d.ndjson", 1), ("d.ndjson", 3)}


def _places_of(path: str) -> set[tuple[str, int]]:
    letters = [json.loads(text)["deadLetter"] for text in Path(path).read_text().splitlines()]
    return {(letter["file"], letter["line"]) for letter in letters}


def test_several_files_are_named_beside_the_lines(served: object, cli: Cli) -> None:
    for name, text in SEVERAL.items():
        Path(name).write_text(text)
    ran = cli("ingest", *SEVERAL, "--dead-letters", "x.dead.ndjson", "--report", "r.html")
    assert ran.code == 1
    assert "2 invalid: $.from: is required (a.ndjson line 2, d.ndjson line 3)" in ran.out
    assert "(c.fhir.json line 1)" in ran.out
    assert _places_of("x.dead.ndjson") == PLACES
    assert "a.ndjson 2, d.ndjson 3" in Path("r.html").read_text()
    again = cli("retry", "x.dead.ndjson", "--dead-letters", "y.dead.ndjson", "--source", "ehr-prod")
    assert "a.ndjson line 2, d.ndjson line 3" in again.out
    assert _places_of("y.dead.ndjson") == PLACES
    checked = cli("validate", *SEVERAL, "--json").json
    groups = {each["reason"]: each for each in checked["reasons"]}
    assert groups["$.from: is required"]["first_files"] == ["a.ndjson", "d.ndjson"]
    assert groups["$.from: is required"]["first_lines"] == [2, 3]


def test_the_file_that_cannot_be_read_on_is_named(cli: Cli) -> None:
    Path("a.ndjson").write_text(line("p-1"))
    Path("b.ndjson").write_bytes(gzip.compress(line("p-2").encode())[:-4])
    ran = cli("validate", "a.ndjson", "b.ndjson")
    assert (ran.code, ran.messages) == (
        2,
        ["error: b.ndjson: the input is a damaged archive or cannot be read to its end"],
    )


def test_fhir_on_standard_input_is_read_twice(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    options = ["--format", "fhir", "--fhir", "both", "--source", "s", "--emulator", "--json"]
    process = start("ingest", "-", *options, stdin=subprocess.PIPE)
    ran = ended(process, gzip.compress((FILES / "f07-resources-too.fhir.json").read_bytes()))
    assert (ran.code, ran.json["emulator_holds"], ran.json["emulator_holds_resources"]) == (0, 1, 2)
    assert list(tmp_path.glob("clinia-async-*")) == []


async def test_what_is_kept_of_standard_input_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    async def blocks() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield b"x" * 10

    with ExitStack() as opened:
        path = await spool.spooled(blocks(), opened)
        assert (path.read_bytes(), path.stat().st_mode & 0o777) == (b"x" * 30, 0o600)
    assert not path.exists()
    monkeypatch.setattr(spool, "LARGEST_SPOOLED", 20)
    with ExitStack() as opened, pytest.raises(InputError, match="give the file's name"):
        await spool.spooled(blocks(), opened)
    monkeypatch.setattr("tempfile.tempdir", "/nowhere")
    with ExitStack() as opened, pytest.raises(InputError, match="no room"):
        await spool.spooled(blocks(), opened)


@pytest.mark.parametrize(
    "named",
    [["a.ndjson", "a.ndjson"], ["a.ndjson", "*.ndjson"], [".", "./a.ndjson"], ["a.ndjson", "link.ndjson"]],
)
def test_a_file_is_not_read_twice(named: list[str], cli: Cli) -> None:
    Path("a.ndjson").write_text('{"type":"t","data":{}}\n')
    if "link.ndjson" in named:
        Path("link.ndjson").symlink_to("a.ndjson")
    ran = cli("validate", *named)
    assert ran.code == 2
    assert "is named twice" in " ".join(ran.err.split())


@pytest.mark.parametrize("options", [("--fhir", "both"), ("--fhir-base", "http://x.example.org/fhir")])
@pytest.mark.parametrize("name", ["r.ndjson", "r.json", "r.csv", "-"])
def test_an_option_of_fhir_is_refused_where_nothing_is_fhir(
    name: str, options: tuple[str, str], cli: Cli, tmp_path: Path
) -> None:
    """As one of tables is: an option that changes nothing was meant to change something."""
    text = '{"type":"t","from":{"id":"a","type":"p"},"to":{"id":"b","type":"q"}}'
    content = {"r.json": f"[{text}]", "r.csv": "type,from.id,from.type,to.id,to.type\nt,a,p,b,q\n"}
    path = tmp_path / name
    if name != "-":
        path.write_text(content.get(name, text))
    if name == "-":
        found = ended(start("validate", "-", *options, stdin=subprocess.PIPE), text.encode())
    else:
        found = cli("validate", path, *options)
    assert found.code == 2
    assert "for FHIR: leave it out for other formats" in found.err


@pytest.mark.parametrize("options", [("--fhir", "both"), ("--fhir-base", "http://x.example.org/fhir")])
def test_an_option_of_fhir_is_refused_where_none_of_several_files_is_fhir(
    options: tuple[str, str], cli: Cli, tmp_path: Path
) -> None:
    """Whatever their names say. Where one of them is FHIR, or holds dead letters, it has a use."""
    paths = [tmp_path / name for name in ("part-0000", "part-0001", "part.csv")]
    for path in paths[:2]:
        path.write_text('{"type":"t","from":{"id":"a","type":"p"},"to":{"id":"b","type":"q"}}')
    paths[2].write_text("type,from.id,from.type,to.id,to.type\nt,a,p,b,q\n")
    found = cli("validate", *paths, *options)
    assert found.code == 2
    assert "for FHIR: leave it out for other formats" in found.err
    assert "good                  0" in found.out
    letter = tmp_path / "part-0002"
    letter.write_text('{"deadLetter":{"line":1,"text":"{}"}}\n')
    assert "for FHIR" not in cli("validate", *paths, letter, *options).err
