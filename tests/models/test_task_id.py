"""Task ids: opaque on the wire, a kind to be read from the prefix, and nothing that could change a path."""

import pickle
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinia_async import ConfigError, GetPurge, GetTask, ProtocolError, Session, TaskId, TaskKind
from tests.factories import ONCE, SOURCE, session_at
from tests.hostile import Hostile, answer, task


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("s_2ErTGO6HBLUHVVdHyHKAQJBTQ", TaskKind.SINGLE),
        ("bk_1", TaskKind.BULK),
        ("bd_1", TaskKind.BUNDLE),
        ("pg_1", TaskKind.PURGE),
        ("purge:abc", TaskKind.PURGE),
        ("purge:a_b", TaskKind.PURGE),
        ("2ErTGO6HBLUHVVdHyHKAQJBTQ", TaskKind.LEGACY),
        ("zz_1", TaskKind.UNKNOWN),
        ("S_1", TaskKind.UNKNOWN),
        ("_1", TaskKind.UNKNOWN),
        ("...", TaskKind.LEGACY),
    ],
)
async def test_task_kinds_by_prefix(text: str, kind: TaskKind) -> None:
    identifier = TaskId(text)
    assert identifier.kind is kind
    assert str(identifier) == identifier.value == text
    assert pickle.loads(pickle.dumps(identifier)) == identifier == TaskId(text)
    assert text not in repr(identifier)
    async with Hostile([task("SUCCESS", text)]) as server, session_at(server) as session:
        handle = session.task(text, source=SOURCE)
        assert handle.kind is kind
        assert (await handle.wait()).status == "SUCCESS"
        place = "purge" if kind is TaskKind.PURGE else "tasks"
        assert unquote(server.requests[0].target.partition("?")[0]) == f"/sources/{SOURCE}/v1/{place}/{text}"


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "..",
        "a/b",
        "a\\b",
        "a?b",
        "a#b",
        "a b",
        "a\n",
        "a\r\nb",
        "a\0",
        "é",
        "s_٣",
        "x" * 257,
        "\ud800",
        "a\x7f",
    ],
)
async def test_task_ids_that_cannot_stand_in_a_path_are_refused(session: Session, text: str) -> None:
    with pytest.raises(ValueError, match="a task id is"):
        TaskId(text)
    with pytest.raises(ConfigError) as caught:
        session.task(text, source=SOURCE)
    assert not text.strip(". ") or len(text) == 1 or text not in str(caught.value)
    with pytest.raises(ConfigError):
        await session.get_task(SOURCE, text)


@pytest.mark.parametrize(
    ("asked", "answered", "is_same"),
    [
        ("s_1", "s_1", True),
        ("s_1", "s_2", False),
        ("s_1", "bk_1", False),
        ("7", "bk_7", True),
        ("7", "bd_7", True),
        ("7", "bk_8", False),
        ("7", "s_7", False),
        ("7", "8", False),
        ("7", "bk_77", False),
        ("purge:a", "pg_a", True),
        ("purge:a", "pg_b", False),
        ("purge:a", "bk_a", False),
    ],
)
async def test_an_answer_about_another_task_than_was_asked_for_is_refused(
    asked: str, answered: str, is_same: bool
) -> None:
    call = GetPurge if asked.startswith("purge:") else GetTask
    purge = {"collectionType": "resources", "collectionKey": "c"}
    document = {"status": "SUCCESS", "taskId": answered, **(purge if call is GetPurge else {})}
    async with (
        Hostile(otherwise=answer(document)) as server,
        session_at(server, retry=ONCE) as session,
    ):
        if is_same:
            await session.send(call(SOURCE, TaskId(asked)))
        else:
            with pytest.raises(ProtocolError):
                await session.send(call(SOURCE, TaskId(asked)))


@pytest.mark.parametrize("value", [None, 7, b"s_1", ["s_1"]])
def test_task_ids_that_are_no_text_are_refused(value: object) -> None:
    with pytest.raises(ValueError, match="a task id is"):
        TaskId(value)  # type: ignore[arg-type]


@given(st.text(alphabet=st.characters(min_codepoint=0x20, max_codepoint=0x7F), max_size=260))
def test_every_valid_task_id_makes_one_path_segment(text: str) -> None:
    try:
        identifier = TaskId(text)
    except ValueError:
        return
    path = GetTask(SOURCE, identifier).request().path
    assert path.count("/") == 5
    last = path.rsplit("/", 1)[1]
    assert unquote(last) == text
    assert last not in {"", ".", ".."}
    assert set(last) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~%")
