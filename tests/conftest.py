import asyncio

import pytest

from tests.virtual_time import VirtualTimePolicy


@pytest.fixture(scope="session")
def event_loop_policy() -> asyncio.AbstractEventLoopPolicy:
    """Every async test runs on the loop whose clock jumps; nothing ever sleeps for real."""
    return VirtualTimePolicy()
