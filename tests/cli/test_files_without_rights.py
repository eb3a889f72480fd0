"""Files and folders that the user has no right to: each command says so, and nothing is left out."""

import os
from pathlib import Path

import pytest

import clinia_async.cli
from clinia_async import ColumnMapping, InputError, read_records
from tests.cli.program import Cli, line
from tests.privileges import without_rights_of_root

NO_FOLDER = "its folder does not exist or cannot be written to"
DENIED = "Permission denied"
GET = "relationship get t x --source s"
INGEST = "ingest a.ndjson --source s --emulator"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CLINIA_BASE_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("CLINIA_API_KEY", "a-key")
    for folder in ("closed", "open/closed", "kept"):
        Path(folder).mkdir(parents=True)
    for file in ("a.ndjson", "locked", "open/a.ndjson", "open/closed/b.ndjson", "closed/a.ndjson"):
        Path(file).write_text(line("aa"))
    for path, mode in (("locked", 0), ("closed", 0), ("open/closed", 0), ("kept", 0o500)):
        os.chmod(path, mode)  # noqa: PTH101
    # no clean-up: root and the owner of a folder may remove what is in it with its mode


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        *(
            (f"{command} {path}", DENIED)
            for command in ("validate", "fhir definitions")
            for path in (
                "locked",
                "closed",
                "closed/a.ndjson",
                "closed/none",
                "open",
                "*/closed/*.ndjson",
                "open/**/*.ndjson",
                "*/b.ndjson",
                "*/*/b.ndjson",
            )
        ),
        *(
            (f"ingest {path} --source s --emulator", DENIED)
            for path in ("locked", "closed", "closed/a.ndjson", "open", "a.ndjson open")
        ),
        ("validate locked --format csv --columns type==t,id=a", DENIED),
        ("validate locked --format parquet --columns type==t,id=a", DENIED),
        ("retry locked --source s --emulator", DENIED),
        ("retry closed/a.ndjson --source s --emulator", DENIED),
        ("journal show locked", DENIED),
        ("journal show closed/a.ndjson", DENIED),
        (f"{GET} --api-key-file locked", DENIED),
        (f"{GET} --api-key-file closed/a.ndjson", DENIED),
        ("relationship create t --source s --from a/b --to c/d --data @locked", DENIED),
        ("relationship create t --source s --from a/b --to c/d --data @closed/a.ndjson", DENIED),
        ("bulk create --source s locked", DENIED),
        (f"{INGEST} --journal closed/j", NO_FOLDER),
        (f"{INGEST} --journal closed/none/j", NO_FOLDER),
        (f"{INGEST} --dead-letters closed/d", NO_FOLDER),
        (f"{INGEST} --report closed/r.json", NO_FOLDER),
        (f"{INGEST} --report closed/none/r.json", NO_FOLDER),
        ("emulator --data kept/e --port 0", DENIED),
        ("emulator --data closed/e --port 0", DENIED),
    ],
)
def test_a_command(arguments: str, message: str, cli: Cli) -> None:
    with without_rights_of_root():
        ran = cli(*arguments.split())
    assert ran.code == 2
    *_, last = ran.messages
    assert last.startswith("error: ")
    assert message in last
    assert "Traceback" not in ran.err


@pytest.mark.parametrize("format_", [None, "ndjson", "json", "csv", "parquet", "fhir"])
@pytest.mark.parametrize("path", ["locked", "closed/a.ndjson", "closed/none"])
async def test_reading_by_the_library(path: str, format_: str | None) -> None:
    columns = ColumnMapping.parse("type==t,id=a") if format_ in {"csv", "parquet"} else None
    with without_rights_of_root(), pytest.raises(InputError, match=DENIED):
        async for _ in read_records(Path(path), "s", format=format_, columns=columns):
            pass


def test_every_path_is_of_a_type_that_leaves_rights_to_what_opens_it() -> None:
    folder = Path(clinia_async.cli.__file__).parent
    others = [path for path in folder.rglob("*.py") if path.name != "param_types.py"]
    assert [path.name for path in others if "click.Path(" in path.read_text(encoding="utf-8")] == []
