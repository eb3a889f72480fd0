from tests.fixtures import (
    each_way_of_sending,
    each_way_through_aiohttp,
    emulator,
    nothing_is_left_behind,
    session,
)

__all__ = [
    "each_way_of_sending",
    "each_way_through_aiohttp",
    "emulator",
    "nothing_is_left_behind",
    "session",
]
