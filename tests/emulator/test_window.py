"""The emulator's window: a page for a browser that shows live what it holds, and changes nothing."""

import asyncio
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiohttp import web

import clinia_async as clinia
from clinia_async.emulator import Emulator, LostReply
from clinia_async.emulator.exchange import Reply
from clinia_async.emulator.inspection import Page
from clinia_async.testing import EmulatorServer
from tests.emulator.raw import Raw, operation, resource, write
from tests.patience import PATIENCE

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
in_a_browser = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium, as Debian's package `chromium`")


async def _fill(raw: Raw) -> None:
    await raw.put("prac-1", {"name": "SECRET"})
    await raw.create(write())
    await raw.create(write())
    await raw.bulk(operation("CREATE", "prac-2"), operation("CREATE"))
    await raw.bundle([resource("CREATE", "prac-3", {"name": "SECRET"})])
    source = {"type": "DATA_SOURCE", "key": "ehr", "collections": [], "relationships": []}
    await raw.send("PUT", "/catalog/v1/partitions/clinics", {"modules": {}, "source": source})
    await asyncio.sleep(1)


async def test_there_is_no_window_unless_asked_for(raw: Raw, emulator: Emulator) -> None:
    with pytest.raises(RuntimeError, match="no window"):
        _ = emulator.window_url
    assert (await raw.send("GET", f"/window/{emulator.window_token}")).status == 404


@pytest.mark.parametrize("window", ["counts", "contents"])
async def test_the_state(window: str) -> None:
    async with Emulator(window=window) as emulator, Raw(emulator) as raw:  # type: ignore[arg-type]
        emulator.faults.add(LostReply(route="create_resource", times=1))
        await _fill(raw)
        before = dict(emulator.requests)
        state = (await raw.send("GET", f"/window/{emulator.window_token}/state")).body
        assert emulator.requests == before
        assert state["requests"] == before
        assert [(one["type"], one["target"], one["count"]) for one in state["types"]] == [
            ("practises-at", "RELATIONSHIP", 2),
            ("practitioner", "RESOURCE", 2),
        ]
        assert state["partitions"] == [{"key": "clinics", "status": "STATUS_READY", "type": "DATA_SOURCE"}]
        assert [one["status"] for one in state["tasks"]] == ["SUCCESS", "FAILURE", "SUCCESS", "SUCCESS"]
        assert [one.get("error") for one in state["tasks"][1]["receipts"]] == [None, "ALREADY_EXISTS"]
        assert ("SECRET" in str(state)) == (window == "contents")
        assert (state["records"] is None) == (window == "counts")


async def test_only_who_knows_the_address_can_open_it() -> None:
    async with Emulator(window="contents") as emulator, Raw(emulator) as raw:
        path = emulator.window_url.removeprefix(emulator.url)
        assert emulator.key not in emulator.window_url
        assert emulator.window_token not in repr(emulator)
        for wrong in ("/window", "/window/", f"{path[:-1]}", f"{path}x", f"{path}/"):
            assert (await raw.send("GET", wrong)).status == 404
        for headers in (
            {"Host": "evil.example"},
            {"Origin": "http://evil"},
            {"Sec-Fetch-Site": "cross-site"},
        ):
            for page in (path, f"{path}/state"):
                assert (await raw.send("GET", page, headers=headers)).status in {403, 421}
        for method in ("POST", "PUT", "DELETE"):
            assert (await raw.send(method, f"{path}/state")).status == 404


async def test_the_page_loads_nothing_from_elsewhere() -> None:
    async with Emulator(window="counts") as emulator, Raw(emulator) as raw:
        async with raw.http.get(emulator.window_url) as response:
            page = await response.text()
            policy = response.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "http://" not in page
        assert "https://" not in page
        assert emulator.key not in page
        assert "innerHTML" not in page


@pytest.fixture
def server() -> Iterator[EmulatorServer]:
    with EmulatorServer(Emulator(window="contents", recording=True)) as server:
        yield server


def _browse(*arguments: str, folder: Path) -> str:
    assert CHROMIUM is not None
    options = ("--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder / 'profile'}")
    ran = subprocess.run(
        [CHROMIUM, *options, "--virtual-time-budget=3000", *arguments],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    return ran.stdout


async def _work(session: clinia.Session) -> None:
    hostile = {"name": "<img src=x onerror=document.title='broken'>"}
    await session.create_resource("ehr", "practitioner", id="prac-1", data=hostile)
    await session.create_resource("ehr", "organization", id="org-9", data={"n": 1})
    ends = {"from_": clinia.Ref("prac-1", "practitioner"), "to": clinia.Ref("org-9", "organization")}
    await session.create_relationship("ehr", "works-at", **ends)  # type: ignore[arg-type]


@in_a_browser
def test_a_browser_draws_what_the_emulator_holds(server: EmulatorServer, tmp_path: Path) -> None:
    server.on("create_relationship").lose_reply()
    server.run(_work)
    page = _browse("--dump-dom", server.emulator.window_url, folder=tmp_path)
    assert 'role="status" class="">live, ' in page
    for text in ("works-at", "practitioner", "create_resource", "LostReply", ">SUCCESS<", "prac-1.org-9"):
        assert text in page
    assert "&lt;img src=x" in page
    assert "<title>Clinia emulator</title>" in page


@in_a_browser
def test_a_screenshot_can_be_taken(server: EmulatorServer, tmp_path: Path) -> None:
    server.run(_work)
    picture = tmp_path / "window.png"
    _browse(f"--screenshot={picture}", "--window-size=1200,800", server.emulator.window_url, folder=tmp_path)
    assert picture.stat().st_size > 10_000


@in_a_browser
def test_the_page_is_live(server: EmulatorServer, tmp_path: Path) -> None:
    """The page asks again and again while it is open, and its own requests are not counted."""
    assert server.emulator._running is not None
    pages, asked = server.emulator._running.app.own_pages, Counter[str]()
    assert isinstance(pages, dict)
    for path, page in list(pages.items()):

        def counted(request: web.BaseRequest, path: str = path, page: Page = page) -> Reply:
            asked[path.rpartition("/")[2]] += 1
            return page(request)

        pages[path] = counted
    _browse("--dump-dom", server.emulator.window_url, folder=tmp_path)
    assert asked["state"] >= 2
    assert server.call(lambda emulator: emulator.requests.total()) == 0
    assert server.received() == []
