"""A journal that is not as it was written is refused, whatever part of it was changed, and so is a copy."""

import asyncio
import os
import shutil
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest
from attrs import evolve

from clinia_async import ChunkLimits, CreateResource, Disposition, JournalBusy, JournalError, JournalMismatch
from clinia_async.emulator import Emulator
from clinia_async.errors import Evidence
from clinia_async.ingest.journal import file as journal_file
from clinia_async.ingest.journal.commit_count import CommitCount
from clinia_async.ingest.journal.file import open_file
from clinia_async.ingest.journal.journal import Journal
from clinia_async.ingest.journal.rows import History, JobIdentity
from clinia_async.ingest.journal.snapshot import read_snapshot
from clinia_async.ingest.outcomes.outcome import ChunkOutcomes
from clinia_async.ingest.pipeline.checkpoints import ChunkCheckpoints
from clinia_async.ingest.records.chunk import Chunk
from clinia_async.ingest.records.record import Record
from clinia_async.ingest.records.record_batch import RecordBatches
from clinia_async.models.task_id import TaskId
from tests.ingest.journal.test_power_loss import ReadSoFar
from tests.ingest.running import SOURCE, run, writes

JOB = JobIdentity(SOURCE, "http://127.0.0.1:1", "bulk", "input")
BITS_APART = int(os.environ.get("BITS_APART", "499"))
"""With 1 every bit is flipped, which takes an hour on a quiet machine, most of it for the log."""


def chunk_of(first: int, last: int) -> Chunk:
    made = [Record(line, each, position=line) for line, each in enumerate(writes(last), 1)]
    return Chunk(RecordBatches.of(made[first - 1 :]))


async def write_small_journal(path: Path) -> None:
    """A chunk in each state that a run may leave, and failures."""
    journal = await Journal.open(path, JOB)
    await fill(journal)
    await journal.close()


async def fill(journal: Journal) -> None:
    position = ReadSoFar()
    checkpoints = ChunkCheckpoints(journal, position)
    for first, disposition in ((1, Disposition.SUCCEEDED), (11, Disposition.FAILED), (21, None), (31, None)):
        position.read_to = first + 9
        chunk = chunk_of(first, first + 9)
        await checkpoints.planned(chunk)
        await checkpoints.sending(chunk)
        if first < 31:
            await checkpoints.accepted(chunk, TaskId(f"bk_{first}"), maybe_applied=False)
        if disposition is not None:
            finding = (disposition, "INTERNAL", Evidence.RECEIPT)
            await checkpoints.completed(chunk, ChunkOutcomes.same(chunk, finding))


def reported(history: History) -> object:
    unfinished = [
        (each.number, each.state, each.positions.ranges(), each.attempts, each.maybe_applied, each.task)
        for each in history.unfinished
    ]
    landed = {disposition: where.ranges() for disposition, where in history.landed.items()}
    return history.read_to, history.digest, history.last, landed, unfinished, history.late.ranges()


async def content_of(path: Path, *, may_be_copy: bool = False) -> object:
    journal = await Journal.open(path, JOB, may_be_copy=may_be_copy)
    try:
        return reported(journal.history), await journal.failures(1)
    finally:
        await journal.close()


def reported_lines(content: object) -> object:
    """How far the input was read, of what `content_of` returns."""
    return content[0][0]  # type: ignore[index]


def flips(whole: bytes, step: int) -> Iterator[tuple[int, bytes]]:
    for bit in range(0, len(whole) * 8, step):
        changed = bytearray(whole)
        changed[bit // 8] ^= 1 << bit % 8
        yield bit, bytes(changed)


@pytest.mark.timeout(3000)
async def test_a_flipped_bit_changes_nothing_or_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "j"
    await write_small_journal(path)
    expected, whole = await content_of(path), path.read_bytes()
    refused = 0
    for bit, changed in flips(whole, BITS_APART):
        for left in ("-wal", "-shm", "-journal"):
            path.with_name(path.name + left).unlink(missing_ok=True)
        path.write_bytes(changed)
        try:
            assert await content_of(path) == expected, f"bit {bit}"
        except JournalError:
            refused += 1
    assert refused > len(whole) * 8 / BITS_APART / 50, "there were rows to be damaged"


ENDINGS = ("", "-wal", "-count")
"""The files of a journal whose run was cut off."""


async def write_cut_off_journal(path: Path) -> dict[str, bytes]:
    """Return the files as a kill leaves them: all that was written down is in the log."""
    journal = await Journal.open(path, JOB)
    await fill(journal)
    files = {ending: path.with_name(path.name + ending).read_bytes() for ending in ENDINGS}
    await journal.close()
    return files


def put(path: Path, files: Mapping[str, bytes]) -> None:
    """Write the files in place: the journal is the same file, and no copy."""
    for ending in (*ENDINGS, "-shm"):
        path.with_name(path.name + ending).unlink(missing_ok=True) if ending else None
        if ending in files:
            path.with_name(path.name + ending).write_bytes(files[ending])


@pytest.mark.timeout(10_000)  # all bits of the log took 6,700 s beside other work
@pytest.mark.parametrize("damaged", ENDINGS[1:])
async def test_a_flipped_bit_in_a_journal_that_was_cut_off_changes_nothing_or_is_refused(
    damaged: str, tmp_path: Path
) -> None:
    path = tmp_path / "j"
    files = await write_cut_off_journal(path)
    put(path, files)
    expected, refused = await content_of(path), 0
    steps = {"-wal": BITS_APART if BITS_APART == 1 else 20 * BITS_APART, "-count": 1}
    for bit, changed in flips(files[damaged], steps[damaged]):
        put(path, {**files, damaged: changed})
        try:
            assert await content_of(path) == expected, f"bit {bit}"
        except JournalError:
            refused += 1
    assert refused > (100 if damaged == "-count" else 10)


async def test_a_journal_without_its_log_or_its_count_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "j"
    files = await write_cut_off_journal(path)
    for gone in ("-wal", "-count"):
        put(path, {ending: content for ending, content in files.items() if ending != gone})
        with pytest.raises(JournalError, match="missing"):
            await content_of(path)
    for length in range(0, len(files["-wal"]), 4096 + 24):
        put(path, {**files, "-wal": files["-wal"][:length]})
        with pytest.raises(JournalError, match="missing"):
            await content_of(path)
    put(path, files)
    await content_of(path)
    assert os.listdir(tmp_path) == ["j"], "a close leaves one file"  # noqa: PTH208


GONE: Mapping[tuple[str, ...], str] = {
    ("",): "j back; or remove what is left",
    ("", "-wal"): "j back; or remove what is left",
    ("", "-count"): "j back; or remove what is left",
    ("-wal",): "j-wal back as that run left it; or remove j-count and resume with journal_is_copy=True",
    ("-count",): "put it back; or, if j-wal",
    ("-wal", "-count"): "j-wal and j-count are missing; put both back",
}
"""Files of a journal that was cut off, and what is said where they are gone."""


@pytest.mark.parametrize("gone", GONE, ids=[",".join(f"j{each}" for each in gone) for gone in GONE])
async def test_a_journal_that_is_refused_is_refused_until_what_was_said_is_done(
    gone: tuple[str, ...], tmp_path: Path
) -> None:
    """A refusal that takes away what shows the damage would let the next run send everything again."""
    path = tmp_path / "j"
    files = await write_cut_off_journal(path)
    put(path, files)
    for ending in gone:
        path.with_name(path.name + ending).rename(tmp_path / f"away{ending}")
    texts = set()
    for _ in range(3):
        with pytest.raises(JournalError, match=GONE[gone]) as caught:
            await content_of(path)
        texts.add(str(caught.value))
    assert len(texts) == 1
    if "-wal" in gone and "" not in gone:
        path.with_name("j-count").unlink(missing_ok=True)
        with pytest.raises(JournalError, match="missing"):
            await content_of(path)
        assert await content_of(path, may_be_copy=True) != (), "without the commits that are lost"
        assert await content_of(path) != (), "and from then on it is whole"
        return
    for ending in gone:
        (tmp_path / f"away{ending}").rename(path.with_name(path.name + ending))
    assert reported_lines(await content_of(path)) == 40


@pytest.mark.parametrize("left", [("-wal",), ("-count",), ("-wal", "-count")])
async def test_a_journal_begins_anew_where_all_of_it_was_removed(
    left: tuple[str, ...], tmp_path: Path
) -> None:
    path = tmp_path / "j"
    files = await write_cut_off_journal(path)
    put(path, files)
    for ending in {*ENDINGS} - {*left}:
        path.with_name(path.name + ending).unlink()
    with pytest.raises(JournalError, match="gone"):
        await content_of(path)
    for ending in left:
        path.with_name(path.name + ending).unlink()
    assert reported_lines(await content_of(path)) == 0


@pytest.mark.parametrize("log", ["whole", "empty", "gone"])
async def test_a_copy_of_a_journal_that_was_cut_off_needs_its_log(log: str, tmp_path: Path) -> None:
    """To say that it is a copy says nothing of what is missing in it; a full disk leaves an empty log."""
    path, copy = tmp_path / "j", tmp_path / "copy"
    put(path, await write_cut_off_journal(path))
    for ending in ("", "-wal") if log == "whole" else ("",):
        shutil.copyfile(path.with_name(f"j{ending}"), copy.with_name(f"copy{ending}"))
    copy.chmod(0o600)
    if log == "empty":
        copy.with_name("copy-wal").touch()
    if log != "whole":
        for _ in range(2):
            with pytest.raises(JournalError, match="copy-wal and copy-count are missing"):
                await content_of(copy, may_be_copy=True)
    else:
        assert reported_lines(await content_of(copy, may_be_copy=True)) == 40


@pytest.mark.parametrize("stop", ["opened", "closed"])
async def test_a_journal_that_was_closed_needs_one_file(stop: str, tmp_path: Path) -> None:
    path = tmp_path / "j"
    for _ in range(3):
        journal = await Journal.open(path, JOB)
        if stop == "closed":
            await fill(journal)
        await journal.close()
        assert os.listdir(tmp_path) == ["j"]  # noqa: PTH208
    with pytest.raises(JournalError, match="another job"):
        await Journal.open(path, evolve(JOB, source="another"))
    await (await Journal.open(path, JOB)).close()


async def test_a_journal_without_its_count_is_resumed_where_its_user_says_so(tmp_path: Path) -> None:
    path = tmp_path / "j"
    files = await write_cut_off_journal(path)
    put(path, {ending: content for ending, content in files.items() if ending != "-count"})
    with pytest.raises(JournalError, match="--journal-is-copy"):
        await Journal.open(path, JOB)
    journal = await Journal.open(path, JOB, may_be_copy=True)
    assert journal.history.read_to == 40
    await journal.close()


async def test_a_count_that_was_not_synced_before_the_power_went_is_no_damage(tmp_path: Path) -> None:
    path = tmp_path / "j"
    journal = await Journal.open(path, JOB)
    first = path.with_name("j-count").read_bytes()
    await journal.close()
    files = await write_cut_off_journal(path)
    put(path, files)
    expected = await content_of(path)
    put(path, {**files, "-count": first})
    assert await content_of(path) == expected


async def test_a_flipped_bit_in_each_row_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "j"
    await write_small_journal(path)
    whole = path.read_bytes()
    for word in (b"succeeded=1-10", b"21-30", b"ACCEPTED", b"bk_21", b"INTERNAL", b"input", b"SENDING"):
        at = whole.find(word)
        assert at > 0, word
        for bit in range(0, len(word) * 8, min(BITS_APART, 3)):
            changed = bytearray(whole)
            changed[at + bit // 8] ^= 1 << bit % 8
            path.write_bytes(changed)
            with pytest.raises(JournalError):
                await content_of(path)


async def test_a_copied_journal_is_refused_unless_it_takes_the_place_of_the_original(tmp_path: Path) -> None:
    items = [CreateResource(SOURCE, "patient", data={"n": n}) for n in range(30)]
    journal, copy = tmp_path / "j", tmp_path / "copy"
    async with Emulator() as emulator:
        await run(emulator, items[:10], journal=journal, chunk=ChunkLimits(operations=10))
        shutil.copy(journal, copy)
        found = await run(emulator, items, journal=copy)
        assert isinstance(found.error, JournalMismatch)
        assert "is a copy" in str(found.error)
        assert emulator.resources() == 10
        found = await run(emulator, items, journal=copy, journal_is_copy=True)
        assert found.error is None
        assert emulator.resources() == 30
        assert (await run(emulator, items, journal=copy)).report.reported_before == 30, (
            "it is the original now"
        )


async def test_a_journal_that_was_renamed_is_the_original(tmp_path: Path) -> None:
    async with Emulator() as emulator:
        await run(emulator, writes(5), journal=tmp_path / "j")
        (tmp_path / "j").rename(tmp_path / "other")
        assert (await run(emulator, writes(5), journal=tmp_path / "other")).error is None


async def test_a_new_journal_and_its_name_are_synced_before_anything_is_sent(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    synced: list[Path] = []
    plain = journal_file.sync
    monkeypatch.setattr(journal_file, "sync", lambda path: (synced.append(path), plain(path)))
    journal = await Journal.open(tmp_path / "j", JOB)
    await journal.close()
    assert synced[-1] == tmp_path, "a folder that is not synced may forget the name after a power loss"
    assert len(synced) == 2


async def test_a_close_that_is_cancelled_before_its_thread_comes_to_it_closes(tmp_path: Path) -> None:
    journal, is_free = await Journal.open(tmp_path / "j", JOB), threading.Event()
    journal._thread.submit(is_free.wait)
    closing = asyncio.ensure_future(journal.close())
    await asyncio.sleep(0)
    closing.cancel()
    threading.Timer(0.05, is_free.set).start()
    with pytest.raises(asyncio.CancelledError):
        await closing
    await (await Journal.open(tmp_path / "j", JOB)).close()


def damage_page(path: Path) -> None:
    """Damage the tree of a table and none of its rows: only a check of the pages can find it."""
    connection = sqlite3.connect(path, isolation_level=None)
    (page,) = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'failure'").fetchone()
    (size,) = connection.execute("PRAGMA page_size").fetchone()
    connection.close()
    content = bytearray(path.read_bytes())
    # the first freeblock of the page: where it does not lie within the page, the page is damaged
    content[(page - 1) * size + 1 : (page - 1) * size + 3] = (3).to_bytes(2, "big")
    path.write_bytes(content)


async def test_the_pages_of_a_journal_are_checked_when_it_is_opened(tmp_path: Path) -> None:
    path = tmp_path / "j"
    await write_small_journal(path)
    damage_page(path)
    with pytest.raises(JournalError, match="damaged"):
        await content_of(path)


def tables(path: Path) -> Sequence[str]:
    connection = open_file(path)
    try:
        return [name for (name,) in connection.execute("SELECT name FROM sqlite_schema ORDER BY name")]
    finally:
        connection.close()


async def test_a_journal_holds_three_tables_and_no_index_that_could_disagree_with_them(
    tmp_path: Path,
) -> None:
    await write_small_journal(tmp_path / "j")
    assert tables(tmp_path / "j") == ["chunk", "failure", "job"]


REFUSED_FIRST = [evolve(JOB, service="http://127.0.0.1:2"), evolve(JOB, input="other")]


@pytest.mark.parametrize("damage", ["no log", "half a log", "empty count"])
async def test_a_run_of_another_job_takes_nothing_away_that_shows_damage(damage: str, tmp_path: Path) -> None:
    path = tmp_path / "j"
    files = await write_cut_off_journal(path)
    damaged = {
        "no log": {ending: files[ending] for ending in ("", "-count")},
        "half a log": {**files, "-wal": files["-wal"][: len(files["-wal"]) // 2]},
        "empty count": {**files, "-count": b""},
    }[damage]
    put(path, damaged)
    for other in REFUSED_FIRST:
        with pytest.raises(JournalError):
            await Journal.open(path, other)
    for _ in range(2):
        with pytest.raises(JournalError, match="commits of the run before are missing"):
            await content_of(path)
    put(path, files)
    assert reported_lines(await content_of(path)) == 40


@pytest.mark.parametrize("stop", ["cut off", "closed"])
async def test_a_whole_journal_is_whole_after_a_run_of_another_job(stop: str, tmp_path: Path) -> None:
    path = tmp_path / "j"
    files = await write_cut_off_journal(path)
    if stop == "cut off":
        put(path, files)
    for other in REFUSED_FIRST:
        with pytest.raises(JournalMismatch):
            await Journal.open(path, other)
    assert reported_lines(await content_of(path)) == 40
    assert os.listdir(tmp_path) == ["j"]  # noqa: PTH208


async def test_what_is_shown_of_a_journal_that_was_cut_off_needs_its_log(tmp_path: Path) -> None:
    path = tmp_path / "j"
    files = await write_cut_off_journal(path)
    put(path, files)
    assert read_snapshot(path).read == 40
    put(path, {"": files[""]})
    for _ in range(2):
        with pytest.raises(JournalError, match="j-wal and j-count are missing"):
            read_snapshot(path)


async def test_the_number_of_commits_goes_before_the_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The job that opens the journal next would count in a file that is then removed."""
    path = tmp_path / "j"
    journal = await Journal.open(path, JOB)
    await fill(journal)
    close, could_open = CommitCount.close, list[bool]()

    def closed(count: CommitCount, *, is_kept: bool = False) -> None:
        close(count, is_kept=is_kept)
        with pytest.raises(JournalBusy):
            open_file(path)
        could_open.append(False)

    monkeypatch.setattr(CommitCount, "close", closed)
    await journal.close()
    assert could_open == [False]
