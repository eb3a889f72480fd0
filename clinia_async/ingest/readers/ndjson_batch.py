"""Many lines of NDJSON parsed and checked together, column by column.

What one line costs is mostly the steps between Python and what is written in C: here many lines take each
step together. A batch is read only where reading its lines one by one gives the same records.
"""

import json
import secrets
from collections.abc import Sequence
from itertools import chain, repeat
from operator import itemgetter

import orjson

from clinia_async.models import TargetType
from clinia_async.models.identifiers import are_keys, are_simple_relationship_ids, is_end_id, is_new_id
from clinia_async.models.tasks import Key
from clinia_async.serialization.exact_json import RawJson, trimmed
from clinia_async.serialization.strict_json import are_faithful

_SEPARATOR = secrets.randbits(62)
"""Stands between two lines. A line can hold it only by guessing, so where as many separators as there should
be are found between the values, each line is one value by itself, and none reaches over into the next."""
_BETWEEN = b",%d," % _SEPARATOR
_TYPE, _FROM, _TO, _ID, _DATA = map(itemgetter, ("type", "from", "to", "id", "data"))
_RELATIONSHIP_NAME, _RESOURCE_NAME = map(str.__str__, (TargetType.RELATIONSHIP, TargetType.RESOURCE))

Object = dict[str, object]
Column = Sequence[object]
FIELDS = frozenset({"type", "from", "to", "id", "data", "action", "operation"})
"""What a line of a batch may hold; a line with anything else is read by itself."""


def parse_lines(lines: Sequence[bytes | None]) -> list[Object] | None:
    """Parse one JSON value a line; None if a line is not one value or parsing loses a part of it."""
    try:
        whole = b"[" + _BETWEEN.join(lines) + b"]"  # type: ignore[arg-type]  # None is a TypeError
        found = orjson.loads(whole)
    except (TypeError, ValueError):
        return None
    marks = found[1::2]
    if len(marks) != len(lines) - 1 or marks.count(_SEPARATOR) != len(marks) or len(found) == 2 * len(marks):
        return None
    return found[::2] if are_faithful(lines, whole, found) else None  # type: ignore[arg-type]


def are_plain_relationships(values: Sequence[Object]) -> bool:
    """Return whether each value holds as many fields as `type`, `from`, `to` and perhaps `data` are."""
    try:
        sizes = set(map(len, values))
        larger = values if sizes == {4} else [value for value in values if len(value) != 3]
        has_data = set(map(type, map(_DATA, larger))) <= {dict}
        return sizes <= {3, 4} and has_data and len([*map(_FROM, values)]) == len(values)
    except (KeyError, TypeError):
        return False


def relationship_keys(values: Sequence[Object]) -> list[Key | None] | None:
    """Return the key of each of `values`, or None if one is not plainly a relationship.

    `values` must have passed `are_plain_relationships`.
    """
    try:
        types, froms, tos = [*map(_TYPE, values)], [*map(_FROM, values)], [*map(_TO, values)]
        # what holds such names is an object; now it is seen to hold nothing else
        if set(map(len, froms)) != {2} or set(map(len, tos)) != {2}:
            return None
        end_types = [*map(_TYPE, froms)], [*map(_TYPE, tos)]
        return keys_of_relationships(types, end_types, ([*map(_ID, froms)], [*map(_ID, tos)]))
    except (AttributeError, KeyError, TypeError):
        return None


def keys_of_relationships(
    types: Column, end_types: tuple[Column, Column], end_ids: tuple[Column, Column]
) -> list[Key | None] | None:
    """Return the key of each relationship of columns; None if one of them has none.

    Raises `TypeError` if an id is no text.
    """
    if not _are_keys(types, *end_types):
        return None
    ids = [from_ + "." + to for from_, to in zip(*end_ids, strict=True)]  # type: ignore[operator]
    if not (are_simple_relationship_ids(ids) or all(map(is_end_id, chain(*end_ids)))):
        return None
    return [*zip(repeat(_RELATIONSHIP_NAME), types, ids)]  # type: ignore[list-item]


def end_ids(values: Sequence[Object]) -> list[str]:
    """Return the ids of all `from`, then of all `to`. Raises `KeyError` or `TypeError` if one has none."""
    return [*map(_ID, map(_FROM, values)), *map(_ID, map(_TO, values))]


def resource_ids(values: Sequence[Object]) -> list[str]:
    """Return the ids of resources. Raises `KeyError` or `TypeError` if one has none."""
    return [*map(_ID, values)]


def set_resource_ids(values: Sequence[Object], ids: Sequence[str]) -> None:
    """Replace the ids of resources."""
    for value, id_ in zip(values, ids, strict=True):
        value["id"] = id_


def set_end_ids(values: Sequence[Object], ids: Sequence[str]) -> None:
    """Replace the ids of all `from`, then of all `to`."""
    for end, id_ in zip(chain(map(_FROM, values), map(_TO, values)), ids, strict=True):
        end["id"] = id_


def split_line(line: bytes) -> tuple[Object, RawJson | None] | None:
    """Return the fields of a line that `parse_lines` took, but for its data, and the data in its own bytes.

    None where that cannot be seen without reading it step by step: the data comes last in lines that a
    program has written, and a row of a table may hold an integer that is beyond every double.
    """
    try:
        value: Object = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    if "data" not in value:
        return value, None
    del value["data"]
    text = line.strip()
    start = orjson.dumps(value)[:-1] + b',"data":'
    if not text.startswith(start):
        start = json.dumps(value).encode()[:-1] + b', "data": '
    return (value, RawJson(text[len(start) : -1].strip())) if text.startswith(start) else None


def have_own_ids(values: Sequence[Object]) -> bool:
    """Take `id` out of each value; return whether it was, where there was one, that of the two ends."""
    try:
        return all(
            value.pop("id") == f"{_ID(_FROM(value))}.{_ID(_TO(value))}" for value in values if "id" in value
        )
    except (KeyError, TypeError):
        return False


def resource_keys(values: Sequence[Object]) -> list[Key | None] | None:
    """Return the key of each of `values`, or None if one is not plainly a resource with an id."""
    try:
        types, ids = [*map(_TYPE, values)], [*map(_ID, values)]
        if set(map(len, values)) != {3} or set(map(type, map(_DATA, values))) != {dict}:
            return None
        return keys_of_resources(types, ids)
    except (KeyError, TypeError):
        return None


def no_keys(values: Sequence[Object]) -> list[Key | None] | None:
    """Return None for each of `values`, or None if one is not plainly a resource without an id."""
    try:
        types = [*map(_TYPE, values)]
        if set(map(len, values)) != {2} or set(map(type, map(_DATA, values))) != {dict}:
            return None
        return keys_of_resources(types, None)
    except (KeyError, TypeError):
        return None


def keys_of_resources(types: Column, ids: Column | None) -> list[Key | None] | None:
    """Return the key of each resource of columns; None if one of them is wrong.

    Without `ids`, which the service makes then, no resource has a key.
    """
    if not _are_keys(types):
        return None
    if ids is None:
        return [None] * len(types)
    if not all(map(is_new_id, ids)):
        return None
    return [*zip(repeat(_RESOURCE_NAME), types, ids)]  # type: ignore[list-item]


def rewritten(values: Sequence[Object]) -> list[bytes]:
    """Return each of `values` as JSON: exact only where orjson writes the line as it stood."""
    return [trimmed(orjson.dumps(value)) for value in values]


def are_verbatim(values: Sequence[Object], lines: Sequence[bytes]) -> bool:
    """Return whether orjson writes each value as it stands in its line."""
    return [*map(orjson.dumps, values)] == [*map(bytes.strip, lines)]


def are_texts(keys: Sequence[Key | None]) -> bool:
    """Return whether all parts of the keys that there are are plain strings, as those of parsed JSON are."""
    return {*map(type, chain.from_iterable(filter(None, keys)))} <= {str}


def _are_keys(*columns: Column) -> bool:
    if all(column.count(column[0]) == len(column) for column in columns):  # as most are: nothing is hashed
        return are_keys(*(column[0] for column in columns))
    return all(are_keys(*each) for each in set(zip(*columns, strict=True)))
