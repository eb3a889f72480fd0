"""What many receipts say together is what each of them says."""

from typing import Any

import pytest

from clinia_async.models import Action
from clinia_async.serialization.lazy_receipts import LazyReceipts

AT = "2025-05-13T14:03:21.123Z"
REVIEWED = {"pipelineExecution": {"id": "1", "status": "SUCCESSFUL"}}


def entry(id_: str, **more: Any) -> dict[str, Any]:
    told = {"action": "CREATE", "status": "SUCCESS", "targetType": "RELATIONSHIP", "type": "at", "id": id_}
    return told | {"taskId": "bk_1", "receivedAt": AT, "completedAt": AT} | more


def without(name: str) -> dict[str, Any]:
    found = entry("b.o")
    del found[name]
    return found


def key(value: dict[str, Any]) -> tuple[str, str, str]:
    return value["targetType"], value["type"], value["id"]


@pytest.mark.parametrize(
    "second",
    [
        entry("b.o"),
        entry("b.o", status="FAILURE"),
        entry("b.o", status="PENDING"),
        entry("b.o", type="other"),
        entry("b.o", targetType="RESOURCE"),
        entry("a.o"),
        entry("b.o", **REVIEWED),
        entry("b.o", pipelineExecution=None),
        entry("b.o", error=None),
        entry("b.o", error={"type": "INTERNAL"}),
        entry("b.o", action="UPSERT"),
        entry("b.o", taskId="bk_2", receivedAt="2025-05-13T14:03:22.5Z"),
        *map(without, ["taskId", "receivedAt", "completedAt"]),
        without("taskId") | REVIEWED,
    ],
)
def test_lazy_receipts_prove_stored_as_the_receipts_do(second: dict[str, Any]) -> None:
    values = [entry("a.o"), second, entry("c.o")]
    receipts = LazyReceipts(values)
    keys = [key(value) for value in values]
    is_certain = len(set(keys)) == 3
    stored = {
        key(value)
        for value in values
        if is_certain
        and value["status"] == "SUCCESS"
        and not (value.get("pipelineExecution") or value.get("error"))
    }
    assert receipts.partition()[0] == stored
    assert len(receipts.partition()[1]) + len(stored) == 3
    for of in (("RELATIONSHIP", "at"), ("RELATIONSHIP", "other"), ("RESOURCE", "at")):
        mine = {id_ for *about, id_ in stored if (*about,) == of}
        assert receipts.stored_ids(*of, Action.CREATE) == (mine if second["action"] == "CREATE" else set())
        assert not receipts.stored_ids(*of, Action.UPSERT)
    all_stored = not [
        each for each in receipts if each.status != "SUCCESS" or each.pipeline_execution or each.error
    ]
    assert receipts.all_stored(keys) is all_stored
    assert not receipts.all_stored(keys[::-1])
    assert not receipts.all_stored(keys[:2])
    assert not receipts.all_stored([*keys, None])


def test_empty_receipts_prove_nothing() -> None:
    receipts = LazyReceipts([])
    assert (receipts.partition(), receipts.stored_ids("RESOURCE", "at", Action.CREATE), len(receipts)) == (
        (set(), []),
        set(),
        0,
    )
    assert not receipts.all_stored([("RESOURCE", "at", "a")])
