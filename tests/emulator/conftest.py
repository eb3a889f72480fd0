from collections.abc import AsyncIterator

import pytest

from clinia_async.emulator import Emulator
from tests.emulator.raw import Raw


@pytest.fixture
async def emulator() -> AsyncIterator[Emulator]:
    async with Emulator() as emulator:
        yield emulator


@pytest.fixture
async def raw(emulator: Emulator) -> AsyncIterator[Raw]:
    async with Raw(emulator) as raw:
        yield raw
