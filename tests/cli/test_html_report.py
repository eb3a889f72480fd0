"""The HTML report, in a real browser: it needs no script and nothing else, and it shows what it should."""

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from clinia_async.emulator import LogNormal, MalformedReceipts, TooManyRequests
from tests.cli.program import DIRTY, Cli, line
from tests.cli.served import Served
from tests.patience import PATIENCE

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
needs_a_browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed")
matplotlib_image = pytest.importorskip("matplotlib.image", reason="the extra `report` is not installed")


def _page(cli: Cli, served: Served, *arguments: object) -> str:
    served.emulator.bulk = LogNormal(0.2, 0.5)
    served.emulator.faults.add(TooManyRequests(route="bulk_relationships", times=1, retry_after=0.2))
    ran = cli(
        "ingest", DIRTY, "--chunk-operations", "100", "--report", "r.html", "--report", "r.json", *arguments
    )
    assert ran.code in {0, 1}
    return Path("r.html").read_text(encoding="utf-8")


def _browse(*arguments: str) -> bytes:
    assert CHROMIUM is not None
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars"]
    flags += [f"--user-data-dir={Path('browser').absolute()}"]
    page = Path("r.html").absolute().as_uri()
    done = subprocess.run(
        [CHROMIUM, *flags, *arguments, page], capture_output=True, timeout=PATIENCE, check=True
    )
    return done.stdout


def test_the_page_is_complete_in_itself(cli: Cli, served: Served) -> None:
    page = _page(cli, served)
    assert "<script" not in page
    assert "default-src 'none'" in page  # so a browser runs none, and loads nothing
    assert not re.search(r"""(src|href)\s*=\s*["'](?!#)""", page)
    assert not re.search(r"url\((?!#|'#|\"#)|@import", page)
    assert served.key not in page


def test_records_of_which_nothing_is_known_are_not_said_not_to_have_landed(cli: Cli, served: Served) -> None:
    """They are stored in truth, and no receipt says so."""
    Path("in.ndjson").write_text(line("a") + line("b"))
    served.emulator.faults.add(MalformedReceipts(route="get_task", form="missing"))
    ran = cli("ingest", "in.ndjson", "--report", "r.html")
    assert ran.code == 1
    which = "that did not land, or of which that is unknown,"
    assert ran.messages == [f"2 records {which} are in in.dead.ndjson"]
    page = html.unescape(Path("r.html").read_text(encoding="utf-8"))
    assert "Complete. 0 of 2 records did not land, and of 2 it is unknown." in page
    assert served.holds() == 2


def test_the_page_says_what_the_json_says(cli: Cli, served: Served) -> None:
    page = html.unescape(_page(cli, served))
    report = json.loads(Path("r.json").read_text())
    assert "Complete. 49 of 990 records did not land. What failed is in dirty-1k.dead.ndjson." in page
    for group in report["reasons"]:
        assert f"<td>{group['reason']}</td>" in page
        assert f"{group['first_lines'][0]:,}" in page
    for heading in ("throughput", "requests", "lag", "outcomes", "errors", "slowest", "settings", "versions"):
        assert f'<h2 id="{heading}">' in page
    slowest = report["slowest_chunks"]
    assert slowest == sorted(slowest, key=lambda chunk: chunk["seconds"], reverse=True)
    assert f"<td>{slowest[0]['task']}</td>" in page
    assert report["versions"].keys() >= {"python", "clinia-async", "aiohttp"}


def test_texts_of_the_input_are_escaped(cli: Cli, served: Served) -> None:
    Path("<b>.ndjson").write_text(line("aa"))
    assert cli("ingest", "<b>.ndjson", "--report", "r.html").code == 0
    assert "&lt;b&gt;.ndjson" in Path("r.html").read_text()
    assert "<b>.ndjson" not in Path("r.html").read_text()


@needs_a_browser
def test_a_browser_draws_three_charts(cli: Cli, served: Served) -> None:
    _page(cli, served)
    page = _browse("--dump-dom").decode()
    charts = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    assert [re.findall(r'aria-label="(\w+)', chart)[0] for chart in charts] == [
        "Throughput",
        "Requests",
        "Detection",
    ]
    for chart, labels in zip(
        charts, (("landed", "failed"), ("in flight", "allowed", "throttled"), ()), strict=True
    ):
        assert all(f">{label}</text>" in chart for label in (*labels, "seconds since the start"))
        assert chart.count("<path") > 10


@needs_a_browser
def test_what_is_drawn_has_the_colours_of_the_charts(cli: Cli, served: Served) -> None:
    _page(cli, served)
    _browse("--window-size=1000,2400", "--screenshot=page.png")
    pixels = matplotlib_image.imread("page.png")
    assert pixels.shape[:2] == (2400, 1000)
    for colour in ("#1f5fa8", "#c2660a", "#b3261e"):
        assert _count(pixels, colour) > 50, colour


def _count(pixels: Any, colour: str) -> int:
    """How many pixels are of about this colour."""
    wanted = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    return int((abs(pixels[:, :, :3] - wanted).max(axis=2) < 0.05).sum())


@needs_a_browser
@pytest.mark.parametrize("width", [500, 1000])
def test_nothing_is_cut_off_on_a_narrow_screen(width: int, cli: Cli, served: Served) -> None:
    _page(cli, served)
    _browse(f"--window-size={width},3000", "--screenshot=page.png")
    pixels = matplotlib_image.imread("page.png")
    assert (pixels[:, -8:, :3] > 0.99).all()


def test_a_run_that_is_too_short_for_charts_is_a_page_too(cli: Cli, served: Served) -> None:
    Path("empty.ndjson").touch()
    assert cli("ingest", "empty.ndjson", "--report", "r.html").code == 0
    assert "All 0 records landed." in Path("r.html").read_text()


@pytest.mark.usefixtures("nothing_listens")
def test_a_job_that_never_started_has_a_page(cli: Cli) -> None:
    assert cli("ingest", DIRTY, "--report", "r.html").code == 4
    page = Path("r.html").read_text()
    assert "Stopped before the end of the input: cannot connect to 127.0.0.1:" in page
    assert "The run was too short for a chart." in page


def test_without_its_extra_it_says_how_to_install_it(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clinia_async.cli.output_paths.find_spec", lambda name: None)
    ran = cli("ingest", DIRTY, "--source", "s", "--emulator", "--report", "r.html")
    problem = "an HTML report needs its extra: pip install 'clinia-async[report]'; or name a .json file."
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith(f"error: Invalid value for '--report': {problem}")
