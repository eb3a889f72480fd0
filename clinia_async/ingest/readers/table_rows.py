"""Rows of a table, many at once and column by column, made into records."""

import json
import math
import re
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from datetime import date, time
from decimal import Decimal
from itertools import compress, pairwise

import orjson

from clinia_async.errors import DecodeError, InvalidWrite
from clinia_async.ingest.readers.bad_cell import BadCell
from clinia_async.ingest.readers.column_mapping import ColumnMapping, MappedField
from clinia_async.ingest.readers.line_splitter import LARGEST_LINE
from clinia_async.ingest.readers.ndjson import LineReader
from clinia_async.ingest.readers.ndjson_batch import parse_lines
from clinia_async.ingest.readers.stand_ins import checked_ids, texts_of_numbers
from clinia_async.ingest.readers.table_template import (
    Column,
    JsonColumn,
    RowTemplate,
    Tree,
    present,
    spread,
)
from clinia_async.ingest.records.record import BadRecord, Blank, Item
from clinia_async.ingest.records.record_batch import MAX_BATCH, RecordBatch
from clinia_async.serialization import exact_json, strict_json
from clinia_async.serialization.exact_json import trimmed

_WHOLE = re.compile(r"-?(0|[1-9][0-9]*)")
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_WHOLES = re.compile(r"(?:-?(?:0|[1-9][0-9]*+),)*")
_NUMBERS = re.compile(r"(?:-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?(?:[eE][+-]?[0-9]++)?,)*")
"""Numbers with a comma behind each."""
_GROUPED = re.compile(r"-?[0-9]{1,3}(\.[0-9]{3})+(,[0-9]+)?")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_EXACT = json.JSONDecoder(parse_float=orjson.Fragment)
_LINE_ENDS = bytes.maketrans(b"\r\n", b"  ")
"""No string of JSON holds line ends as they are."""
_IDS = frozenset({"id", "from.id", "to.id"})
ROW = b'{"columns":'
"""The start of a row in a dead letter."""
_EMPTY_TEXTS = "emptyTexts"
_ROW_FIELDS = frozenset({"columns", "cells", _EMPTY_TEXTS})
_TRUTH = {"true": True, "false": False}
_TRUTH_TEXTS = {"true": b"true", "false": b"false"}

Block = list[Item | RecordBatch]


class RowReader:
    """Reads rows whose cells come in the order of `columns`; None is a cell without a value."""

    def __init__(self, lines: LineReader, mapping: ColumnMapping, decimal: str = ".") -> None:
        self._lines = lines
        self._mapping = mapping
        self._makers = _COMMA_MAKERS if decimal == "," else _MAKERS
        named = (each.column for each in mapping.fields)
        self.columns = tuple(dict.fromkeys(name for name in named if name is not None))
        self._places = {column: place for place, column in enumerate(self.columns)}
        self._tree: Tree = {}
        for place, each in enumerate(mapping.fields):
            _put(self._tree, each.path.split("."), place)
        self._template = RowTemplate(mapping, self._tree)

    def field_of(self, column: str) -> str:
        """Return the first field that the column is for."""
        return next(each.path for each in self._mapping.fields if each.column == column)

    def is_text(self, column: str) -> bool:
        """Return whether all fields that the column is for are `:str`."""
        return {each.kind for each in self._mapping.fields if each.column == column} == {"str"}

    def is_json(self, column: str) -> bool:
        """Return whether a field that the column is for is `:json`."""
        return any(each.column == column and each.kind == "json" for each in self._mapping.fields)

    def read(
        self, numbers: Sequence[int], columns: Sequence[Column], others: Sequence[BadRecord | Blank] = ()
    ) -> Block:
        """Return the records of some rows, which have these numbers, and `others`, in the order of rows."""
        converted, bad = self._converted(len(numbers), columns)
        found: Block = [*others]
        if bad:
            for row, (path, reason) in sorted(bad.items()):
                text = row_text(self.columns, [column[row] for column in columns])
                found.append(BadRecord(numbers[row], self._with_column(path), reason, text))
            good = [row not in bad for row in range(len(numbers))]
            numbers = [*compress(numbers, good)]
            converted = [_where(column, good) for column in converted]
            columns = [[*compress(column, good)] for column in columns]
        return _in_order([*found, *self._read(numbers, converted, columns)]) if numbers else _in_order(found)

    def _converted(
        self, count: int, columns: Sequence[Column]
    ) -> tuple[list[Column | JsonColumn], dict[int, tuple[str, str]]]:
        """Return the values of each field, and the path and reason of each row that has a bad one."""
        bad: dict[int, tuple[str, str]] = {}
        converted: list[Column | JsonColumn] = []
        for each in self._mapping.fields:
            column = [each.constant] * count if each.column is None else columns[self._places[each.column]]
            if each.path in _IDS:
                column = texts_of_numbers(column, is_text=each.kind == "str")
            values = _values(each, column, self._makers)
            if each.path in _IDS and not isinstance(values, JsonColumn):
                values = checked_ids(values)
            if not isinstance(values, JsonColumn) and BadCell in set(map(type, values)):
                for row, value in enumerate(values):
                    if isinstance(value, BadCell):
                        bad.setdefault(row, (each.json_path, value.reason))
            converted.append(values)
        return converted, bad

    def _read(
        self, numbers: Sequence[int], converted: Sequence[Column | JsonColumn], columns: Sequence[Column]
    ) -> Block:
        batch = self._template.batch(self._lines, numbers, converted, LARGEST_LINE)
        if batch is not None:
            return [batch.cut(start, start + MAX_BATCH) for start in range(0, len(batch), MAX_BATCH)]
        values = [each.values() if isinstance(each, JsonColumn) else each for each in converted]
        records = _objects(self._tree, values, len(numbers))
        if self._mapping.is_of_resources:
            for record in records:
                if not self._lines.deletes(record):
                    record.setdefault("data", {})
        try:
            texts = [trimmed(orjson.dumps(record)) for record in records]
        except TypeError:
            return self._read_apart(numbers, records, columns)
        if max(map(len, texts)) > LARGEST_LINE:
            return self._read_apart(numbers, records, columns)
        found: Block = []
        for item in self._lines.read_values(numbers, records, texts):
            if isinstance(item, BadRecord):
                row = numbers.index(item.line)
                text = row_text(self.columns, [column[row] for column in columns])
                item = BadRecord(item.line, self._with_column(item.path), item.reason, text)  # noqa: PLW2901
            found.append(item)
        return found

    def _read_apart(
        self, numbers: Sequence[int], records: Sequence[object], columns: Sequence[Column]
    ) -> Block:
        """Return what `_read` does, where one of the records cannot be carried."""
        found: Block = []
        for row, (number, record) in enumerate(zip(numbers, records, strict=True)):
            cells = row_text(self.columns, [column[row] for column in columns])
            try:
                text = exact_json.dumps(record)
            except InvalidWrite as error:
                found.append(BadRecord(number, self._with_column(error.path), error.rule, cells))
                continue
            if len(text) > LARGEST_LINE:
                found.append(BadRecord(number, "$", "the row is too large", cells))
                continue
            item = self._lines.read(number, text)
            if isinstance(item, BadRecord):
                item = BadRecord(number, self._with_column(item.path), item.reason, cells)
            found.append(item)
        return found

    def _with_column(self, path: str) -> str:
        """Return the path, with the name of the column that the value comes from."""
        each = self._mapping.field_at(path)
        if each is None:
            return path
        return f"{path} (column {each.column})" if each.column is not None else f"{path} (a constant)"


def _in_order(items: Block) -> Block:
    """Return the items by their line. A batch is cut where another item stands among its lines."""
    single = [item for item in items if not isinstance(item, RecordBatch)]
    if not single:
        return items
    found: Block = [*single]
    for batch in items:
        if isinstance(batch, RecordBatch):
            places = [bisect_left(batch.lines, item.line) for item in single]
            cuts = sorted({0, len(batch), *places})
            found += [batch.cut(start, stop) for start, stop in pairwise(cuts)]
    return sorted(found, key=lambda item: item.lines[0] if isinstance(item, RecordBatch) else item.line)


def row_text(columns: Sequence[str], cells: Sequence[object]) -> bytes | None:
    """Return a row as its dead letter holds it, which `row_of_text` reads; None if it is too large.

    What is no value of JSON stands there as a text that strict reading refuses, so that the row stays bad
    until somebody mends it. An empty text is a value here; so the row says, for one who mends a row of CSV
    may write it for a cell without a value.
    """
    shown = {"columns": list(columns), "cells": [_shown(cell) for cell in cells]}
    if "" in cells:
        shown[_EMPTY_TEXTS] = True
    try:
        text = orjson.dumps(shown)
    except TypeError:
        text = json.dumps(shown, default=_shown_as_json).encode()
    return text if len(text) <= LARGEST_LINE else None


def row_of_text(text: bytes) -> tuple[tuple[str, ...], Sequence[object]] | None:
    """Return the columns and the cells of a row in a dead letter; None for any other text.

    Numbers keep every digit. An empty text is a cell without a value, unless the row says that it is one.
    """
    if not text.startswith(ROW):
        return None
    try:
        fields = strict_json.fields(text.decode())
        columns = fields["columns"][0]
        cells = _EXACT.decode(fields["cells"][1].text.decode())
    except (DecodeError, KeyError, UnicodeDecodeError):
        return None
    if not fields.keys() <= _ROW_FIELDS or not isinstance(columns, list) or not isinstance(cells, list):
        return None
    if _EMPTY_TEXTS not in fields:
        cells = [None if cell == "" else cell for cell in cells]
    return (tuple(columns), cells) if all(isinstance(name, str) for name in columns) else None


def _shown(cell: object) -> object:
    if not isinstance(cell, BadCell):
        return cell
    text = cell.text or ""
    return text if _SURROGATE.search(text) else "\ud800" + text


def _shown_as_json(cell: object) -> object:
    return float(orjson.dumps(cell)) if isinstance(cell, orjson.Fragment) else str(cell)


def _put(tree: Tree, parts: Sequence[str], place: int) -> None:
    for part in parts[:-1]:
        deeper = tree.setdefault(part, {})
        assert isinstance(deeper, dict)  # a mapping holds no field inside another
        tree = deeper
    tree[parts[-1]] = place


def _objects(tree: Tree, columns: Sequence[Column], count: int) -> list[dict[str, object]]:
    """Return an object for each row, without the fields that have no value there."""
    names = [*tree]
    inner = [_inner(child, columns, count) for child in tree.values()]
    objects = [dict(zip(names, row)) for row in zip(*inner, strict=True)]  # noqa: B905  a column a name
    for name, column in zip(names, inner, strict=True):
        if type(None) in set(map(type, column)):
            for each, value in zip(objects, column, strict=True):
                if value is None:
                    del each[name]
    return objects


def _inner(child: int | Tree, columns: Sequence[Column], count: int) -> Column:
    if isinstance(child, int):
        return columns[child]
    return [each or None for each in _objects(child, columns, count)]


def _where(column: Column | JsonColumn, chosen: Sequence[bool]) -> Column | JsonColumn:
    return column.where(chosen) if isinstance(column, JsonColumn) else [*compress(column, chosen)]


def _values(each: MappedField, column: Column, makers: "Makers") -> Column | JsonColumn:
    kinds = set(map(type, column))
    if each.kind is None:
        return column
    if kinds <= _AS_THEY_ARE[each.kind]:
        return column
    if kinds <= {str, type(None)}:
        values = _BY_COLUMN[each.kind](present(column), makers)  # type: ignore[arg-type]
        if values is not None:
            return JsonColumn(spread(values, column))
    make, rule = makers[each.kind]
    return [cell if cell is None or type(cell) is BadCell else _made(make, rule, cell) for cell in column]


def _made(make: Callable[[object], object], rule: str, cell: object) -> object:
    value = make(cell)
    return BadCell(rule) if value is None else value


def _string(cell: object) -> object:
    if isinstance(cell, bool):
        return "true" if cell else "false"
    if isinstance(cell, orjson.Fragment) or (isinstance(cell, float) and math.isfinite(cell)):
        return orjson.dumps(cell).decode()
    return str(cell) if isinstance(cell, str | int | date | time | Decimal) else None


def _whole_number(cell: object) -> object:
    if isinstance(cell, str) and _WHOLE.fullmatch(cell):
        return orjson.Fragment(cell)  # with every digit, however many there are
    return cell if type(cell) is int else None


def _number(cell: object) -> object:
    if isinstance(cell, str) and _NUMBER.fullmatch(cell) and math.isfinite(float(cell)):
        return orjson.Fragment(cell)
    return cell if type(cell) in {int, float, orjson.Fragment} else None


def _number_with_comma(cell: object) -> object:
    """Return the number of a text with a decimal comma, in which dots may part thousands."""
    if not isinstance(cell, str):
        return _number(cell)
    if _GROUPED.fullmatch(cell):
        cell = cell.replace(".", "")
    return None if "." in cell else _number(cell.replace(",", "."))


def _whole_number_with_comma(cell: object) -> object:
    if isinstance(cell, str) and _GROUPED.fullmatch(cell) and "," not in cell:
        cell = cell.replace(".", "")
    return _whole_number(cell)


def _truth(cell: object) -> object:
    return _TRUTH.get(cell.lower()) if isinstance(cell, str) else cell if type(cell) is bool else None


def _json(cell: object) -> object:
    if not isinstance(cell, str):
        return None
    try:
        fields = strict_json.fields(f'{{"value":{cell}}}')
    except DecodeError:
        return None
    if fields.keys() != {"value"}:
        return None
    return orjson.Fragment(fields["value"][1].text.translate(_LINE_ENDS))  # a record is one line


def _numbers(column: Sequence[str], _: "Makers") -> list[bytes] | None:
    """Return the numbers of texts that are all whole; None where each must be read alone."""
    return _encoded_if(_WHOLES, column)


def _fractions(column: Sequence[str], makers: "Makers") -> list[bytes] | None:
    if makers is not _MAKERS:
        return _numbers(column, makers)
    encoded = _encoded_if(_NUMBERS, column)
    return encoded if encoded is None or all(map(math.isfinite, map(float, column))) else None


def _encoded_if(pattern: re.Pattern[str], column: Sequence[str]) -> list[bytes] | None:
    """Return the texts as they stand, or None if `pattern` does not match them with a comma behind each."""
    joined = "".join([cell + "," for cell in column])
    texts = joined.encode(errors="replace").split(b",")[:-1]
    return texts if len(texts) == len(column) and pattern.fullmatch(joined) else None


def _truths(column: Sequence[str], _: "Makers") -> list[bytes] | None:
    texts = [*map(_TRUTH_TEXTS.get, column)]
    return None if None in texts else texts  # type: ignore[return-value]


def _documents(column: Sequence[str], _: "Makers") -> list[bytes] | None:
    """Return the JSON of texts that are all plainly right, each on one line."""
    try:
        texts = [text.encode() for text in column]
    except UnicodeEncodeError:
        return None
    # as they stand: a line end in a string is no JSON
    return None if parse_lines([*{*texts}]) is None else [text.translate(_LINE_ENDS) for text in texts]


_BY_COLUMN: Mapping[str, Callable[[Sequence[str], "Makers"], list[bytes] | None]] = {
    "int": _numbers,
    "float": _fractions,
    "bool": _truths,
    "json": _documents,
}
"""What becomes of a column of texts, if that is plain of all of them; None where it is not."""
_AS_THEY_ARE: Mapping[str, frozenset[type]] = {
    "str": frozenset({str, type(None)}),
    "int": frozenset({int, type(None)}),
    "float": frozenset({int, float, orjson.Fragment, type(None)}),
    "bool": frozenset({bool, type(None)}),
    "json": frozenset({type(None)}),
}
"""The types of the cells that a field takes as they are."""
Makers = Mapping[str, tuple[Callable[[object], object], str]]
_MAKERS: Makers = {
    "str": (_string, "must be a value that has a text"),
    "int": (_whole_number, "must be a whole number"),
    "float": (_number, "must be a finite number, such as 1.5"),
    "bool": (_truth, "must be true or false"),
    "json": (_json, "must be JSON"),
}
_COMMA_MAKERS: Makers = {
    **_MAKERS,
    "int": (_whole_number_with_comma, "must be a whole number, such as 1.234"),
    "float": (_number_with_comma, "must be a finite number with a decimal comma, such as 1.234,5"),
}
