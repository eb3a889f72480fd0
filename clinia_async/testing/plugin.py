"""The pytest plugin: fixtures for an emulator and for sessions that are connected to it.

Every pytest run loads it, so nothing of the library is imported before a fixture is used.
"""

# ruff: noqa: PLC0415

from collections.abc import Generator, Iterator
from inspect import signature

import pytest

_MARKER = (
    "clinia(**options): give the test an emulator of its own with these options of"
    " clinia_async.emulator.Emulator, such as dialect, chaos, default or settings"
)

_ELSEWHERE = (
    *("CLINIA_WORKSPACE", "CLINIA_REGISTRY_HOST", "CLINIA_CATALOG_HOST"),
    *("CLINIA_TOKEN", "CLINIA_PROXY", "CLINIA_PROFILE"),
)
"""What the environment of a developer may lead a session to in place of an emulator."""


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("clinia", "emulator of the Clinia platform")
    group.addoption(
        "--clinia-chaos", type=int, metavar="SEED", help="play faults of every kind, now and then"
    )
    group.addoption("--clinia-dialect", choices=["documented", "go"], help="how the emulator writes answers")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", _MARKER)


@pytest.fixture(scope="session")
def _clinia_server(pytestconfig: pytest.Config) -> Iterator[object]:
    yield from _served(pytestconfig)


@pytest.fixture
def clinia_emulator(request: pytest.FixtureRequest) -> Iterator[object]:
    """An `EmulatorServer`, empty when the test starts, that sync and async tests can use.

    It runs on a thread of its own. Script it with `on`, read requests back with `received`. The marker
    `clinia` gives the test an emulator with other options.
    """
    from clinia_async.testing.server import EmulatorServer

    if (marker := request.node.get_closest_marker("clinia")) is not None:
        yield from _served(request.config, marker)
        return
    server = request.getfixturevalue("_clinia_server")
    assert isinstance(server, EmulatorServer)
    yield server
    if not server.is_running:  # the test was about a service that is away
        server.start()
    server.reset()


@pytest.fixture
def clinia_session(request: pytest.FixtureRequest) -> object:
    """A `Session` that is connected to `clinia_emulator`, to be opened: `async with clinia_session:`."""
    from clinia_async.testing.server import EmulatorServer

    server = request.getfixturevalue("clinia_emulator")
    assert isinstance(server, EmulatorServer)
    return server.session()


@pytest.fixture
def clinia_environment(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> object:
    """The environment variables that lead `Session.from_env` to `clinia_emulator`, set for the test.

    Those that lead elsewhere, such as a proxy or a profile, are not set in it.
    """
    from clinia_async.testing.server import EmulatorServer

    server = request.getfixturevalue("clinia_emulator")
    assert isinstance(server, EmulatorServer)
    for name in _ELSEWHERE:
        monkeypatch.delenv(name, raising=False)
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    return server.environment


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    server = getattr(item, "funcargs", {}).get("clinia_emulator")
    if server is not None and report.when == "call" and report.failed:
        report.sections.append(("requests that the Clinia emulator received", _summary(server)))
    return report


def _summary(server: object) -> str:
    """Return what an emulator received. What is wrong with it must not end the run of all tests."""
    from clinia_async.testing.server import EmulatorServer

    if not isinstance(server, EmulatorServer):
        return "clinia_emulator is no EmulatorServer in this test"
    try:
        return server.summary()
    except TimeoutError as error:
        return str(error)


def _served(config: pytest.Config, marker: pytest.Mark | None = None) -> Iterator[object]:
    from clinia_async.emulator import Emulator
    from clinia_async.testing.server import served

    chosen = {"chaos": config.getoption("clinia_chaos"), "dialect": config.getoption("clinia_dialect")}
    given = {} if marker is None else marker.kwargs
    if marker is not None and marker.args:
        raise pytest.UsageError("the marker clinia takes options by name, such as clinia(dialect='go')")
    unknown = given.keys() - signature(Emulator).parameters.keys()
    if unknown:
        known = ", ".join(signature(Emulator).parameters)
        raise pytest.UsageError(f"the marker clinia has no option {min(unknown)!r}: there are {known}")
    options = {"recording": True, **chosen, **given}
    return served(Emulator(**{name: value for name, value in options.items() if value is not None}))
