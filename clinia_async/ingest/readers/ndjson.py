"""Lines of NDJSON to records: in batches where they are plainly right, else strictly and one by one.

A batch gives a record only where the strict way gives the same one. Only the strict way finds fault.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from itertools import groupby

from attrs import evolve

from clinia_async.calls import BatchWrite, CreateRelationship, RetrySafety, UpsertRelationship
from clinia_async.errors import DecodeError, InvalidWrite
from clinia_async.ingest.readers.ndjson_batch import (
    FIELDS,
    Object,
    are_plain_relationships,
    are_texts,
    are_verbatim,
    end_ids,
    have_own_ids,
    no_keys,
    parse_lines,
    relationship_keys,
    resource_ids,
    resource_keys,
    rewritten,
    set_end_ids,
    set_resource_ids,
    split_line,
)
from clinia_async.ingest.readers.ndjson_strict import ACTIONS, Rules, opened_letter, read_strictly
from clinia_async.ingest.records.record import BadRecord, Blank, Item, Record, RecordKind
from clinia_async.ingest.records.record_batch import MAX_BATCH, RecordBatch
from clinia_async.models import Action, Ref, TargetType
from clinia_async.models.tasks import Key
from clinia_async.serialization.exact_json import dumps

_NO_LINE = "the dead letter holds no line: it was too large to keep, or no line can say it"
_RELATIONSHIP = {"type", "from", "to"}
_PARTS = 8
"""A batch with a line that is not plainly right is read in so many parts."""


class UnreadLines(Iterable[Item | RecordBatch]):
    """Lines that are read when they are iterated over: a job that is resumed need not read what landed."""

    def __init__(self, reader: "LineReader", numbers: Sequence[int], lines: Sequence[bytes | None]) -> None:
        self._reader = reader
        self._numbers = numbers
        self._lines = lines

    def __iter__(self) -> Iterator[Item | RecordBatch]:
        return self._reader.read_all(self._numbers, self._lines)

    def count(self) -> tuple[int, int]:
        """Return how many records or bad records the lines are, and how many of them are blank."""
        blank = sum(line is not None and not line.strip() for line in self._lines)
        return len(self._lines) - blank, blank


class LineReader:
    """Reads lines by `rules`. It keeps nothing: one reader may read any number of inputs."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._kinds = {
            (target, action): RecordKind(
                rules.source, target, action, _retry_safety(action), self._write_of, as_text=True
            )
            for target in (TargetType.RELATIONSHIP, TargetType.RESOURCE)
            for action in Action
        }
        self._plain = self._kinds[TargetType.RELATIONSHIP, rules.action]
        self._without_id = evolve(
            self._kinds[TargetType.RESOURCE, Action.CREATE], retry_safety=RetrySafety.ONCE
        )
        """Resources to create whose ids the service makes."""

    def read_all(self, numbers: Sequence[int], lines: Sequence[bytes | None]) -> Iterator[Item | RecordBatch]:
        """Yield the records on `lines`, which have these numbers, in order and batches where that can be."""
        for start in range(0, len(lines), MAX_BATCH):
            part = slice(start, start + MAX_BATCH)
            yield from self._read_batch(numbers[part], lines[part])

    def deletes(self, value: Object) -> bool:
        """Return whether a line that holds `value` deletes its record."""
        return value.get("action", value.get("operation", self._rules.action)) == Action.DELETE

    def read_values(
        self, numbers: Sequence[int], values: Sequence[Object], lines: Sequence[bytes]
    ) -> Iterator[Item | RecordBatch]:
        """Yield what `read_all` does of `lines`, which orjson wrote of `values`, without parsing them."""
        for start in range(0, len(lines), MAX_BATCH):
            part = slice(start, start + MAX_BATCH)
            yield from self._read_values(numbers[part], values[part], lines[part])

    def batch(
        self, target: TargetType, numbers: Sequence[int], keys: list[Key | None], lines: list[bytes]
    ) -> RecordBatch | None:
        """Return the records of lines that are known to be right; None where the rules change them.

        They all have a key or none has.
        """
        if self._rules.action is Action.DELETE or self._rules.map_id is not None:
            return None
        kind = self._kinds[target, self._rules.action]
        if keys[0] is None:
            if kind.action is not Action.CREATE:
                return None
            kind = self._without_id
        return RecordBatch(kind, keys, lines, numbers, [None] * len(lines))

    def _read_values(
        self, numbers: Sequence[int], values: Sequence[Object], lines: Sequence[bytes]
    ) -> Iterator[Item | RecordBatch]:
        kind: RecordKind = self._plain
        keys: list[Key | None] | None = None
        with suppress(InvalidWrite):  # of `map_id`, for one of them
            kind, keys = self._kind_and_keys(values)
        if keys is None or not are_texts(keys):
            yield from self._read_batch(numbers, lines)
        else:
            yield RecordBatch(kind, keys, list(lines), numbers, [None] * len(lines))

    def _kind_and_keys(self, values: Sequence[Object]) -> tuple[RecordKind, list[Key | None] | None]:
        """Return the kind and the keys of `values`; no keys if not all are plainly right as they stand."""
        if self._plain.action is Action.DELETE:
            return self._plain, None
        if not are_plain_relationships(values):
            return self._resources(values)
        is_mapped = self._mapped_ids(values, end_ids) is not None
        return self._plain, None if is_mapped else relationship_keys(values)

    def _resources(self, values: Sequence[Object]) -> tuple[RecordKind, list[Key | None] | None]:
        """Return the kind and the keys of `values`; no keys if not all are plainly resources of that kind."""
        kind = self._kinds[TargetType.RESOURCE, self._rules.action]
        if kind.action is Action.CREATE and "id" not in values[0]:
            kind = self._without_id
        return kind, self._keys_of_resources_as_they_stand(kind, values)

    def _keys_of_resources_as_they_stand(
        self, kind: RecordKind, values: Sequence[Object]
    ) -> list[Key | None] | None:
        if kind is self._without_id:
            return no_keys(values)
        return resource_keys(values) if self._mapped_ids(values, resource_ids) is None else None

    def read(self, number: int, text: bytes | None) -> Item:
        """Return the record on line `number`; a `text` of None was too large to keep."""
        (found,) = self._read_batch(range(number, number + 1), [text])
        return found.record(0) if isinstance(found, RecordBatch) else found

    def read_strictly(self, number: int, text: bytes | None) -> Item:
        """Return what `read` does, with each check made by itself."""
        if text is None:
            return BadRecord(number, "$", "the line is too large")
        if not text.strip():
            return Blank(number)
        try:
            letter = opened_letter(number, text)
            number, opened = letter.number, letter.text
            missing = letter.missing(self._rules.options())
            if missing is not None:
                reason = f"is of a run with other options: give {missing}, too"
                return BadRecord(number, "$.deadLetter", reason, text, file=letter.file)
            item = BadRecord(number, "$", _NO_LINE) if opened is None else self._record(number, opened)
            item.file = letter.file
        except InvalidWrite as error:
            bad = error.path, error.rule
        except DecodeError as error:
            bad = error.path, f"expected {error.expected}"
        else:
            return item
        return BadRecord(number, *bad, text)

    def _record(self, number: int, text: bytes) -> Record | BadRecord:
        try:
            line = read_strictly(text, self._rules)
        except InvalidWrite as error:
            return BadRecord(number, error.path, error.rule, text)
        except DecodeError as error:
            return BadRecord(number, error.path, f"expected {error.expected}", text)
        record = Record(number, line.write, line.text)
        if line.payload is None:
            return record
        kind, key = record.kind, record.key
        return Record.encoded(number, kind, key, line.payload, text=line.text, write=line.write)

    def _read_batch(
        self, numbers: Sequence[int], lines: Sequence[bytes | None]
    ) -> Iterator[Item | RecordBatch]:
        values = parse_lines(lines)
        if values is None:
            yield from self._read_parts(numbers, lines)
            return
        start = 0
        for kind, run in groupby(self._kinds_of(values)):
            part = slice(start, start + len([*run]))
            start = part.stop
            if kind is None:
                yield from map(self.read_strictly, numbers[part], lines[part])
            else:
                batch = None
                with suppress(InvalidWrite):  # of `map_id`, for one of them
                    batch = self._batch(kind, numbers[part], lines[part], values[part])  # type: ignore[arg-type]
                yield from self._read_parts(numbers[part], lines[part]) if batch is None else (batch,)

    def _read_parts(
        self, numbers: Sequence[int], lines: Sequence[bytes | None]
    ) -> Iterator[Item | RecordBatch]:
        if len(lines) == 1:
            yield self.read_strictly(numbers[0], lines[0])
            return
        size = -(-len(lines) // _PARTS)
        for start in range(0, len(lines), size):
            yield from self._read_batch(numbers[start : start + size], lines[start : start + size])

    def _kinds_of(self, values: Sequence[Object]) -> Sequence[RecordKind | None]:
        return [self._plain] * len(values) if are_plain_relationships(values) else [*map(self._kind, values)]

    def _kind(self, value: Object) -> RecordKind | None:
        """Return the kind that the line is of; None if it must be read strictly."""
        if type(value) is not dict or not value.keys() <= FIELDS:
            return None
        action: Action | None = self._rules.action
        if "action" in value and "operation" in value:
            return None
        if "action" in value or "operation" in value:
            name = value.get("action", value.get("operation"))
            action = ACTIONS.get(name) if type(name) is str else None
        target = TargetType.RELATIONSHIP if "from" in value else TargetType.RESOURCE
        if action is Action.CREATE and target is TargetType.RESOURCE and "id" not in value:
            return self._without_id
        return None if action is None else self._kinds[target, action]

    def _batch(
        self, kind: RecordKind, numbers: Sequence[int], lines: Sequence[bytes], values: Sequence[Object]
    ) -> RecordBatch | None:
        """Return the records of `lines`, all of one kind, or None if one is not plainly right."""
        if kind.action is self._rules.action and kind.action is not Action.DELETE:
            keys = self._keys_as_they_stand(kind, values)
            if keys is not None:
                payloads = [*map(bytes.strip, lines)]
                return RecordBatch(kind, keys, payloads, numbers, [None] * len(lines))
        if not are_verbatim(values, lines):
            return None
        keys = self._keys_of(kind, values)
        if keys is None:
            return None
        payloads = _names(keys) if kind.action is Action.DELETE else rewritten(values)
        each = zip(numbers, keys, payloads, lines, strict=True)
        made = [Record.encoded(line, kind, key, payload, text=text) for line, key, payload, text in each]
        return RecordBatch(kind, keys, payloads, numbers, [*made])

    def _keys_as_they_stand(self, kind: RecordKind, values: Sequence[Object]) -> list[Key | None] | None:
        """Return the keys of `values` if each is sent with all that its line holds, and plainly right."""
        if kind is not self._plain:
            is_resource = kind.target is TargetType.RESOURCE
            return self._keys_of_resources_as_they_stand(kind, values) if is_resource else None
        if not are_plain_relationships(values) or self._mapped_ids(values, end_ids):
            return None
        return relationship_keys(values)

    def _mapped_ids(
        self, values: Sequence[Object], ids_of: Callable[[Sequence[Object]], list[str]]
    ) -> list[str] | None:
        """Return the ids of all resources or ends as they are to be, or None if none of them changes."""
        map_id = self._rules.map_id
        if map_id is None:
            return None
        try:
            ids = ids_of(values)
        except (AttributeError, KeyError, TypeError):
            return None  # the check of the keys finds what is wrong
        if not all(isinstance(each, str) for each in ids):
            return None  # likewise
        mapped = [*map(map_id, ids)]  # what it raises ends the reading: unmapped, they are other records
        return None if mapped == ids else mapped

    def _keys_of(self, kind: RecordKind, values: Sequence[Object]) -> list[Key | None] | None:
        """Return the keys of `values`. What is not sent is taken out of them, and ids are mapped."""
        for value in values:
            value.pop("action", None)
            value.pop("operation", None)
        if kind.target is TargetType.RESOURCE:
            return None if kind.action is Action.DELETE else self._keys_of_resources(kind, values)
        if not have_own_ids(values) or not are_plain_relationships(values):
            return None
        if kind.action is Action.DELETE and any("data" in value for value in values):
            return None
        mapped = self._mapped_ids(values, end_ids)
        if mapped is not None:
            set_end_ids(values, mapped)
        return relationship_keys(values)

    def _keys_of_resources(self, kind: RecordKind, values: Sequence[Object]) -> list[Key | None] | None:
        if kind is self._without_id:
            return no_keys(values)
        mapped = self._mapped_ids(values, resource_ids)
        if mapped is not None:
            set_resource_ids(values, mapped)
        return resource_keys(values)

    def _write_of(self, text: bytes) -> BatchWrite:
        write = self._plain_write(text) if self._rules.map_id is None else None
        return write or read_strictly(text, self._rules).write

    def _plain_write(self, text: bytes) -> BatchWrite | None:
        """Return the write of a line of a batch, if it is a plain relationship; it was checked then."""
        found = split_line(text)
        if found is None or found[0].keys() != _RELATIONSHIP or self._rules.action is Action.DELETE:
            return None
        value, data = found
        make = CreateRelationship if self._rules.action is Action.CREATE else UpsertRelationship
        from_, to = (Ref(**value[name]) for name in ("from", "to"))  # type: ignore[arg-type]  # two texts
        return make(self._rules.source, str(value["type"]), from_, to, data)


def _names(keys: Sequence[Key | None]) -> list[bytes]:
    """Return what the operations of deletes hold."""
    return [dumps({"id": key[2], "type": key[1]}) for key in keys if key is not None]


def _retry_safety(action: Action) -> RetrySafety:
    return RetrySafety.KEYED if action == Action.CREATE else RetrySafety.IDEMPOTENT
