import asyncio
import os
import random
from collections.abc import Callable, Iterator, Mapping
from typing import get_args

import pytest
from hypothesis import HealthCheck, settings
from xdist.remote import Producer
from xdist.scheduler import WorkStealingScheduling
from xdist.workermanage import WorkerController

from clinia_async import __version__
from clinia_async.emulator import Dialect, Emulator
from clinia_async.emulator import Exchange as Emulated
from tests.contract.contract import Contract
from tests.contract.coverage import Seen
from tests.contract.exchange import Exchange
from tests.virtual_time import factories

CONTRACT = Contract.load()
SEEN = Seen(CONTRACT)
"""What this library's own client has asked of an emulator in this run, and what it was answered."""
for profile, examples in {"suite": 25, "campaigns": 100}.items():
    settings.register_profile(
        profile,  # the same examples in each run, however slow the machine is; campaigns draw others
        max_examples=examples,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
MISSING = pytest.StashKey[list[str]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    dialects = get_args(Dialect)
    parser.addoption("--dialect", choices=dialects, default=dialects[0], help="how emulators write answers")
    parser.addoption(
        "--loop",
        choices=["jumping", "eager", "uvloop"],
        default="jumping",
        help="event loop of the async tests: asyncio's, asyncio's with eager tasks (3.12+), or uvloop's",
    )


def pytest_asyncio_loop_factories(
    config: pytest.Config,
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Every async test runs on a loop whose clock jumps; nothing ever sleeps for real."""
    return factories(config.getoption("loop"))


ALTERING = {"ByteOrderMark", "EmptyResponse", "MalformedReceipts", "ProxyResponse"}
"""Faults whose answers no page describes."""


def pytest_configure(config: pytest.Config) -> None:
    settings.load_profile("suite" if config.getoption("markexpr") else "campaigns")
    Emulator.default_dialect = config.getoption("dialect")
    os.environ["CLINIA_EMULATOR_DIALECT"] = Emulator.default_dialect
    config.addinivalue_line("markers", 'campaign: a slice of a long search, run by CI with -m ""')
    config.addinivalue_line("markers", "off_contract: the emulator is set to answer what no page says")
    config.addinivalue_line("markers", "queued: the emulator carries out writes of one record in turn")
    config.addinivalue_line("markers", "rivals: two writes of one record are under way at the same time")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> WorkStealingScheduling:
    """Hand out the rest of a busy worker's tests: some take seconds, most take milliseconds."""
    return WorkStealingScheduling(config, log)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: WorkerController) -> None:
    """Add what a worker has seen of the contract."""
    SEEN.merge(getattr(node, "workeroutput", {}).get("seen", []))


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """A worker passes on what it has seen; the whole suite must have exercised the whole contract."""
    workeroutput = getattr(session.config, "workeroutput", None)
    if workeroutput is not None:
        workeroutput["seen"] = SEEN.dump()
    elif _is_whole(session.config) and not session.shouldstop and not session.shouldfail:
        session.config.stash[MISSING] = SEEN.never_done()
        if session.config.stash[MISSING] and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    missing = config.stash.get(MISSING, None)
    if missing:
        terminalreporter.write_line(f"operations that no test got a good answer of: {missing}", red=True)
    elif missing is not None:
        terminalreporter.write_line("every operation of the contract was exercised", green=True)


def _is_whole(config: pytest.Config) -> bool:
    """Whether this run is the whole suite: what all tests together exercise is known only then."""
    chosen = ("keyword", "ignore", "ignore_glob", "deselect", "lf", "collectonly")
    is_narrowed = any(config.getoption(name, None) for name in chosen)
    is_suite = config.getoption("markexpr") in {"", "not campaign"}
    return config.args == config.getini("testpaths") and is_suite and not is_narrowed


@pytest.fixture(autouse=True)
def _the_same_jitter_in_each_run(request: pytest.FixtureRequest) -> None:
    random.seed(request.node.nodeid)


@pytest.fixture(autouse=True)
def held_to_the_contract(request: pytest.FixtureRequest) -> Iterator[None]:
    """Every request of our client and every answer of an emulator, in every test, is checked against a
    contract that neither side wrote."""
    if "contract" in request.path.parts or request.node.get_closest_marker("off_contract"):
        yield  # the contract's own tests look for themselves; others turn a setting to what no page says
        return
    faults: list[str] = []

    def check(emulated: Emulated) -> None:
        if emulated.fault in ALTERING:
            return
        faults.extend(f"{emulated.route}: {fault}" for fault in _faults(_exchange(emulated)))

    Emulator.listeners.append(check)
    yield
    Emulator.listeners.remove(check)
    assert not faults


def _faults(exchange: Exchange) -> list[str]:
    is_ours = ("user-agent", f"clinia-async/{__version__}") in exchange.request_headers
    if is_ours:
        SEEN.add(exchange)
    found = CONTRACT.check(exchange, records=is_ours)
    # a request that a test wrote by hand may be as odd as that test likes
    found = [fault for fault in found if is_ours or not fault.startswith("request")]
    # the contract describes answers as the pages show them
    is_documented = Emulator.default_dialect == "documented"
    return [fault for fault in found if is_documented or fault.startswith("request")]


def _exchange(emulated: Emulated) -> Exchange:
    # The emulator keeps the key to itself; whatever it let in has brought one.
    key = {} if emulated.status == 401 else {"X-Clinia-API-Key": "kept back"}
    return Exchange(
        method=emulated.method,
        path=emulated.path,
        status=emulated.status,
        query=emulated.query,
        request_headers={**emulated.headers, **key},
        request_body=emulated.body or b"",
        answer_headers=emulated.answer_headers,
        answer_body=emulated.answer_body,
    )
