from collections.abc import Iterator
from pathlib import Path

import pytest

from clinia_async.cli import main
from tests.cli.program import Cli, Ran, end_all
from tests.cli.served import Served
from tests.factories import refusing_socket, url_of


@pytest.fixture(autouse=True)
def _at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty folder, and an environment that says nothing about a service."""
    monkeypatch.chdir(tmp_path)
    for name in ("WORKSPACE", "BASE_URL", "API_KEY", "SOURCE"):
        monkeypatch.delenv(f"CLINIA_{name}", raising=False)


@pytest.fixture(autouse=True)
def _nothing_left_behind() -> Iterator[None]:
    yield
    end_all()


@pytest.fixture
def cli(capfd: pytest.CaptureFixture[str]) -> Cli:
    def run(*arguments: object) -> Ran:
        capfd.readouterr()
        code = main([str(argument) for argument in arguments])
        return Ran(int(code), *capfd.readouterr())

    return run


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    """An emulator that the environment leads to."""
    with Served() as served:
        lead_to(served, monkeypatch)
        yield served


def lead_to(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLINIA_BASE_URL", served.url)
    monkeypatch.setenv("CLINIA_API_KEY", served.key)
    monkeypatch.setenv("CLINIA_SOURCE", "ehr-prod")


@pytest.fixture
def nothing_listens(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with refusing_socket() as bound:
        monkeypatch.setenv("CLINIA_BASE_URL", url_of(bound))
        monkeypatch.setenv("CLINIA_API_KEY", "a-key")
        monkeypatch.setenv("CLINIA_SOURCE", "ehr-prod")
        yield
