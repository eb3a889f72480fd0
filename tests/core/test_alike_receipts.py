"""Receipts that are read off their text say what the same ones say that are read value by value."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from clinia_async import DecodeError, Receipt, TaskSnapshot, codec
from clinia_async.alike_receipts import AlikeReceipts, alike_snapshot

COUNT = 50
AT = "2025-05-13T14:03:21.123Z"

Change = Callable[[list[dict[str, Any]]], object]


def receipts(count: int = COUNT) -> list[dict[str, Any]]:
    return [
        {
            "taskId": "bk_1",
            "action": "CREATE",
            "status": "SUCCESS",
            "completedAt": f"2025-05-13T14:03:{number % 60:02}.5Z",
            "targetType": "RELATIONSHIP",
            "type": "practises-at",
            "id": f"prac-{number}.org-é",
            "receivedAt": AT,
        }
        for number in range(count)
    ]


def body(entries: object, **more: Any) -> bytes:
    found = {"taskId": "bk_1", "status": "SUCCESS", **more, "receipts": entries}
    return json.dumps(found, separators=(",", ":"), ensure_ascii=False).encode()


def by_value(text: bytes) -> TaskSnapshot:
    """A space more, and it is not read off its text."""
    return codec.decode_task(text.replace(b"{", b"{ ", 2))


KEYS = {("RELATIONSHIP", "practises-at", f"prac-{number}.org-é") for number in range(COUNT)}


def test_they_are_the_same_receipts() -> None:
    text = body(receipts())
    found, expected = codec.decode_task(text), by_value(text)
    assert isinstance(found.receipts, AlikeReceipts)
    assert not isinstance(expected.receipts, AlikeReceipts)
    assert expected.receipts is not None
    assert found.receipts.apart() == expected.receipts.apart() == (KEYS, ())  # type: ignore[attr-defined]
    assert found.receipts.stored_ids("RELATIONSHIP", "practises-at") == {id_ for *_, id_ in KEYS}
    assert not found.receipts.stored_ids("RESOURCE", "practises-at")
    assert not found.receipts.stored_ids("RELATIONSHIP", "other")
    assert found == expected
    assert len(found.receipts) == COUNT
    assert isinstance(found.receipts[0], Receipt)
    assert list(found.receipts) == list(expected.receipts)
    assert not hasattr(found.receipts, "nothing")


ORDER = ["id", "type", "targetType", "action", "status"]


@pytest.mark.parametrize(
    "text",
    [
        body([{name: entry[name] for name in ORDER} for entry in receipts()]),
        body(receipts()).replace(b"prac-7.", b"},{."),
        body([entry | {"action": "UPSERT", "targetType": "RESOURCE"} for entry in receipts()]),
        body(receipts()).replace(
            b'"taskId":"bk_1","status":"SUCCESS","receipts"', b'"status":"SUCCESS","receipts"'
        ),
    ],
)
def test_however_they_are_written_if_they_are_alike(text: bytes) -> None:
    found = alike_snapshot(text)
    assert found is not None
    assert found == by_value(text)


def changed(**more: Any) -> Change:
    return lambda entries: entries[COUNT // 2].update(more)


def dropped(name: str) -> Change:
    return lambda entries: entries[COUNT // 2].pop(name)


@pytest.mark.parametrize(
    "change",
    [
        changed(status="FAILURE"),
        changed(status="PENDING"),
        changed(action="DELETE"),
        changed(targetType="RESOURCE"),
        changed(type="other"),
        changed(id="prac-0.org-é"),
        changed(id='a"b.c'),
        changed(id="a\\b.c"),
        changed(id="a\nb.c"),
        lambda entries: entries[0].update(id="}.{"),
        changed(id=7),
        changed(more="than is known"),
        changed(error={"type": "INTERNAL"}),
        changed(error=None),
        changed(pipelineExecution={"id": "1", "status": "SUCCESSFUL"}),
        changed(completedAt="2025-02-30T14:03:21.123Z"),
        changed(receivedAt=None),
        changed(taskId="/"),
        *map(dropped, ["status", "id", "type", "taskId", "completedAt"]),
        lambda entries: entries.__setitem__(slice(None), entries[::-1] + entries[:1]),
        lambda entries: entries.append([]),
        lambda entries: entries.insert(0, []),
        lambda entries: [entry.update(status="FAILURE") for entry in entries],
        lambda entries: [entry.update(error=None) for entry in entries],
        lambda entries: [entry.update(action="DANCE") for entry in entries],
        lambda entries: entries.clear(),
    ],
)
def test_one_that_is_not_like_the_others_is_read_by_value(change: Change) -> None:
    entries = receipts()
    change(entries)
    told_alike(body(entries))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b'"status":"SUCCESS","receipts":[', b'"status":"PENDING","receipts":['),
        (b'"status":"SUCCESS","receipts":[', b'"status":"SUCCESS","receipts":[],"x":{"receipts":['),
        (b'"status":"SUCCESS","receipts":[', b'"status":"SUCCESS","more":1,"receipts":['),
        (b"}]}", b'}],"receipts":[]}'),
        (b"}]}", b"}]"),
        (b"}]}", b"}]}}"),
        (b"}]}", b"},]}"),
        (b"},{", b"}{"),
        (b"},{", b"}, {"),
        (b'"id":"prac-7', b'"id": "prac-7'),
        (b'"id":"prac-7', b'"id":"\xff'),
        (b'"id":"prac-7', b'"id":"\x01'),
        (b'"id":"prac-7', b'"type":"twice","id":"prac-7'),
        (b'{"taskId":"bk_1","status"', b'{"taskId":"bk/1","status"'),
        (b'{"taskId":"bk_1","action"', b'{"taskId":"bk_1","taskId":"bk_1","action"'),
    ],
)
def test_text_that_is_not_quite_that_is_read_by_value(old: bytes, new: bytes) -> None:
    text = body(receipts())
    assert old in text
    told_alike(text.replace(old, new, 1))


def told_alike(text: bytes) -> None:
    """Not read off the text, and what it says, or what is wrong with it, is what it always was."""
    assert alike_snapshot(text) is None
    try:
        expected: object = codec.decode(text, TaskSnapshot)
    except DecodeError as error:
        expected = str(error)
    try:
        found: object = codec.decode_task(text)
    except DecodeError as error:
        found = str(error)
    assert found == expected
