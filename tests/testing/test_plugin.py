"""The pytest plugin, in pytest runs of their own."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.patience import PATIENCE

ROOT = Path(__file__).parents[2]
SERVICE = """
import clinia_async as clinia

async def enrol(session, patient):
    task = await session.create_relationship(
        "ehr", "treated-by",
        from_=clinia.Ref(patient, "patient"), to=clinia.Ref("prac-1", "practitioner"),
    )
    return await task
"""


def run(folder: Path, tests: str, *options: str) -> subprocess.CompletedProcess[str]:
    (folder / "service.py").write_text(SERVICE)
    (folder / "test_it.py").write_text(tests)
    (folder / "pytest.ini").write_text(
        "[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\n"
        "filterwarnings = error\n"
    )
    plugins = ("-p", "pytest_asyncio.plugin", "-p", "clinia_async.testing.plugin", "-p", "no:cacheprovider")
    environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--strict-markers", *plugins, *options],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def passed(ran: subprocess.CompletedProcess[str], count: int) -> None:
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert f"{count} passed" in ran.stdout


def test_an_async_test_of_a_service(tmp_path: Path) -> None:
    passed(
        run(
            tmp_path,
            """
import service

async def test_a_patient_is_enrolled(clinia_emulator, clinia_session):
    clinia_emulator.on("create_relationship").accept(polls=1)
    async with clinia_session as session:
        relationship = await service.enrol(session, "pat-1")
    assert relationship.id == "pat-1.prac-1"
    (request,) = clinia_emulator.received("create_relationship")
    assert request.records[0]["from"] == {"id": "pat-1", "type": "patient"}

async def test_nothing_is_left_of_the_test_before(clinia_emulator):
    assert clinia_emulator.received() == clinia_emulator.stored_relationships() == []
""",
        ),
        2,
    )


def test_a_synchronous_test_of_a_service(tmp_path: Path) -> None:
    passed(
        run(
            tmp_path,
            """
import asyncio
import clinia_async as clinia, service

def serve_one_request():
    async def work():
        async with clinia.Session.from_env() as session:
            return await service.enrol(session, "pat-1")
    return asyncio.run(work())

def test_a_lost_reply_does_no_harm(clinia_emulator, clinia_environment):
    clinia_emulator.on("create_relationship").lose_reply()
    assert serve_one_request().id == "pat-1.prac-1"
    assert len(clinia_emulator.stored_relationships("treated-by")) == 1

def test_what_the_service_finds(clinia_emulator):
    relationship = clinia_emulator.run(lambda session: service.enrol(session, "pat-2"))
    assert relationship.id == "pat-2.prac-1"
""",
        ),
        2,
    )


def test_the_environment_of_a_developer_leads_nowhere_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A test that leads to a proxy or a host of the developer's own would show them what it sends."""
    monkeypatch.setenv("CLINIA_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("CLINIA_WORKSPACE", "acme")
    monkeypatch.setenv("CLINIA_REGISTRY_HOST", "registry.example")
    monkeypatch.setenv("CLINIA_CATALOG_HOST", "catalog.example")
    monkeypatch.setenv("CLINIA_TOKEN", "t")
    (tmp_path / "profile").write_text("CLINIA_PROXY=http://127.0.0.1:2\nCLINIA_WORKSPACE=other\n")
    monkeypatch.setenv("CLINIA_PROFILE", str(tmp_path / "profile"))
    passed(
        run(
            tmp_path,
            """
import clinia_async as clinia
import service

async def test_it(clinia_emulator, clinia_environment):
    async with clinia.Session.from_env() as session:
        await service.enrol(session, "pat-1")
    assert len(clinia_emulator.received("create_relationship")) == 1
""",
        ),
        1,
    )


def test_the_marker_and_the_options(tmp_path: Path) -> None:
    tests = """
import pytest
from clinia_async.emulator import Accepted, Constant

@pytest.mark.clinia(dialect="documented", default=Accepted(Constant(0.0)))
def test_with_options(clinia_emulator):
    assert clinia_emulator.emulator.dialect == "documented"
    assert clinia_emulator.emulator.default == Accepted(Constant(0.0))
    assert clinia_emulator.emulator.chaos == 7

def test_without(clinia_emulator):
    assert clinia_emulator.emulator.dialect == "go"
    assert clinia_emulator.emulator.chaos == 7
"""
    passed(run(tmp_path, tests, "--clinia-chaos", "7", "--clinia-dialect", "go"), 2)


def test_a_failing_test_shows_what_was_received(tmp_path: Path) -> None:
    ran = run(
        tmp_path,
        """
import service

def test_that_fails(clinia_emulator):
    clinia_emulator.on("create_relationship").throttle(retry_after=0)
    clinia_emulator.run(lambda session: service.enrol(session, "pat-1"))
    assert False
""",
    )
    assert ran.returncode == 1
    assert "POST create_relationship: 429, TooManyRequests" in ran.stdout
    assert "POST create_relationship: 201" in ran.stdout
    shown = ran.stdout.partition("requests that the Clinia emulator received")[2]
    assert "pat-1" not in shown


def test_nothing_is_imported_before_a_fixture_is_used(tmp_path: Path) -> None:
    tests = """
import sys

def test_imports():
    assert not {"aiohttp", "clinia_async.emulator", "clinia_async.session"} & set(sys.modules)
"""
    passed(run(tmp_path, tests), 1)


def test_the_plugin_is_an_entry_point() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["entry-points"]["pytest11"] == {"clinia_async": "clinia_async.testing.plugin"}


@pytest.mark.parametrize("name", ["clinia_emulator", "clinia_session", "clinia_environment"])
def test_fixtures_are_documented(tmp_path: Path, name: str) -> None:
    ran = run(tmp_path, "", "--fixtures")
    assert f"{name}" in ran.stdout
    assert f"{name}: no docstring" not in ran.stdout


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ('dialekt="go"', "the marker clinia has no option 'dialekt': there are data, key, host"),
        ('dialect="goo"', "dialect must be one of documented, go"),
    ],
)
def test_a_wrong_option_of_the_marker_is_refused(option: str, said: str, tmp_path: Path) -> None:
    ran = run(
        tmp_path,
        f"""
import pytest

@pytest.mark.clinia({option})
def test_it(clinia_emulator):
    pass
""",
    )
    assert ran.returncode == 1
    assert said in ran.stdout


def test_the_marker_takes_no_argument_without_a_name(tmp_path: Path) -> None:
    """It would be passed over, and the test would run with another emulator than it says."""
    ran = run(
        tmp_path,
        """
import pytest

@pytest.mark.clinia("go")
def test_it(clinia_emulator):
    pass
""",
    )
    assert ran.returncode != 0
    assert "clinia(dialect='go')" in ran.stdout + ran.stderr


def test_a_test_of_a_service_that_is_away(tmp_path: Path) -> None:
    """It stops the emulator, and fails perhaps: that ends neither the run nor the tests that follow."""
    ran = run(
        tmp_path,
        """
import pytest
import service

async def test_away(clinia_emulator, clinia_session):
    async with clinia_session as session:
        await service.enrol(session, "pat-1")
    clinia_emulator.stop()
    assert [each.status for each in clinia_emulator.received()] == [201]

def test_away_and_fails(clinia_emulator):
    clinia_emulator.stop()
    assert False

@pytest.mark.clinia(dialect="go")
def test_away_by_its_own(clinia_emulator):
    clinia_emulator.stop()
    assert False

async def test_after_it(clinia_emulator, clinia_session):
    assert clinia_emulator.received() == []
    async with clinia_session as session:
        await service.enrol(session, "pat-2")
    assert [each.id for each in clinia_emulator.stored_relationships()] == ["pat-2.prac-1"]

class TestOfItsOwn:
    @pytest.fixture
    def clinia_emulator(self):
        return "another one"

    def test_it(self, clinia_emulator):
        assert False
""",
    )
    assert "2 passed" in ran.stdout, ran.stdout + ran.stderr
    assert "3 failed" in ran.stdout
    assert "INTERNALERROR" not in ran.stdout + ran.stderr
    assert "is no EmulatorServer" in ran.stdout
