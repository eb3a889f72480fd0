"""Rows of a table written as lines of NDJSON, column by column, where all of them are plain."""

from collections.abc import Sequence

import orjson
from attrs import define, field

from clinia_async.ingest.readers.column_mapping import ColumnMapping, MappedField
from clinia_async.ingest.readers.ndjson import LineReader
from clinia_async.ingest.readers.ndjson_batch import keys_of_relationships, keys_of_resources
from clinia_async.ingest.records.record_batch import RecordBatch
from clinia_async.models import TargetType
from clinia_async.models.batch_result import Key

Tree = dict[str, "int | Tree"]
Column = Sequence[object]
_ENDS = {"from.id", "from.type", "to.id", "to.type"}
_NUMBERS = frozenset({int, float, bool})
_NESTED = frozenset({list, dict})


@define
class RowTemplate:
    """The line that a row is, with gaps for its cells. Made of a mapping, whose fields stand in `tree`."""

    mapping: ColumnMapping
    _text: bytes = field(init=False, repr=False)
    _gaps: list[int] = field(factory=list, init=False)
    """The fields whose cells stand in the gaps, in order."""
    _places: dict[str, int] = field(init=False)
    is_usable: bool = field(init=False)

    @classmethod
    def of(cls, mapping: ColumnMapping, tree: Tree) -> "RowTemplate":
        """Return the template of a mapping; it may be of no use."""
        template = cls(mapping)
        template._places = {each.path: place for place, each in enumerate(mapping.fields)}
        names = {path for path in template._places if not path.startswith("data.")}
        template.is_usable = names == ({"type", "id"} if mapping.is_of_resources else {"type", *_ENDS})
        if template.is_usable and mapping.is_of_resources:
            tree = {**tree, "data": tree.get("data", {})}
        template._text = template._object(tree) if template.is_usable else b""
        return template

    def batch(
        self, lines: LineReader, numbers: Sequence[int], columns: Sequence[Column], largest: int
    ) -> RecordBatch | None:
        """Return the records of rows, or None if one of them is not plainly right."""
        if not self.is_usable or not self._gaps:
            return None
        encoded = [_encoded(columns[place]) for place in self._gaps]
        if None in encoded:
            return None
        text = self._text
        texts = [text % cells for cells in zip(*encoded, strict=True)]
        if max(map(len, texts)) > largest:
            return None
        keys = self._keys(columns)
        target = TargetType.RESOURCE if self.mapping.is_of_resources else TargetType.RELATIONSHIP
        return None if keys is None else lines.batch(target, numbers, keys, texts)

    def _keys(self, columns: Sequence[Column]) -> list[Key | None] | None:
        type_, *ends = (
            None if path not in self._places else columns[self._places[path]]
            for path in ("type", "from.type", "to.type", "from.id", "to.id")
        )
        assert type_ is not None
        if self.mapping.is_of_resources:
            return keys_of_resources(type_, columns[self._places["id"]])
        from_type, to_type, from_id, to_id = ends
        try:
            return keys_of_relationships(type_, (from_type, to_type), (from_id, to_id))  # type: ignore[arg-type]
        except TypeError:
            return None  # an id is no text

    def _object(self, tree: Tree) -> bytes:
        parts = (
            orjson.dumps(name).replace(b"%", b"%%") + b":" + self._value(child)
            for name, child in tree.items()
        )
        return b"{" + b",".join(parts) + b"}"

    def _value(self, child: "int | Tree") -> bytes:
        if not isinstance(child, int):
            return self._object(child)
        each = self.mapping.fields[child]
        if _is_text(each):
            return _fixed(each.constant)
        self._gaps.append(child)
        return b"%b"


def _fixed(text: str) -> bytes:
    return orjson.dumps(text).replace(b"%", b"%%")


def _is_text(each: MappedField) -> bool:
    return each.column is None and each.kind in {None, "str"}


def _encoded(column: Column) -> list[bytes] | None:
    """Return each value of a column as JSON, where all are alike and none is missing; else None.

    Texts and numbers are encoded together and cut apart. Where a comma in a value makes a cut too many, their
    number says so.
    """
    kinds = set(map(type, column))
    try:
        if kinds == {str}:
            # within a text a quotation mark has a backslash before it
            cells = orjson.dumps(column)[2:-2].split(b'","')
            return [*map(b'"%b"'.__mod__, cells)] if len(cells) == len(column) else None
        if kinds <= _NUMBERS or kinds == {orjson.Fragment}:
            cells = orjson.dumps(column)[1:-1].split(b",")
            return cells if len(cells) == len(column) else [*map(orjson.dumps, column)]
        if kinds <= _NESTED:
            return [*map(orjson.dumps, column)]
    except TypeError:
        pass  # a number beyond 64 bits, or a text that is none
    return None
