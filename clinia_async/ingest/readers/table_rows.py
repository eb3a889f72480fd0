"""A row of a table, made into the line that it stands for, and then read as every line is."""

import math
import re
from collections.abc import Callable, Mapping, Sequence

import orjson
from attrs import frozen

from clinia_async.errors import DecodeError, InvalidWrite
from clinia_async.ingest.readers.column_mapping import ColumnMapping, Member
from clinia_async.ingest.readers.line_splitter import LARGEST_LINE
from clinia_async.ingest.readers.ndjson import LineReader
from clinia_async.ingest.records.record import BadRecord, Item
from clinia_async.serialization import exact_json, strict_json

_WHOLE = re.compile(r"-?(0|[1-9][0-9]*)")
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_TRUTH = {"true": True, "false": False}


@frozen
class Refused:
    """A value of a table that no record can carry, and why."""

    reason: str


class RowReader:
    """`cells` of a row come in the order of `columns`; None is for a cell that holds nothing."""

    def __init__(self, lines: LineReader, mapping: ColumnMapping) -> None:
        self._lines = lines
        self._mapping = mapping
        named = (each.column for each in mapping.members)
        self.columns = tuple(dict.fromkeys(name for name in named if name is not None))
        places = {column: place for place, column in enumerate(self.columns)}
        self._parts = [
            (each, each.path.split("."), None if each.column is None else places[each.column])
            for each in mapping.members
        ]

    def member_of(self, column: str) -> str:
        """The first member that the column is for."""
        return next(each.path for each in self._mapping.members if each.column == column)

    def read(self, number: int, cells: Sequence[object]) -> Item:
        try:
            text = exact_json.dumps(self._record(cells))
        except InvalidWrite as error:
            return BadRecord(number, self._named(error.path), error.rule, self._as_read(cells))
        if len(text) > LARGEST_LINE:
            return BadRecord(number, "$", "the row is too large")
        found = self._lines.read(number, text)
        if isinstance(found, BadRecord):
            return BadRecord(number, self._named(found.path), found.reason, text)
        return found

    def _record(self, cells: Sequence[object]) -> Mapping[str, object]:
        record: dict[str, object] = {"data": {}} if self._mapping.is_of_resources else {}
        for member, parts, place in self._parts:
            cell = member.constant if place is None else cells[place]
            if cell is not None:
                _put(record, parts, _value(member, cell))
        return record

    def _named(self, place: str) -> str:
        """The place, with the name of the column whose fault it is."""
        member = self._mapping.member_at(place)
        if member is None:
            return place
        return f"{place} (column {member.column})" if member.column is not None else f"{place} (a constant)"

    def _as_read(self, cells: Sequence[object]) -> bytes:
        """What can be told of a row that became no line."""
        told = {
            name: _printable(cell)
            for name, cell in zip(self.columns, cells, strict=True)
            if isinstance(cell, str | int | orjson.Fragment)
        }
        return exact_json.dumps(told)


def _put(record: dict[str, object], parts: Sequence[str], value: object) -> None:
    inner = record
    for part in parts[:-1]:
        deeper = inner.setdefault(part, {})
        assert isinstance(deeper, dict)  # a mapping holds no member inside another
        inner = deeper
    inner[parts[-1]] = value


def _printable(cell: object) -> object:
    return cell.encode(errors="backslashreplace").decode() if isinstance(cell, str) else cell


def _value(member: Member, cell: object) -> object:
    if isinstance(cell, Refused):
        raise InvalidWrite(member.place, cell.reason)
    if member.kind is None:
        return cell
    make, rule = _MAKERS[member.kind]
    value = make(cell)
    if value is None:
        raise InvalidWrite(member.place, rule)
    return value


def _string(cell: object) -> object:
    if type(cell) is int:
        return str(cell)
    return cell if isinstance(cell, str) else None


def _whole_number(cell: object) -> object:
    if isinstance(cell, str) and _WHOLE.fullmatch(cell):
        return orjson.Fragment(cell)  # with every digit, however many there are
    return cell if type(cell) is int else None


def _number(cell: object) -> object:
    if isinstance(cell, str) and _NUMBER.fullmatch(cell) and math.isfinite(float(cell)):
        return orjson.Fragment(cell)
    return cell if type(cell) in {int, float, orjson.Fragment} else None


def _truth(cell: object) -> object:
    return _TRUTH.get(cell.lower()) if isinstance(cell, str) else cell if type(cell) is bool else None


def _json(cell: object) -> object:
    if not isinstance(cell, str):
        return None
    try:
        members = strict_json.fields(f'{{"value":{cell}}}')
    except DecodeError:
        return None
    return orjson.Fragment(members["value"][1].text) if members.keys() == {"value"} else None


_MAKERS: Mapping[str, tuple[Callable[[object], object], str]] = {
    "str": (_string, "must be a text or a whole number"),
    "int": (_whole_number, "must be a whole number"),
    "float": (_number, "must be a finite number, such as 1.5"),
    "bool": (_truth, "must be true or false"),
    "json": (_json, "must be JSON"),
}
