"""Dead letters read as what they hold: lines of NDJSON, rows of tables, FHIR.

A letter that was mended is read as the record would have been. One that was not is bad as before, with the
text, the line number and the file of its first input, so that the letters of letters do not grow.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from attrs import define, field

from clinia_async.errors import DecodeError, InvalidWrite
from clinia_async.ingest.readers.column_mapping import ColumnMapping, own_mapping
from clinia_async.ingest.readers.compression import InputError
from clinia_async.ingest.readers.fhir_reader import FhirReader
from clinia_async.ingest.readers.ndjson import LineReader
from clinia_async.ingest.readers.ndjson_strict import OpenedLetter, opened_letter
from clinia_async.ingest.readers.table_rows import ROW, Block, RowReader, row_of_text
from clinia_async.ingest.records.record import BadRecord, Item
from clinia_async.ingest.records.record_batch import RecordBatch, in_file
from clinia_async.serialization import exact_json

LARGEST_LETTER = 16 * 1024 * 1024
"""Bytes of a line."""
_NOT_MENDED = "must be a row that is mended: a cell with \\ud800 or the like in it is no value"
_RESOURCE_TYPE = b'"resourceType"'


@define
class DeadLetterReader:
    """Reads letters by the options of the run that they are from."""

    lines: LineReader
    fhir: FhirReader
    columns: ColumnMapping | None
    rows_for: Callable[[ColumnMapping], RowReader]
    options: Mapping[str, str] = field(repr=False)
    """Those of this run that matter to letters. A letter of a run with others ends the reading."""
    _rows: dict[tuple[str, ...], RowReader] = field(factory=dict, init=False, repr=False)

    def read_all(self, numbers: Sequence[int], lines: Sequence[bytes | None]) -> Block:
        """Return the records of letters that stand on lines with these numbers."""
        found: Block = []
        for number, line in zip(numbers, lines, strict=True):
            found += self._read(number, line)
        return found

    def _read(self, number: int, line: bytes | None) -> Block:
        letter = OpenedLetter(number, None)
        with suppress(DecodeError, InvalidWrite):
            letter = letter if line is None else opened_letter(number, line)
        missing = letter.missing(self.options)
        if missing is not None:
            raise InputError(f"line {number} is of a run with other options: give {missing}, too")
        if letter.text is None:  # the line is bad as it stands
            return [self.lines.read(number, line)]
        block = self._read_original(letter.number, letter.text)
        return block if letter.file is None else [*in_file(block, letter.file)]

    def _read_original(self, first: int, text: bytes) -> Block:
        if _is_fhir(text):
            return self.fhir.read_line(first, text)
        if self.fhir.is_second:
            return []  # the first pass has read it
        row = row_of_text(text)
        if row is not None:
            return self._read_row(first, text, *row)
        item = self.lines.read(first, text)
        is_row = isinstance(item, BadRecord) and text.startswith(ROW)
        return [BadRecord(first, "$", _NOT_MENDED, text) if is_row else item]

    def _read_row(
        self, number: int, text: bytes | None, columns: tuple[str, ...], cells: Sequence[object]
    ) -> Block:
        rows = self._rows_of(columns)
        if len(cells) != len(columns):
            reason = f"must have as many cells as the header: {len(columns)}"
            return [BadRecord(number, "$", reason, text)]
        missing = [name for name in rows.columns if name not in columns]
        if missing:
            return [BadRecord(number, "$", f"has no column for {rows.field_of(missing[0])}", text)]
        picked = [cells[columns.index(name)] for name in rows.columns]
        found = rows.read([number], [[cell] for cell in picked])
        return [_with_text(item, text) for item in found]

    def _rows_of(self, columns: tuple[str, ...]) -> RowReader:
        if columns not in self._rows:
            self._rows.clear()  # one is enough: the rows of one table have the same columns
            self._rows[columns] = self.rows_for(self.columns or _own_mapping(columns))
        return self._rows[columns]


def _is_fhir(text: bytes) -> bool:
    """Return whether the text is a resource, or the start of one that is no JSON."""
    if _RESOURCE_TYPE not in text:
        return False
    try:
        value = exact_json.loads(text)
    except DecodeError:
        return text.lstrip().startswith(b"{" + _RESOURCE_TYPE)
    return isinstance(value, dict) and "resourceType" in value


def _own_mapping(columns: tuple[str, ...]) -> ColumnMapping:
    try:
        return own_mapping(columns)
    except InputError:
        pass  # raised below, for it is not the letters whose columns were named
    raise InputError("the dead letters hold rows of a table: give the mapping of columns of their run")


def _with_text(item: Item | RecordBatch, text: bytes | None) -> Item | RecordBatch:
    return BadRecord(item.line, item.path, item.reason, text) if isinstance(item, BadRecord) else item
