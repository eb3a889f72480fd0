"""Creating one relationship, reading it back, and everything a body must not be."""

import re
from datetime import UTC, datetime, timedelta

import pytest

from clinia_async.emulator import Accepted, Constant, Emulator, Settings
from tests.emulator.raw import RELATIONSHIPS, Raw, write

LONGEST_KEY = "k" * 62
BAD_KEYS = ["_a", "k" * 63, "a%0A", "a%C3%A9", "a%D9%A3", "a.b", "a%2Fb", "%2e%2e", "a%00", "a%20b"]


async def test_a_persisted_create_is_answered_with_the_record(raw: Raw) -> None:
    reply = await raw.create(write(data={"since": "2019-04-01"}))
    record = reply.body["relationship"]
    meta = record.pop("meta")
    assert reply.status == 201
    assert reply.body["status"] == "PERSISTED"
    assert record == {"id": "prac-1.org-9", "type": "practises-at", **write(data={"since": "2019-04-01"})}
    assert meta.keys() == {"source", "createdAt", "updatedAt"}
    assert meta["source"] == "ehr"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", meta["createdAt"])


async def test_what_was_created_can_be_read(raw: Raw) -> None:
    created = await raw.create(write(data={"a": 1}))
    read = await raw.read("prac-1.org-9")
    assert read.status == 200
    assert read.body == created.body["relationship"]


async def test_the_task_of_a_persisted_create_is_done(raw: Raw) -> None:
    created = await raw.create(write())
    task_id = created.body["taskId"]
    assert re.fullmatch(r"s_[0-9A-Za-z]{27}", task_id)
    task = await raw.task(task_id)
    (receipt,) = task.body.pop("receipts")
    assert task.body == {"taskId": task_id, "status": "SUCCESS"}
    assert receipt.pop("receivedAt") == receipt.pop("completedAt")
    assert receipt == {
        "taskId": task_id,
        "action": "CREATE",
        "status": "SUCCESS",
        "targetType": "RELATIONSHIP",
        "id": "prac-1.org-9",
        "type": "practises-at",
    }


async def test_data_that_was_not_given_is_an_empty_object(raw: Raw) -> None:
    assert (await raw.create(write())).body["relationship"]["data"] == {}


async def test_a_pair_exists_once_per_type_and_source(raw: Raw, emulator: Emulator) -> None:
    assert (await raw.create(write(data={"first": True}))).status == 201
    again = await raw.create(write(data={"first": False}))
    assert (again.status, again.kind) == (409, "ALREADY_EXISTS")
    assert "relationship" not in again.body
    assert (await raw.read("prac-1.org-9")).body["data"] == {"first": True}
    assert (await raw.create(write(), "works-for")).status == 201
    assert (await raw.send("POST", "/sources/other/v1/relationships/practises-at", write())).status == 201
    assert (emulator.relationships(), emulator.relationships("works-for")) == (3, 1)


async def test_the_status_of_already_exists_is_a_setting() -> None:
    async with Emulator(settings=Settings(already_exists=400)) as emulator, Raw(emulator) as raw:
        await raw.create(write())
        again = await raw.create(write())
        assert (again.status, again.body["code"], again.kind) == (400, 400, "ALREADY_EXISTS")


async def test_reading_what_is_not_there(raw: Raw) -> None:
    await raw.create(write())
    elsewhere = await raw.send("GET", "/sources/other/v1/relationships/practises-at/prac-1.org-9")
    for reply in (await raw.read("prac-1.org-8"), await raw.read("prac-1.org-9", "x"), elsewhere):
        assert (reply.status, reply.kind) == (404, "NOT_FOUND")


@pytest.mark.parametrize("id_", ["ab", "a.b.c", ".b", "a.", ".", "a%0A.b", "a.b%0A", "a.b%7F", "a.%C2%85"])
async def test_an_id_in_the_path_is_two_ids_and_a_dot(raw: Raw, id_: str) -> None:
    reply = await raw.read(id_)
    assert (reply.status, reply.kind) == (400, "INVALID_ARGUMENT")


async def test_includes_are_refused_rather_than_forgotten(raw: Raw) -> None:
    await raw.create(write())
    reply = await raw.read("prac-1.org-9?includes=practitioner")
    assert (reply.status, reply.kind) == (501, "UNIMPLEMENTED")


@pytest.mark.parametrize("id_", ["é", "a b", "urn:x:1", "1", "a/b", "a%2Fb", "~", "\u202e", "x" * 5000])
async def test_an_end_may_be_called_anything_without_dots(raw: Raw, emulator: Emulator, id_: str) -> None:
    assert (await raw.create(write(from_=id_))).status == 201
    assert [stored.id for stored in emulator.stored()] == [f"{id_}.org-9"]


async def test_a_slash_in_an_id_survives_the_path(raw: Raw) -> None:
    await raw.create(write(from_="http://x/y?z#%"))
    read = await raw.read("http%3A%2F%2Fx%2Fy%3Fz%23%25.org-9")
    assert read.body["from"]["id"] == "http://x/y?z#%"


@pytest.mark.parametrize("key", ["a", "-", "9", "-_", LONGEST_KEY])
async def test_keys_that_are_right(raw: Raw, key: str) -> None:
    path = f"/sources/{key}/v1/relationships/{key}"
    ends = {end: {"id": "i", "type": key} for end in ("from", "to")}
    assert (await raw.send("POST", path, ends)).status == 201


@pytest.mark.parametrize("key", BAD_KEYS)
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/sources/{}/v1/relationships/t"),
        ("POST", "/sources/s/v1/relationships/{}"),
        ("POST", "/sources/{}/v1/relationships/bulk"),
        ("GET", "/sources/{}/v1/relationships/t/a.b"),
        ("GET", "/sources/s/v1/relationships/{}/a.b"),
        ("GET", "/sources/{}/v1/tasks/s_1"),
        ("PUT", "/catalog/v1/partitions/{}"),
        ("GET", "/catalog/v1/partitions/{}"),
    ],
)
async def test_keys_that_are_wrong(raw: Raw, method: str, path: str, key: str) -> None:
    reply = await raw.send(method, path.format(key), write() if method != "GET" else None)
    assert (reply.status, reply.kind) == (400, "INVALID_ARGUMENT")
    assert "not a valid key" in reply.body["message"]


END = {"id": "a", "type": "p"}
BAD_BODIES = {
    "array": [],
    "string": "x",
    "number": 1,
    "no ends": {},
    "no from": {"to": END},
    "no to": {"from": END},
    "an id": {"id": "a.b", "from": END, "to": END},
    "unknown field": {"from": END, "to": END, "dta": {}},
    "type in the body": {"type": "t", "from": END, "to": END},
    "end is a string": {"from": "a", "to": END},
    "end is null": {"from": None, "to": END},
    "end without id": {"from": {"type": "p"}, "to": END},
    "end without type": {"from": {"id": "a"}, "to": END},
    "end with more": {"from": {**END, "x": 1}, "to": END},
    "id is a number": {"from": {"id": 1, "type": "p"}, "to": END},
    "id is empty": {"from": {"id": "", "type": "p"}, "to": END},
    "id has a dot": {"from": END, "to": {"id": "a.b", "type": "p"}},
    "id is a dot": {"from": END, "to": {"id": ".", "type": "p"}},
    "id has a line break": {"from": END, "to": {"id": "a\n", "type": "p"}},
    "id has a nul": {"from": END, "to": {"id": "a\0b", "type": "p"}},
    "id has a C1 control": {"from": END, "to": {"id": "a\x9fb", "type": "p"}},
    "end type is no key": {"from": {"id": "a", "type": "p\n"}, "to": END},
    "data is an array": {"from": END, "to": END, "data": []},
    "data is null": {"from": END, "to": END, "data": None},
    "meta is null": {"from": END, "to": END, "meta": None},
}


@pytest.mark.parametrize("name", BAD_BODIES)
async def test_bodies_that_are_wrong(raw: Raw, emulator: Emulator, name: str) -> None:
    reply = await raw.create(BAD_BODIES[name])
    assert (reply.status, reply.kind) == (400, "INVALID_ARGUMENT")
    assert reply.body.keys() == {"code", "message", "type", "details"}
    assert (reply.body["code"], reply.body["details"]) == (400, [])
    assert emulator.relationships() == 0


@pytest.mark.parametrize(
    "body",
    [
        {"from": {"id": "SECRET.", "type": "p"}, "to": END},
        {"from": {"id": "a", "type": "SECRET!"}, "to": END},
        {"from": END, "to": END, "SECRET": 1},
        {"from": END, "to": END, "meta": {"createdAt": "SECRET"}},
        {"from": END, "to": END, "meta": {"identifier": [{"SECRET": 1}]}},
    ],
)
async def test_no_message_repeats_what_was_sent(raw: Raw, body: dict[str, object]) -> None:
    reply = await raw.create(body, "%53ECRET!")
    assert reply.status == 400
    assert "SECRET" not in str(reply.body)
    reply = await raw.create(body)
    assert reply.status == 400
    assert "SECRET" not in str(reply.body)


PAST, LATER = "2020-01-01T00:00:00.1234567Z", "2020-01-01T01:30:00+01:00"


async def test_dates_are_kept_as_given(raw: Raw) -> None:
    meta = {
        "createdAt": PAST,
        "updatedAt": LATER,
        "identifier": [{"system": "s", "value": "v", "use": "old"}],
    }
    created = await raw.create(write(meta=meta))
    assert created.body["relationship"]["meta"] == {"source": "ehr", **meta}
    assert (await raw.read("prac-1.org-9")).body["meta"] == {"source": "ehr", **meta}


async def test_only_the_creation_date_may_be_given(raw: Raw) -> None:
    created = await raw.create(write(meta={"createdAt": PAST}))
    meta = created.body["relationship"]["meta"]
    assert meta["createdAt"] == PAST
    assert meta["updatedAt"] > "2021"


@pytest.mark.parametrize(
    "meta",
    [
        {"updatedAt": PAST},
        {"createdAt": LATER, "updatedAt": PAST},
        {"createdAt": "2020-01-01T00:00:00+00:00", "updatedAt": "2020-01-01T00:00:00+00:01"},
        {"createdAt": (datetime.now(UTC) + timedelta(days=1)).isoformat()},
        {"createdAt": PAST, "updatedAt": (datetime.now(UTC) + timedelta(days=1)).isoformat()},
        {"createdAt": "2020-01-01"},
        {"createdAt": "2020-01-01T00:00:00"},
        {"createdAt": "20200101T000000Z"},
        {"createdAt": "2020-02-30T00:00:00Z"},
        {"createdAt": PAST + "\n"},
        {"createdAt": None},
        {"createdAt": 1577836800},
        {"source": "ehr"},
        {"identifier": {}},
        {"identifier": ["x"]},
        {"identifier": [{"value": 1}]},
        {"identifier": [{"value": "v", "color": "x"}]},
        {"identifier": [{"use": "source", "value": "v"}]},
        {"identifier": [{"system": "mdm", "value": "v"}]},
        {"identifier": [{"system": "s", "value": "v"}, {"id": "x", "system": "s", "value": "v"}]},
        {"identifier": [{"period": "x"}]},
        {"identifier": [{"period": {"start": 1}}]},
    ],
)
async def test_metadata_that_is_wrong(raw: Raw, meta: dict[str, object]) -> None:
    reply = await raw.create(write(meta=meta))
    assert (reply.status, reply.kind) == (400, "INVALID_ARGUMENT")


async def test_identifiers_that_differ_in_one_part(raw: Raw) -> None:
    same = {"system": "s", "value": "v", "use": "u", "period": {"start": "2020-01-01"}}
    identifiers = [same, {**same, "value": "w"}, {**same, "use": "x"}, {**same, "system": "t"}]
    reply = await raw.create(write(meta={"identifier": identifiers}))
    assert reply.body["relationship"]["meta"]["identifier"] == identifiers


async def test_metadata_is_checked_before_a_write_is_accepted() -> None:
    async with Emulator(default=Accepted(Constant(1))) as emulator, Raw(emulator) as raw:
        assert (await raw.create(write(meta={"updatedAt": PAST}))).status == 400


async def test_unknown_paths_and_methods(raw: Raw, emulator: Emulator) -> None:
    nowhere = await raw.send("GET", "/nowhere")
    assert (nowhere.status, nowhere.kind) == (404, "NOT_FOUND")
    method = await raw.send("DELETE", f"{RELATIONSHIPS}/practises-at")
    assert (method.status, method.kind) == (405, "UNIMPLEMENTED")
    assert emulator.requests == {"unknown": 2}


async def test_every_request_is_counted_by_route(raw: Raw, emulator: Emulator) -> None:
    await raw.create(write())
    await raw.create({})
    await raw.read("prac-1.org-9")
    await raw.send("POST", f"{RELATIONSHIPS}/bulk", headers={"X-Clinia-API-Key": "wrong"})
    assert emulator.requests == {"create_relationship": 2, "get_relationship": 1, "bulk_relationships": 1}
