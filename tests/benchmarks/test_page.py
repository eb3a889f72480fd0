"""The results page is written whole, from one version, with the goals at its top."""

import json
from pathlib import Path

import pytest

pytest.importorskip("benchmarks.page", reason="the benchmarks are not beside the tests here")

from benchmarks import __main__ as command_line
from benchmarks import page
from benchmarks.tables import Goaled, Table

GOALS = [Goaled("creates", "1.25", ">= 1.2", "reached"), Goaled("memory", "71", "<= 60", "short")]
TABLE = Table("Creates", ["", "us"], [["ours", "9"]], goals=GOALS)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(page, "FOLDER", tmp_path / "results")
    return tmp_path / "results"


def test_all_goals_stand_at_the_top(folder: Path) -> None:
    page.write(page.Page(["on this machine"], [page.Section("single", [TABLE])]))
    text = (folder / "README.md").read_text()
    assert "* on this machine\n" in text
    assert "1 of 2 are reached." in text
    assert text.index("| memory | 71 | <= 60 | short |") < text.index("### Creates")


def test_nothing_of_an_earlier_run_stays(folder: Path) -> None:
    folder.mkdir()
    (folder / "bulk-1.svg").write_text("<svg/>")
    page.write(page.Page([], [page.Section("single", [TABLE])]))
    assert sorted(each.name for each in folder.iterdir()) == ["README.md", "figures.json"]
    assert json.loads((folder / "figures.json").read_text())["sections"][0]["command"] == "single"


@pytest.mark.parametrize(("before", "after"), [("a1", "b2"), ("a1, changed since", "a1, changed since")])
def test_parts_of_different_versions_are_refused(before: str, after: str) -> None:
    assert page.one_version("a1", "a1") == "a1"
    with pytest.raises(page.MixedVersions, match="commit, and run it again"):
        page.one_version(before, after)


def test_the_page_has_every_command_but_the_slice_of_ci() -> None:
    assert {*command_line.PAGE, "all", "check"} == {*command_line.MEASURES}
