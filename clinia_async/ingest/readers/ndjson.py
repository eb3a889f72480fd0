"""Lines to records, quickly where a line is plainly right, and to the letter where there is any doubt.

The quick way gives a record only where the strict way would give the same one. Whatever it does not
know it leaves to the strict way, which alone finds fault.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import count
from typing import TypeGuard

import orjson

from clinia_async.calls import BatchWrite, RetrySafety
from clinia_async.errors import DecodeError, InvalidWrite
from clinia_async.ingest.readers.ndjson_batch import read_at_once
from clinia_async.ingest.readers.ndjson_strict import ACTIONS, Rules, read_strictly
from clinia_async.ingest.records.record import BadRecord, Blank, Item, Kind, Record
from clinia_async.ingest.records.record_batch import AT_ONCE, Stretch
from clinia_async.models import Action, TargetType
from clinia_async.models.batch_result import Key
from clinia_async.models.identifiers import are_keys, is_end_id, is_key, is_new_id, is_simple_relationship_id
from clinia_async.serialization.exact_json import trimmed
from clinia_async.serialization.strict_json import faithful

_LONGEST_KEY = 62
_RELATIONSHIP, _RESOURCE = TargetType.RELATIONSHIP, TargetType.RESOURCE
_seen_key = lru_cache(maxsize=1024)(is_key)  # types are few

Object = dict[str, object]


class LineReader:
    """Holds no more than its rules: one reader may read any number of inputs."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._is_plain = rules.map_id is None and rules.action != Action.DELETE
        self._kinds = {
            (target, action): Kind(
                rules.source, target, action, _retry_safety(action), self._write_of, as_text=True
            )
            for target in (_RELATIONSHIP, _RESOURCE)
            for action in Action
        }
        self._relationship = self._kinds[_RELATIONSHIP, rules.action]
        self._resource = self._kinds[_RESOURCE, rules.action]

    def read_all(self, first: int, lines: Sequence[bytes | None]) -> Iterator[Item | Stretch]:
        """The records on the lines from number `first` on; those of many together, where that can be."""
        for start in range(0, len(lines), AT_ONCE):
            part = lines[start : start + AT_ONCE]
            stretch = read_at_once(first + start, part, self._rules, self._relationship)
            yield from map(self.read, count(first + start), part) if stretch is None else (stretch,)

    def read(self, number: int, text: bytes | None) -> Item:
        """The record on line `number`; a `text` of None was too large to keep."""
        if text is None:
            return BadRecord(number, "$", "the line is too large")
        try:
            value = orjson.loads(text)
        except ValueError:
            return self._strictly(number, text)
        return self._quickly(number, text, value) or self._strictly(number, text)

    def _quickly(self, number: int, text: bytes, value: object) -> Record | None:
        again = faithful(text, value)
        if again is None or type(value) is not dict:
            return None
        key = _usual_key(value) or _key_with_odd_ids(value)
        if key is not None and (self._is_plain or self._leaves_as_it_is(value)):
            return Record.encoded(number, self._relationship, key, text.strip(), text=text)
        if again != text:  # what is dumped once more would not be in the line's own bytes
            return None
        if "from" in value:
            return self._changed(number, text, value)
        return self._resource_of(number, text, value)

    def _leaves_as_it_is(self, value: Object) -> bool:
        map_id = self._rules.map_id
        if map_id is None or self._rules.action == Action.DELETE:
            return False
        ends = value["from"], value["to"]
        return all(type(end) is dict and map_id(end["id"]) == end["id"] for end in ends)

    def _changed(self, number: int, text: bytes, value: Object) -> Record | None:
        """A relationship whose bytes are not those of its line: all but what changes stays as it was."""
        kind = self._named(value, self._relationship)
        from_, to = value["from"], value.get("to")
        if kind is None or type(from_) is not dict or type(to) is not dict:
            return None
        from_id, to_id = from_.get("id"), to.get("id")
        if type(from_id) is not str or type(to_id) is not str:
            return None
        joined = f"{from_id}.{to_id}"
        if value.pop("id", joined) != joined:
            return None
        if self._rules.map_id is not None:
            from_["id"], to["id"] = self._rules.map_id(from_id), self._rules.map_id(to_id)
        key = _relationship_key(value)
        if key is None:
            return None
        if kind.action is not Action.DELETE:
            return Record.encoded(number, kind, key, trimmed(orjson.dumps(value)), text=text)
        _, type_, id_ = key
        payload = trimmed(orjson.dumps({"id": id_, "type": type_}))
        return None if "data" in value else Record.encoded(number, kind, key, payload, text=text)

    def _resource_of(self, number: int, text: bytes, value: Object) -> Record | None:
        before = len(value)
        kind = self._named(value, self._resource)
        type_, id_ = value.get("type"), value.get("id")
        if kind is None or kind.action is Action.DELETE or len(value) != 3:
            return None
        if type(value.get("data")) is not dict or not _is_key(type_) or not _is_id(id_):
            return None
        payload = text if len(value) == before else trimmed(orjson.dumps(value))
        return Record.encoded(number, kind, (_RESOURCE, type_, id_), payload, text=text)

    def _named(self, value: Object, default: Kind) -> Kind | None:
        """The kind that the line names itself, which is taken out of it; None if there is doubt."""
        if "action" not in value and "operation" not in value:
            return default
        if "action" in value and "operation" in value:
            return None
        name = value.pop("action", None) or value.pop("operation", None)
        action = ACTIONS.get(name) if type(name) is str else None
        return None if action is None else self._kinds[default.target, action]

    def _strictly(self, number: int, text: bytes) -> Item:
        if not text.strip():
            return Blank(number)
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

    def _write_of(self, text: bytes) -> BatchWrite:
        return read_strictly(text, self._rules).write


def _retry_safety(action: Action) -> RetrySafety:
    return RetrySafety.KEYED if action == Action.CREATE else RetrySafety.IDEMPOTENT


def _relationship_key(value: Object) -> Key | None:
    """The key of what is a relationship and no more: type, from, to and perhaps data."""
    return _usual_key(value) or _key_with_odd_ids(value)


def _usual_key(value: Object) -> Key | None:
    """It is sure of what it gives; what it does not give it has not looked at closely."""
    try:
        type_, from_, to = value["type"], value["from"], value["to"]
        if type(from_) is not dict or type(to) is not dict or type(type_) is not str:
            return None
        if len(from_) != 2 or len(to) != 2 or len(value) != (4 if type(value.get("data")) is dict else 3):
            return None
        id_ = from_["id"] + "." + to["id"]
        if is_simple_relationship_id(id_) and are_keys(type_, from_["type"], to["type"]):
            return _RELATIONSHIP, type_, id_
    except (KeyError, TypeError):
        pass
    return None


def _key_with_odd_ids(value: Object) -> Key | None:
    type_ = value.get("type")
    if len(value) != (4 if type(value.get("data")) is dict else 3) or not _is_key(type_):
        return None
    from_, to = _end_id(value.get("from")), _end_id(value.get("to"))
    return None if from_ is None or to is None else (_RELATIONSHIP, type_, f"{from_}.{to}")


def _end_id(end: object) -> str | None:
    if type(end) is not dict or len(end) != 2 or not _is_key(end.get("type")):
        return None
    id_ = end.get("id")
    return id_ if is_end_id(id_) else None


def _is_key(text: object) -> TypeGuard[str]:
    return type(text) is str and len(text) <= _LONGEST_KEY and _seen_key(text)


def _is_id(text: object) -> TypeGuard[str]:
    return is_new_id(text)
