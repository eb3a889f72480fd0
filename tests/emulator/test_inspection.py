"""What the owner may count, from outside the process too."""

import asyncio
from pathlib import Path

from clinia_async.emulator import Accepted, Constant, Emulator, Exchange, Settings, Unavailable
from tests.emulator.raw import Raw, operation, resource, write


async def test_a_create_of_the_same_content_counts_as_a_duplicate(raw: Raw, emulator: Emulator) -> None:
    await raw.create(write(data={"n": 1}))
    assert emulator.duplicate_creates == 0
    assert (await raw.create(write(data={"n": 1}))).status == 409
    assert emulator.duplicate_creates == 1
    for other in (
        write(data={"n": 2}),
        write(),
        write(data={"n": 1}, meta={"createdAt": "2020-01-01T00:00:00Z"}),
    ):
        assert (await raw.create(other)).status == 409
    assert emulator.duplicate_creates == 1
    await raw.put("prac-1", {"a": 1})
    await raw.put("prac-1", {"a": 1})
    assert emulator.duplicate_creates == 1


async def test_duplicate_creates_in_bulks_and_bundles_are_counted(raw: Raw, emulator: Emulator) -> None:
    creates = [operation("CREATE", f"p-{n}", data={"n": n}) for n in range(5)]
    for duplicates in (0, 5, 10):
        await raw.bulk(*creates)
        await asyncio.sleep(1)
        assert emulator.duplicate_creates == duplicates
    for duplicates in (10, 11):
        await raw.bundle([resource("CREATE", "prac-1")])
        assert emulator.duplicate_creates == duplicates


async def test_counted_duplicates_are_stored_with_the_data(tmp_path: Path) -> None:
    settings = Settings(conflicts="queue")
    emulator = Emulator(data=tmp_path / "r.db", default=Accepted(Constant(1.0)), settings=settings)
    async with emulator, Raw(emulator) as raw:
        for _ in range(3):
            assert (await raw.create(write())).status == 202
        assert emulator.duplicate_creates == 0
    async with emulator:
        await asyncio.sleep(2)
        assert emulator.duplicate_creates == 2
    async with emulator:
        assert emulator.duplicate_creates == 2


async def test_the_inspection_answers_with_counts_if_the_key_is_sent() -> None:
    async with Emulator(inspection=True) as emulator, Raw(emulator) as raw:
        emulator.faults.add(Unavailable(route="get_relationship", times=1))
        heard: list[Exchange] = []
        await raw.create(write())
        await raw.create(write())
        await raw.put("prac-1")
        await raw.read("prac-1.org-9")
        emulator.listeners.append(heard.append)
        counts = (await raw.send("GET", "/emulator")).body
        emulator.listeners.remove(heard.append)
        assert counts == {
            "duplicateCreates": 1,
            "relationships": 1,
            "resources": 1,
            "tasks": {"SUCCESS": 2},
            "requests": {"create_relationship": 2, "put_resource": 1, "get_relationship": 1},
            "faults": {"Unavailable": 1},
        }
        assert not heard
        for headers, status in (
            ({"X-Clinia-API-Key": "wrong"}, 401),
            ({"Host": "x"}, 421),
            ({"Origin": "x"}, 403),
        ):
            assert (await raw.send("GET", "/emulator", headers=headers)).status == status
        assert (await raw.send("POST", "/emulator", {})).status == 404


async def test_without_it_there_is_no_such_path(raw: Raw) -> None:
    assert (await raw.send("GET", "/emulator")).status == 404
