"""Columns of records are cut, joined and looked into as a list of records would be."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinia_async import CreateRelationship, CreateResource, Ref, UpsertRelationship
from clinia_async.errors import InvalidWrite
from clinia_async.ingest.pipeline.key_locks import KeyLocks
from clinia_async.ingest.records.batch_encoder import encode_batch
from clinia_async.ingest.records.packed_columns import PackedColumns
from clinia_async.ingest.records.record import Record
from clinia_async.ingest.records.record_batch import RecordBatch, RecordBatches
from clinia_async.ingest.records.taken import take
from tests.ingest.running import SOURCE


def encoded(items: list[Any], first: int) -> RecordBatch | None:
    taken = [*map(take, items)]
    return encode_batch([item for item, _ in taken], [line for _, line in taken], first)


def write_at(
    position: int, kind: type[CreateRelationship | UpsertRelationship]
) -> CreateRelationship | UpsertRelationship:
    return kind(SOURCE, "t", Ref(f"a{position}", "x"), Ref("b", "y"), {"n": position})


def batch(first: int, count: int, kind: type[CreateRelationship | UpsertRelationship]) -> RecordBatch:
    found = encoded([write_at(position, kind) for position in range(first, first + count)], first)
    assert found is not None
    found.positions = range(first, first + count)
    return found


def facts(record: Record) -> tuple[object, ...]:
    return record.line, record.position, record.key, record.action, record.payload(), record.write


PIECES = st.lists(
    st.tuples(st.integers(1, 5), st.sampled_from([CreateRelationship, UpsertRelationship])),
    min_size=1,
    max_size=5,
)


def made(
    pieces: list[tuple[int, type[CreateRelationship | UpsertRelationship]]],
) -> tuple[RecordBatches, list[Record]]:
    first = 1
    batches: list[RecordBatch] = []
    alone: list[Record] = []
    for count, kind in pieces:
        batches.append(batch(first, count, kind))
        places = range(first, first + count)
        alone += [Record(place, write_at(place, kind), position=place) for place in places]
        first += count
    return RecordBatches(batches), alone


@given(PIECES, st.data())
def test_records_are_a_sequence_of_records(
    pieces: list[tuple[int, type[CreateRelationship | UpsertRelationship]]], data: st.DataObject
) -> None:
    records, alone = made(pieces)
    assert len(records) == len(alone)
    place = data.draw(st.integers(-len(alone), len(alone) - 1))
    assert records[place] is records[place]
    assert facts(records[place]) == facts(alone[place])
    start, stop = data.draw(st.integers(0, 26)), data.draw(st.integers(0, 26))
    part = records[start:stop]
    assert [*map(facts, part)] == [*map(facts, alone[start:stop])]
    assert part.keys() == [record.key for record in alone[start:stop]]
    assert b",".join(part.operations()) == b",".join(record.operation() for record in alone[start:stop])
    told = [position for first, last in part.ranges() for position in range(first, last + 1)]
    assert told == [record.position for record in alone[start:stop]]
    with pytest.raises(IndexError):
        records[len(alone)]


@given(PIECES)
def test_packed_records_come_back_as_they_were(
    pieces: list[tuple[int, type[CreateRelationship | UpsertRelationship]]],
) -> None:
    packed, _ = made(pieces)
    records, alone = made(pieces)
    size = packed.size()
    for _ in packed.pack():
        assert packed.keys() == records.keys()
    assert packed.size() != size
    assert (len(packed), packed.kind, packed.ranges()) == (len(records), records.kind, records.ranges())
    assert packed.operations() == records.operations()
    assert packed.size() == size
    assert [*map(facts, packed)] == [*map(facts, alone)]
    assert packed[0] is packed[0]


IDS = st.text("a\0é\ud800\n", max_size=3)


@given(st.lists(st.tuples(IDS, IDS, IDS), min_size=1, max_size=4), st.data())
def test_columns_come_back_as_they_were_or_are_not_packed(
    keys: list[tuple[str, str, str]], data: st.DataObject
) -> None:
    payloads = data.draw(st.lists(st.binary(max_size=4), min_size=len(keys), max_size=len(keys)))
    found = PackedColumns.of(keys, payloads)
    is_clean = "\0" not in "".join(map("".join, keys)) and b"\0" not in b"".join(payloads)
    assert (found is not None) == is_clean
    assert found is None or (found.keys(), found.payloads()) == (keys, payloads)


def test_what_was_given_or_has_no_key_is_not_packed() -> None:
    given = RecordBatch.of(Record(1, write_at(1, CreateRelationship)))
    unnamed = RecordBatch.of(Record(1, CreateResource(SOURCE, "note", data={})))
    for batch_ in (given, unnamed):
        record = batch_.record(0)
        batch_.pack()
        assert batch_.record(0) is record
        assert len(batch_.all_keys()) == 1


@given(st.integers(1, 9), st.sets(st.integers(0, 8)))
def test_some_are_left_out(count: int, places: set[int]) -> None:
    whole = batch(1, count, CreateRelationship)
    out = sorted(place for place in places if place < count)
    left = [record for place, record in enumerate(whole) if place not in out]
    assert [*map(facts, whole.without(out))] == [*map(facts, left)]


@given(st.integers(1, 4), st.integers(1, 4), st.booleans())
def test_one_joins_another_of_its_kind(first: int, second: int, follow: bool) -> None:
    one = batch(1, first, CreateRelationship)
    other = batch(first + 1 if follow else 40, second, CreateRelationship)
    expected = [*map(facts, [*one, *other])]
    assert one.try_extend(other)
    assert [*map(facts, one)] == expected
    upserts, maybe_applied = batch(90, 2, UpsertRelationship), batch(95, 2, CreateRelationship)
    maybe_applied.maybe_applied = True
    assert not one.try_extend(upserts)
    assert not one.try_extend(maybe_applied)
    assert maybe_applied.record(0).previous_attempt == (None, 0)


@given(st.integers(1, 8), st.integers(0, 10), st.integers(0, 1500))
def test_as_many_fit_as_there_is_room_for(count: int, most: int, size: int) -> None:
    whole = batch(1, count, CreateRelationship)
    fitting = whole.fitting(most, size)
    sizes = [len(record.operation()) + 1 for record in whole]
    assert whole.size() == sum(sizes) == len(whole.content()) + 1
    assert fitting == max(n for n in range(min(count, most) + 1) if sum(sizes[:n]) <= size)


@given(st.lists(st.integers(0, 5), max_size=8), st.lists(st.integers(0, 5), max_size=8))
def test_many_keys_are_claimed_and_freed_as_one_by_one(first: list[int], second: list[int]) -> None:
    together, alone = KeyLocks(), KeyLocks()
    for numbers in (first, second):
        records = [Record(1, write_at(number, CreateRelationship)) for number in numbers]
        waiting = together.acquire(RecordBatch.of_all(records)) if records else []
        assert waiting == [
            place for place, record in enumerate(records) if alone.acquire(RecordBatch.of(record))
        ]
    free = [Record(1, write_at(number, CreateRelationship)) for number in sorted({*first})]
    followed = together.release([record.key for record in free])
    expected = [after for record in free for after in alone.release([record.key])]
    assert [record.key for record in followed] == [record.key for record in expected]
    assert [record.key for record in together.waiting()] == [record.key for record in alone.waiting()]


ENDS = st.text('ab_-.é \n"\\', min_size=0, max_size=4)
WRITES = st.tuples(
    ENDS,
    ENDS,
    st.sampled_from([None, {}, {"n": 1}, {"n": None}, {"n": float("nan")}, {"é": '"'}, {"n": 10**30}]),
)


@given(st.lists(WRITES, min_size=1, max_size=4))
def test_many_writes_are_encoded_as_each_alone(
    drawn: list[tuple[str, str, dict[str, object] | None]],
) -> None:
    writes = []
    for from_, to, data in drawn:
        try:
            writes.append(CreateRelationship(SOURCE, "t", Ref(from_, "x"), Ref(to, "y"), data))
        except InvalidWrite:
            continue
    if not writes:
        return
    try:
        expected = [write.operation() for write in writes]
    except InvalidWrite:
        assert encoded(writes, 1) is None
        return
    found = encoded(writes, 1)
    assert found is not None
    assert [record.operation() for record in found] == expected
    assert [record.write for record in found] == writes
    assert [record.key for record in found] == [Record(1, write).key for write in writes]
    assert [record.text for record in found] == [None] * len(writes)
