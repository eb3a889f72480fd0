"""Receipts of success that are written alike, read off their text.

A large bulk mostly succeeds, and then its receipts differ in the id of a record and in times. The first
one tells how all of them are written, and a pattern made of it takes the text apart. Of a thousand
receipts that is ten thousand values that are not made before somebody looks at them.
"""

import re
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from functools import lru_cache
from itertools import repeat

import orjson

from clinia_async.models import Receipt, TaskSnapshot, TaskStatus
from clinia_async.receipts import Key
from clinia_async.rfc3339 import parse_usual
from clinia_async.task_id import TaskId
from clinia_async.usual_receipts import UsualReceipts

_FEW = 2000
"""Bytes of an answer for which it is not worth it."""
_LIST = b'"receipts":['
_SAME = ("action", "status", "targetType")
"""What has few values, and the same one in each of them."""
_TASK, _TYPE, _ID = "taskId", "type", "id"
_TIMES = ("receivedAt", "completedAt")
_VARIED = frozenset({_TASK, _TYPE, _ID, *_TIMES})
_VALUE = rb'"([^"\\\x00-\x1f]*)"'
_SUCCESS = str(TaskStatus.SUCCESS)

Columns = Mapping[str, Sequence[str]]
"""What each receipt says, by name."""


class AlikeReceipts(UsualReceipts):
    """Each says that another record of one type is stored, and nothing more."""

    __slots__ = ("_ids", "_stored", "_target", "_text", "_type")

    def __init__(self, text: bytes, target: str, type: str, ids: Sequence[str]) -> None:
        """Raises `ValueError` for an id that comes twice."""
        self._text = text
        self._target = target
        self._type = type
        self._ids = ids
        self._stored = frozenset(ids)
        if len(self._stored) < len(ids):
            raise ValueError

    def __getattr__(self, name: str) -> object:
        """What is not there, until somebody looks at a receipt."""
        if name in UsualReceipts.__slots__:
            super().__init__(orjson.loads(self._text)["receipts"])
        return object.__getattribute__(self, name)

    def __len__(self) -> int:
        return len(self._ids)

    def stored_ids(self, target: str, type: str) -> AbstractSet[str]:
        return self._stored if (target, type) == (self._target, self._type) else frozenset()

    def say_stored(self, keys: Sequence[Key | None]) -> bool:
        return [*zip(repeat(self._target), repeat(self._type), self._ids)] == keys

    def apart(self) -> tuple[set[Key], Sequence[Receipt]]:
        return {(self._target, self._type, id_) for id_ in self._ids}, ()


def alike_snapshot(body: bytes) -> TaskSnapshot | None:
    """A task of which every operation is stored; None for any other, and if its receipts are not alike."""
    start = body.find(_LIST) + len(_LIST)
    if len(body) < _FEW or start < len(_LIST):
        return None
    try:
        first = orjson.loads(body[start : body.find(b"}", start) + 1])
        return _snapshot(body, first) if first["status"] == _SUCCESS else None
    except (LookupError, TypeError, ValueError):
        return None  # whoever reads every value finds out what is unusual, or wrong


def _snapshot(body: bytes, first: Mapping[str, str]) -> TaskSnapshot | None:
    UsualReceipts([dict(first)])  # checks what is the same in all
    head, columns, tail = _taken_apart(body, first)
    if set(columns[_TYPE]) != {first[_TYPE]}:
        return None
    for time in {time for name in _TIMES for time in columns.get(name, ())}:
        parse_usual(time)
    for task in set(columns.get(_TASK, ())):
        TaskId(task)
    status, task_id = _around(head, tail)
    return TaskSnapshot(status, task_id, AlikeReceipts(body, first["targetType"], first[_TYPE], columns[_ID]))


def _taken_apart(body: bytes, first: Mapping[str, str]) -> tuple[bytes, Columns, bytes]:
    """What stands before the receipts, in them and after them. Raises `ValueError` if they are not alike."""
    pattern = _pattern(tuple(first), tuple(first[name] for name in _SAME))
    varied = [name for name in first if name in _VARIED]
    head, *parts, tail = pattern.split(body)
    step = len(varied) + 1
    if set(parts[step - 1 :: step]) - {b","}:
        raise ValueError
    columns = {name: _texts(parts[place::step]) for place, name in enumerate(varied)}
    return head, columns, tail


def _texts(values: Sequence[bytes]) -> Sequence[str]:
    return b"\n".join(values).decode().split("\n")  # no value holds a line end


@lru_cache(maxsize=64)
def _pattern(names: Sequence[str], same: Sequence[str]) -> re.Pattern[bytes]:
    """Of a receipt with those members in that order. Raises `KeyError` for a member that tells more."""
    known = dict(zip(_SAME, same, strict=True))
    values = [_VALUE if name in _VARIED else re.escape(f'"{known[name]}"'.encode()) for name in names]
    members = [b'"%b":%b' % (name.encode(), value) for name, value in zip(names, values, strict=True)]
    return re.compile(rb"\{%b\}" % b",".join(members))


def _around(head: bytes, tail: bytes) -> tuple[TaskStatus, TaskId | None]:
    """What is said of the task itself: without the receipts, their list must be empty and the only one."""
    found = orjson.loads(head + tail)
    if not (head.endswith(_LIST) and tail.startswith(b"]") and (head + tail).count(_LIST) == 1):
        raise ValueError
    task_id = found.pop(_TASK, None)
    if found != {"status": _SUCCESS, "receipts": []}:
        raise ValueError
    return TaskStatus.SUCCESS, None if task_id is None else TaskId(task_id)
