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
    config.addinivalue_line("markers", "wrong_records: this test sends records that break the contract")
    config.addinivalue_line("markers", "queued: the emulator carries out writes of one record in turn")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What the whole suite has exercised can be told at the end of the whole suite alone."""
    last = [item for item in items if item.name == THE_LAST_TEST]
    items[:] = [item for item in items if item.name != THE_LAST_TEST]
    is_whole = config.args == config.getini("testpaths") and not config.getoption("keyword")
    (items.extend if is_whole else lambda gone: config.hook.pytest_deselected(items=gone))(last)


@pytest.fixture(autouse=True)
def held_to_the_contract(request: pytest.FixtureRequest) -> Iterator[None]:
    """Every exchange with an emulator, in every test, is checked against a contract that neither side wrote."""
    faults: list[str] = []
    by_hand = "emulator" in request.path.parts or request.node.get_closest_marker("wrong_records") is not None
    if (
        "contract" in request.path.parts
    ):  # its own tests send what is wrong, and look at the answers themselves
        yield
        return

    def check(emulated: Emulated) -> None:
        exchange = _exchange(emulated)
        faults.extend(f"{emulated.route}: {fault}" for fault in CONTRACT.check(exchange, records=not by_hand))
        if emulated.headers.get("User-Agent") == "clinia-async":
            SEEN.add(exchange)

    Emulator.listeners.append(check)
    yield
    Emulator.listeners.remove(check)
    assert not faults


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
