"""The folder of the journals of several processes: whole or not at all, and for one job at a time."""

import subprocess
import sys
from pathlib import Path

import pytest

from clinia_async import JournalBusy, JournalError, JournalMismatch
from clinia_async.ingest.journal.file import open_file
from clinia_async.ingest.journal.folder import JournalFolder, processes_of
from tests.patience import PATIENCE

ROOT = Path(__file__).parents[3]


def test_it_is_made_whole_and_opened_again(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    folder = JournalFolder.open(path, 3, {"source": "s"})
    with pytest.raises(JournalBusy):
        JournalFolder.open(path, 3, {"source": "s"})
    folder.close()
    assert processes_of(path) == 3
    assert path.stat().st_mode & 0o777 == 0o700
    assert [each.name for each in tmp_path.iterdir()] == ["journal"]
    again = JournalFolder.open(path, 3, {})
    open_file(again.part(2)).close()
    again.close()


def test_another_number_of_processes_is_refused_in_words(tmp_path: Path) -> None:
    JournalFolder.open(tmp_path / "journal", 2, {}).close()
    with pytest.raises(JournalMismatch, match="made by 2 processes, and cannot be resumed by 4"):
        JournalFolder.open(tmp_path / "journal", 4, {})


def test_the_journal_of_one_process_is_refused_in_words(tmp_path: Path) -> None:
    open_file(tmp_path / "journal").close()
    with pytest.raises(JournalMismatch, match="that of one process"):
        JournalFolder.open(tmp_path / "journal", 2, {})


def test_a_folder_that_lacks_something_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    JournalFolder.open(path, 2, {}).close()
    (path / "part-1.db").unlink()
    with pytest.raises(JournalError, match="missing"):
        JournalFolder.open(path, 2, {})
    (path / "manifest.json").write_text("{")
    with pytest.raises(JournalError, match="damaged"):
        JournalFolder.open(path, 2, {})


@pytest.mark.parametrize("kind", ["link", "open to others", "other folder"])
def test_a_folder_that_others_could_have_written_is_refused(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "journal"
    if kind == "link":
        JournalFolder.open(tmp_path / "other", 2, {}).close()
        path.symlink_to(tmp_path / "other")
    else:
        path.mkdir(0o755 if kind == "open to others" else 0o700)
    with pytest.raises(JournalError):
        JournalFolder.open(path, 2, {})


def test_a_stop_while_it_is_made_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "no space")

    monkeypatch.setattr("clinia_async.ingest.journal.folder._write", fail)
    with pytest.raises(JournalError, match="no space"):
        JournalFolder.open(tmp_path / "journal", 2, {})
    assert [*tmp_path.iterdir()] == []


PARENT = """
import os, sys
from pathlib import Path
from clinia_async.ingest.journal.folder import JournalFolder

path = Path(sys.argv[1])
folder = JournalFolder.open(path, 2, {})
number = os.fork()
if not number:
    os.close(1)
    sys.stdin.read()  # it outlives the parent
    os._exit(0)
folder.close()
JournalFolder.open(path, 2, {})
print("open", flush=True)
os._exit(1)  # as if it was killed
"""


def test_a_fork_does_not_keep_a_folder_locked(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    command = [sys.executable, "-W", "ignore", "-c", PARENT, str(path)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        assert parent.stdout.read() == b"open\n"
        assert parent.wait(timeout=PATIENCE) == 1
        JournalFolder.open(path, 2, {}).close()
