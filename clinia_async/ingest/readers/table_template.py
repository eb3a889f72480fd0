"""Rows of a table written as lines of NDJSON, column by column, where all of them are plain."""

from collections.abc import Sequence
from itertools import compress
from typing import TypeVar

import orjson
from attrs import define, field, frozen

from clinia_async.ingest.readers.column_mapping import ColumnMapping
from clinia_async.ingest.readers.ndjson import LineReader
from clinia_async.ingest.readers.ndjson_batch import keys_of_relationships, keys_of_resources
from clinia_async.ingest.records.record_batch import RecordBatch
from clinia_async.models import TargetType
from clinia_async.models.tasks import Key

T = TypeVar("T")
Tree = dict[str, "int | Tree"]
"""The fields of a record: each is the place of a column, or has fields of its own."""
Column = Sequence[object]
_NAMES = ("type", "from.type", "to.type", "from.id", "to.id")
_NUMBERS = frozenset({int, float, bool})
_NESTED = frozenset({list, dict})
_START = b"\0"
"""Stands before the fields of an object the first of which may be absent. No JSON holds it."""


@frozen(repr=False)
class JsonColumn:
    """A column whose values are known as JSON: the text of each, and None for a cell without a value."""

    texts: Sequence[bytes | None]

    def values(self) -> Column:
        """Return the values, as orjson takes them."""
        return [None if text is None else orjson.Fragment(text) for text in self.texts]

    def where(self, chosen: Sequence[bool]) -> "JsonColumn":
        return JsonColumn([*compress(self.texts, chosen)])


def present(column: Sequence[T | None]) -> Sequence[T]:
    """Return the cells that have a value."""
    return [cell for cell in column if cell is not None] if None in column else column  # type: ignore[return-value]


def spread(values: Sequence[T], column: Column) -> Sequence[T | None]:
    """Return the values of the cells of `column` that have one, and None in place of the others."""
    if len(values) == len(column):
        return values
    each = iter(values)
    return [None if cell is None else next(each) for cell in column]


@define
class RowTemplate:
    """The line that a row is, with gaps for its cells. Made of a mapping, whose fields stand in `tree`."""

    mapping: ColumnMapping
    tree: Tree
    _places: dict[str, int] = field(init=False)
    is_usable: bool = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._places = {each.path: place for place, each in enumerate(self.mapping.fields)}
        names = {path for path in self._places if not path.startswith("data.")}
        usable = [{"type", "id"}, {"type"}] if self.mapping.is_of_resources else [{*_NAMES}]
        self.is_usable = names in usable
        if self.mapping.is_of_resources:
            self.tree = {**self.tree, "data": self.tree.get("data", {})}

    def batch(
        self, lines: LineReader, numbers: Sequence[int], columns: Sequence[Column | JsonColumn], largest: int
    ) -> RecordBatch | None:
        """Return the records of rows, or None if one of them is not plainly right."""
        if not self.is_usable:
            return None
        line = _Line(self.mapping, columns)
        try:
            text = line.object(self.tree)
            keys = self._keys(columns)
        except TypeError:
            return None  # a number beyond 64 bits, or a text that is none; a type or an id that is no text
        if keys is None or not line.gaps:
            return None
        texts = [*map(text.__mod__, zip(*line.gaps, strict=True))]
        if _START in text:
            texts = [each.replace(_START + b",", b"") for each in texts]
            if any(_START in each for each in texts):
                return None  # an object without a field is left out
        if max(map(len, texts)) > largest:
            return None
        target = TargetType.RESOURCE if self.mapping.is_of_resources else TargetType.RELATIONSHIP
        return lines.batch(target, numbers, keys, texts)

    def _keys(self, columns: Sequence[Column | JsonColumn]) -> list[Key | None] | None:
        """Return the key of each row; None if one has none. Raises `TypeError` for what is no text."""
        named: list[Column] = []
        for name in _NAMES if not self.mapping.is_of_resources else ("type", "id"):
            if name not in self._places:  # the service makes it
                continue
            column = columns[self._places[name]]
            if isinstance(column, JsonColumn):
                return None
            named.append(column)
        if self.mapping.is_of_resources:
            return keys_of_resources(named[0], named[1] if len(named) > 1 else None)
        type_, from_type, to_type, from_id, to_id = named
        return keys_of_relationships(type_, (from_type, to_type), (from_id, to_id))


@define(repr=False)
class _Line:
    """The lines of some rows. `object` gives their text with a `%b` for each of `gaps`.

    Raises `TypeError` for a column that cannot be written at once.
    """

    mapping: ColumnMapping
    columns: Sequence[Column | JsonColumn]
    gaps: list[Sequence[bytes]] = field(factory=list, init=False)

    def object(self, tree: Tree) -> bytes:
        parts = [self._field(b"," + _escaped(name) + b":", child) for name, child in tree.items()]
        if parts and parts[0] == b"%b":
            return b"{" + _START + b"".join(parts) + b"}"
        return b"{" + b"".join(parts)[1:] + b"}"

    def _field(self, name: bytes, child: "int | Tree") -> bytes:
        """Return the text of a field, with its name and the comma before that."""
        if not isinstance(child, int):
            return name + self.object(child)
        each, column = self.mapping.fields[child], self.columns[child]
        if each.column is None and each.kind in {None, "str"}:
            return name + _escaped(each.constant)
        if isinstance(column, JsonColumn):
            cells: Column = column.texts
            gap, texts = b"%b", present(column.texts)
        else:
            cells = column
            gap, texts = _encoded(present(column))
        if len(texts) == len(cells):
            self.gaps.append(texts)
            return name + gap
        # the field is absent in some rows, and so are its name and the comma
        self.gaps.append([text or b"" for text in spread([*map((name + gap).__mod__, texts)], cells)])
        return b"%b"


def _escaped(text: str) -> bytes:
    return orjson.dumps(text).replace(b"%", b"%%")


def _encoded(cells: Column) -> tuple[bytes, Sequence[bytes]]:
    """Return what stands in the gap of a column, and what goes into that for each cell.

    Texts and numbers are encoded together and cut apart. Where a comma in a value makes a cut too many, their
    number says so. Raises `TypeError` where not all are alike.
    """
    kinds = set(map(type, cells))
    if kinds == {str}:
        whole = orjson.dumps(cells)
        if b'\\","' in whole:  # a text may end with a quotation mark and a comma, and must not be cut there
            return b"%b", [*map(orjson.dumps, cells)]
        gap, texts = b'"%b"', whole[2:-2].split(b'","')
    elif kinds <= _NUMBERS or kinds == {orjson.Fragment}:
        gap, texts = b"%b", orjson.dumps(cells)[1:-1].split(b",") if cells else []
    elif kinds <= _NESTED:
        return b"%b", [*map(orjson.dumps, cells)]
    else:
        raise TypeError("the values are not of one kind")
    return (gap, texts) if len(texts) == len(cells) else (b"%b", [*map(orjson.dumps, cells)])
