"""Many lines of NDJSON at once, where every one of them is a relationship and plainly right.

What one line costs is mostly the steps between Python and what is written in C: here many lines take each
step together. It gives no more than reading them one by one would.
"""

import secrets
from collections.abc import Sequence
from itertools import chain, repeat
from operator import itemgetter

import orjson

from clinia_async.ingest.readers.ndjson_strict import Rules
from clinia_async.ingest.records.record import Kind
from clinia_async.ingest.records.record_batch import Stretch
from clinia_async.models import Action
from clinia_async.models.batch_result import Key
from clinia_async.models.identifiers import are_keys, are_simple_relationship_ids, is_end_id
from clinia_async.serialization.strict_json import are_faithful

_MARK = secrets.randbits(62)
"""Stands between two lines. No line can hold it but by guessing, so where as many marks as there should be
are found between the values, each line is one value by itself, and none reaches over into the next."""
_BETWEEN = b",%d," % _MARK
_TYPE, _FROM, _TO, _ID, _DATA = map(itemgetter, ("type", "from", "to", "id", "data"))

Object = dict[str, object]


def read_at_once(first: int, lines: Sequence[bytes | None], rules: Rules, kind: Kind) -> Stretch | None:
    """The lines, numbered from `first`; None where they must be read one by one."""
    if rules.action == Action.DELETE:
        return None
    try:
        keys = _keys(lines, rules, kind)  # type: ignore[arg-type]  # one that was too large is a TypeError
    except (LookupError, TypeError, ValueError):
        return None
    if keys is None:
        return None
    payloads = [*map(bytes.strip, lines)]  # type: ignore[arg-type]
    return Stretch(kind, keys, payloads, range(first, first + len(keys)), [None] * len(keys))


def _keys(lines: Sequence[bytes], rules: Rules, kind: Kind) -> list[Key | None] | None:
    values = _values(lines)
    if values is None:
        return None
    types, froms, tos = [*map(_TYPE, values)], [*map(_FROM, values)], [*map(_TO, values)]
    from_ids, to_ids = [*map(_ID, froms)], [*map(_ID, tos)]
    # what holds such names is an object; now it is seen to hold nothing else
    if not (_hold_no_more(values) and set(map(len, froms)) == {2} == set(map(len, tos))):
        return None
    if not _are_keys(types, [*map(_TYPE, froms)], [*map(_TYPE, tos)]):
        return None
    joints = [from_ + "." + to for from_, to in zip(from_ids, to_ids, strict=True)]
    if not (are_simple_relationship_ids(joints) or all(map(is_end_id, chain(from_ids, to_ids)))):
        return None
    if rules.map_id is not None and [*map(rules.map_id, chain(from_ids, to_ids))] != from_ids + to_ids:
        return None
    return [*zip(repeat(str.__str__(kind.target)), types, joints)]


def _are_keys(*columns: list[str]) -> bool:
    if all(
        column.count(column[0]) == len(column) for column in columns
    ):  # as most are, and nothing is hashed
        return are_keys(*(column[0] for column in columns))
    return all(are_keys(*each) for each in set(zip(*columns, strict=True)))


def _values(lines: Sequence[bytes]) -> list[Object] | None:
    whole = b"[" + _BETWEEN.join(lines) + b"]"
    found = orjson.loads(whole)
    marks = found[1::2]
    if len(marks) != len(lines) - 1 or marks.count(_MARK) != len(marks) or len(found) == 2 * len(marks):
        return None
    return found[::2] if are_faithful(lines, whole, found) else None


def _hold_no_more(values: Sequence[Object]) -> bool:
    """Whether those that hold more than the three fields, which all must have, hold data and no more."""
    sizes = set(map(len, values))
    larger = values if sizes == {4} else [value for value in values if len(value) != 3]
    return sizes <= {3, 4} and set(map(type, map(_DATA, larger))) <= {dict}
