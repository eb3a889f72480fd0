"""Several processes are one job: however the program was started, and whatever the processes read."""

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import clinia_async
from clinia_async import ConfigError, ProcessIngestion, read_records
from clinia_async.emulator import Emulator
from clinia_async.ingest.outcomes.dead_letters import PREFIX
from clinia_async.ingest.readers.compression import InputError
from clinia_async.ingest.readers.fhir_content import PassedOver
from clinia_async.ingest.records.record_stream import RecordStream
from tests.cli.program import line
from tests.factories import SOURCE
from tests.patience import PATIENCE

ROOT = Path(__file__).parents[3]
LINES = [line(f"prac-{number}") for number in range(12)]
PROGRAM = """
import asyncio
from pathlib import Path
from clinia_async import ProcessIngestion
from clinia_async.emulator import Emulator

def same(type_, id_):
    return id_

async def main():
    async with Emulator() as service:
        to = {"base_url": service.url, "api_key": service.key}
        options = dict(processes=2, dead_letters=Path("dead.ndjson"), session=to)
        try:
            report = await ProcessIngestion([Path("records.ndjson")], "s", **options, read=READ).run()
        except Exception as error:
            Path("said").write_text(f"{type(error).__name__}: {error}")
        else:
            Path("said").write_text(f"{report.read} {report.landed} {service.relationships()}")

asyncio.run(main())
"""
SHELL = {
    "a file": "exec {python} program.py",
    "a module": "exec {python} -m program",
    "a text": 'exec {python} -c "$(cat program.py)"',
    "standard input": "exec {python} - < program.py",
    "no standard error": "exec {python} program.py 2>&-",
    "none of them": "exec {python} program.py <&- >&- 2>&-",
    "strict": "exec {python} -I -O -X dev -W error program.py",
}


def said_by(how: str, read: str, folder: Path) -> tuple[str, str]:
    """What a program that is started in this way says of its job, and what was printed."""
    (folder / "program.py").write_text(PROGRAM.replace("READ", read))
    (folder / "records.ndjson").write_text("".join(LINES))
    above = str(Path(clinia_async.__file__).parent.parent)
    ran = subprocess.run(
        ["sh", "-c", SHELL[how].format(python=sys.executable)],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": above},
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
    return (folder / "said").read_text(), (ran.stdout + ran.stderr).decode()


@pytest.mark.parametrize("how", SHELL)
def test_a_job_ends_well_however_its_program_was_started(how: str, tmp_path: Path) -> None:
    assert said_by(how, "{}", tmp_path) == ("12 12 12", "")


def test_what_the_processes_cannot_import_is_said_to_be_that(tmp_path: Path) -> None:
    """It is none of a process that was killed, and nothing was sent."""
    said, printed = said_by("a file", "{'map_id': same}", tmp_path)
    assert said.startswith("ConfigError: session, read or an option holds a function or a class")
    assert printed == ""


def read_in_turn(versions: Sequence[Path], passed_over: PassedOver) -> RecordStream:
    """Read what is at a path at that time: each process comes a moment later than the one before."""
    for path in versions:
        try:
            path.with_suffix(".taken").touch(exist_ok=False)
        except FileExistsError:
            continue
        return read_records(path, SOURCE, passed_over=passed_over)
    raise AssertionError


@pytest.mark.parametrize("turn", [1, -1], ids=["the first sees more", "the second sees more"])
async def test_files_that_change_while_the_processes_read_them_are_no_success(
    turn: int, tmp_path: Path
) -> None:
    """Each leaves to the others what is theirs by what it has seen itself: a record may be in no share."""
    versions = [tmp_path / "a.ndjson", tmp_path / "b.ndjson"]
    for path, lines in zip(versions, [LINES, LINES[:5]][::turn], strict=True):
        path.write_text("".join(lines))
    job, _ = await ran(tmp_path, open_input=partial(read_in_turn, versions))
    assert isinstance(job.error, InputError)
    assert "run the job again" in str(job.error)
    assert job.report.stopped_by is not None


async def test_a_job_runs_once(tmp_path: Path) -> None:
    """A second run would add its counts to those of the first."""
    path = tmp_path / "records.ndjson"
    path.write_text("".join(LINES))
    job, stored = await ran(tmp_path)
    assert (job.error, job.report.landed, stored) == (None, 12, 12)
    with pytest.raises(ConfigError, match="runs once"):
        await job.run()
    assert (job.report.read, job.report.landed) == (12, 12)


@pytest.mark.parametrize("number", [0, 1])
async def test_no_file_is_lost_that_is_where_a_process_writes(number: int, tmp_path: Path) -> None:
    (tmp_path / "records.ndjson").write_text("".join(LINES))
    parts = [tmp_path / f"dead.ndjson.part-{each}" for each in range(2)]
    parts[1 - number].write_bytes(
        PREFIX + b'{"line":1,"disposition":"invalid"}}\n'
    )  # of a run that was killed
    parts[number].write_text("what somebody wants to keep")
    job, stored = await ran(tmp_path)
    assert isinstance(job.error, ConfigError)
    assert parts[number].name in str(job.error)
    assert (parts[number].read_text(), stored) == ("what somebody wants to keep", 0)


def test_a_job_runs_in_a_thread(tmp_path: Path) -> None:
    (tmp_path / "records.ndjson").write_text("".join(LINES))
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(asyncio.run(ran(tmp_path))))
    thread.start()
    thread.join(PATIENCE)
    assert [(job.error, job.report.landed, stored) for job, stored in found] == [(None, 12, 12)]


async def ran(folder: Path, **options: Any) -> tuple[ProcessIngestion, int]:
    """A job that has ended, and how many records the service has then."""
    async with Emulator() as service:
        job = ProcessIngestion(
            [folder / "records.ndjson"],
            SOURCE,
            processes=2,
            dead_letters=folder / "dead.ndjson",
            session={"base_url": service.url, "api_key": service.key},
            **options,
        )
        try:
            await job.run()
        except (ConfigError, InputError) as error:
            job.error = job.error or error
        return job, service.relationships()


KILLED = """
import asyncio, os, sys
from clinia_async.ingest.processes.worker_process import WorkerProcess

async def main():
    worker = await WorkerProcess.start(0)
    number = os.fork()
    if not number:
        os.close(1)
        os.close(2)
        sys.stdin.readline()  # it outlives the coordinator
    os._exit(1)  # as if it was killed

asyncio.run(main())
"""


def test_a_worker_ends_with_its_coordinator_whatever_was_forked_from_that() -> None:
    command = [sys.executable, "-W", "ignore", "-c", KILLED]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, cwd=ROOT) as coordinator:
        # the worker has the standard error of the coordinator: the end of it is that of both
        reading = threading.Thread(target=partial(coordinator.stderr.read), daemon=True)  # type: ignore[union-attr]
        reading.start()
        reading.join(PATIENCE)
        assert not reading.is_alive()
