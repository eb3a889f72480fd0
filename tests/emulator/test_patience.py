"""Starting where another emulator has not quite ended."""

import asyncio
from pathlib import Path

import pytest

from clinia_async.emulator import DataFileBusy, Emulator


async def test_it_waits_for_port_and_file(tmp_path: Path) -> None:
    first = Emulator(data=tmp_path / "r.db")
    await first.start()
    second = Emulator(data=tmp_path / "r.db", port=int(first.url.rpartition(":")[2]), patience=5.0)
    async with asyncio.TaskGroup() as group:
        group.create_task(second.start())
        await asyncio.sleep(3)
        url = first.url
        await first.close()
    assert second.url == url
    await second.close()


async def test_it_does_not_wait_for_ever(tmp_path: Path) -> None:
    now = asyncio.get_running_loop().time
    async with Emulator(data=tmp_path / "r.db") as first:
        began = now()
        with pytest.raises(DataFileBusy, match="locked"):
            await Emulator(data=tmp_path / "r.db", patience=5.0).start()
        assert 5 <= now() - began < 6
        with pytest.raises(OSError, match="in use"):
            await Emulator(port=int(first.url.rpartition(":")[2]), patience=5.0).start()
        assert 10 <= now() - began < 12


async def test_nothing_else_is_waited_for(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("not a database, but long enough to look at" * 100)
    now = asyncio.get_running_loop().time
    began = now()
    for path in (tmp_path / "text", tmp_path / "no" / "such"):
        with pytest.raises(OSError, match=r"No such|not a database"):
            await Emulator(data=path, patience=5.0).start()
    assert now() - began < 1
