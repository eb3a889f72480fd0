"""Texts that programs write in place of a value, and ids that programs have changed.

A text that a column holds is a value like others, whatever it says; but nobody means these. As a value of a
record each would be wrong, and nothing would show it.
"""

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress

import orjson

from clinia_async.ingest.readers.bad_cell import BadCell

NULL = "\\N"
"""What databases write."""
EMPTY = "\0"
"""What `bcp` of SQL Server writes for an empty text; a cell without a value is an empty one there."""
_TEXTS = (
    *("NULL", "null", "(null)", "[NULL]", "<NULL>", "<null>", "NaN", "nan", "NaT", "<NA>"),
    *("#N/A", "#NULL!", "#REF!", "#VALUE!", "#DIV/0!", "#NAME?", "#NUM!", NULL),
)
_OR_ESCAPE = {NULL: ", --escape backslash if the file has escapes"}
_SCIENTIFIC = re.compile(r"[0-9](?:[.,][0-9]+)?E\+[0-9]+")
_NOT_TRIMMED = "must not begin or end with a space, as cells of a fixed width do: trim it"
_QUOTED = "must be an id without quotation marks: give the mark that the file is written with as --quote"
_QUOTES = frozenset({"''", '""', "“”", "‘’", "„“", "«»"})
_MARKS = (" ", "E+", *frozenset("".join(_QUOTES)))
"""What an id holds, if it is printable, that may be none."""
_FORMULA = "must be an id, and not a formula: export the values of the cells"
_SHORTENED = (
    "must be an id in full, and not a number that a spreadsheet has shortened: export the cells as text"
)

_NUMBER = "must be text, and is a number: give the field as :str, such as id:str=COLUMN"
_FRACTION = (
    "must be text or a whole number, and is one with a fraction, as frames make of whole ones beside missing"
    " ones: convert the column"
)

StandIns = Mapping[object, BadCell | None]


def stand_ins(null: str | None, *, is_escape_known: bool) -> StandIns:
    """Return what becomes of cells: None if they have no value, else why they are bad.

    `null` is the text that one has said, if any.
    """
    texts = () if null is not None else [text for text in _TEXTS if text != NULL or not is_escape_known]
    return {EMPTY: None, **{text: BadCell(_reason(text), text) for text in texts}}


def _reason(text: str) -> str:
    said = f"must not be {text}, which programs write for no value: give --null '{text}'"
    return f"{said}{_OR_ESCAPE.get(text, '')}, or --null none if it is a value"


def texts_of_numbers(column: Sequence[object], *, is_text: bool) -> Sequence[object]:
    """Return the cells of a column of ids, with the reason in place of numbers that are none.

    `is_text` says that whole numbers are to be written as texts.
    """
    if set(map(type, column)).isdisjoint((int, float, orjson.Fragment)):
        return column
    return [_text_of_number(cell, is_text=is_text) for cell in column]


def _text_of_number(cell: object, *, is_text: bool) -> object:
    if type(cell) not in (int, float, orjson.Fragment):
        return cell
    text = orjson.dumps(cell).decode()
    if not text.removeprefix("-").isdigit():
        return BadCell(_FRACTION, text)
    return text if is_text else BadCell(_NUMBER, text)


def checked_ids(column: Sequence[object]) -> Sequence[object]:
    """Return the cells of a column of ids, with the reason in place of each that is none any more."""
    with suppress(TypeError):  # of another type than text
        joined = "".join(column)  # type: ignore[arg-type]
        if joined.isprintable() and not any(mark in joined for mark in _MARKS):
            return column
    return [_checked_id(cell) if type(cell) is str else cell for cell in column]


def _checked_id(text: str) -> object:
    if text != text.strip():
        return BadCell(_NOT_TRIMMED, text)
    if text.startswith('="'):
        return BadCell(_FORMULA, text)
    if len(text) > 1 and text[:1] + text[-1:] in _QUOTES:
        return BadCell(_QUOTED, text)
    number, mark, exponent = text.partition("E+")
    is_shortened = (
        mark and exponent.isdecimal() and number.replace(".", "", 1).replace(",", "", 1).isdecimal()
    )
    return BadCell(_SHORTENED, text) if is_shortened else text
