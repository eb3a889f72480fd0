import asyncio
from collections.abc import Callable, Iterator, Mapping

import pytest

from clinia_async.emulator import Emulator
from clinia_async.emulator import Exchange as Emulated
from tests.contract.contract import Contract
from tests.contract.coverage import Seen
from tests.contract.exchange import Exchange
from tests.virtual_time import VirtualTimeLoop

CONTRACT = Contract.load()
SEEN = Seen(CONTRACT)
"""What this library's own client has asked of an emulator in this run, and what it was answered."""

THE_LAST_TEST = "test_the_whole_contract_was_exercised"


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Every async test runs on the loop whose clock jumps; nothing ever sleeps for real."""
    return {"jumping": VirtualTimeLoop}


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "off_contract: the emulator is set to answer what no page says")
    config.addinivalue_line("markers", "queued: the emulator carries out writes of one record in turn")
    config.addinivalue_line("markers", "rivals: two writes of one record are under way at the same time")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What the whole suite has exercised can be told at the end of the whole suite alone."""
    last = [item for item in items if item.name == THE_LAST_TEST]
    items[:] = [item for item in items if item.name != THE_LAST_TEST]
    is_whole = config.args == config.getini("testpaths") and not config.getoption("keyword")
    (items.extend if is_whole else lambda gone: config.hook.pytest_deselected(items=gone))(last)


@pytest.fixture(autouse=True)
def held_to_the_contract(request: pytest.FixtureRequest) -> Iterator[None]:
    """Every request of our client and every answer of an emulator, in every test, is checked against a
    contract that neither side wrote."""
    if "contract" in request.path.parts or request.node.get_closest_marker("off_contract"):
        yield  # the contract's own tests look for themselves; others turn a setting to what no page says
        return
    faults: list[str] = []

    def check(emulated: Emulated) -> None:
        faults.extend(f"{emulated.route}: {fault}" for fault in _faults(_exchange(emulated)))

    Emulator.listeners.append(check)
    yield
    Emulator.listeners.remove(check)
    assert not faults


def _faults(exchange: Exchange) -> list[str]:
    if ("user-agent", "clinia-async") in exchange.request_headers:
        SEEN.add(exchange)
        return CONTRACT.check(exchange)
    # a request that a test wrote by hand may be as odd as that test likes
    found = CONTRACT.check(exchange, records=False)
    return [fault for fault in found if not fault.startswith("request")]


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
