"""How a table is written: what separates its cells, in which encoding, and where its records are."""

import codecs
from collections.abc import Set

from attrs import Attribute, asdict, field, fields_dict, frozen

from clinia_async.errors import ConfigError
from clinia_async.errors.settings import InstanceOf, named_options
from clinia_async.ingest.readers.formats import TABLES, InputFormat

_APPLICABLE = {
    **dict.fromkeys(
        ("delimiter", "quote", "encoding", "header", "escape", "null"),
        frozenset({InputFormat.CSV}),
    ),
    "decimal": frozenset({InputFormat.CSV, InputFormat.DEAD_LETTERS}),
    **dict.fromkeys(("skip", "limit"), TABLES),
    "timezone": frozenset({InputFormat.PARQUET}),
}
"""The formats that an option is for."""
NO_QUOTE = "none"
NO_ESCAPE = "none"
NO_NULL = "none"
QUOTED_BACKSLASH = "quoted-backslash"
_ESCAPES = {"backslash": "\\"}
_LATER = frozenset({"escape", "null"})
"""Options that there were not always: journals of jobs without them stay valid."""
_NAMES = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";", "pipe": "|", "space": " "}


def _delimiter(text: str | None) -> str | None:
    return _NAMES.get(text, text) if isinstance(text, str) else text


def _check_delimiter(_: object, __: "Attribute[str | None]", text: object) -> None:
    if text is not None and (not isinstance(text, str) or len(text) != 1 or text in '\r\n"'):
        raise ConfigError("delimiter must be one character, or tab, comma, semicolon, pipe or space")


def _check_quote(_: object, __: "Attribute[str]", text: object) -> None:
    if not isinstance(text, str) or (text != NO_QUOTE and (len(text) != 1 or text in "\r\n")):
        raise ConfigError(f"quote must be one character, or {NO_QUOTE}")


def _escape(text: str | None) -> str | None:
    return _ESCAPES.get(text, text) if isinstance(text, str) else text


def _check_escape(_: object, __: "Attribute[str | None]", text: object) -> None:
    if text in (None, NO_ESCAPE, QUOTED_BACKSLASH):
        return
    if not isinstance(text, str) or len(text) != 1 or text in "\r\n":
        raise ConfigError(f"escape must be one character, or backslash, {QUOTED_BACKSLASH} or {NO_ESCAPE}")


def _check_null(_: object, __: "Attribute[str | None]", text: object) -> None:
    if text is not None and (not isinstance(text, str) or not text or "\r" in text or "\n" in text):
        raise ConfigError("null must be the text of a cell, and not empty: an empty cell has no value")


def _check_encoding(_: object, __: "Attribute[str]", name: str) -> None:
    try:
        is_text = codecs.lookup(name)._is_text_encoding
        bytes(range(256)).decode(name, errors="replace")  # of host names and the like it raises
    except (LookupError, TypeError, ValueError):
        is_text = False
    if not is_text:
        raise ConfigError("encoding must be the name of a text encoding, such as utf-8 or cp1252")


def _check_count(_: object, attribute: "Attribute[int | None]", count: int | None) -> None:
    if count is not None and (type(count) is not int or count < 0):
        raise ConfigError(f"{attribute.name} must be a whole number, not below 0")


def _check_skip(instance: object, attribute: "Attribute[int]", count: int) -> None:
    _check_count(instance, attribute, count)  # type: ignore[arg-type]  # an attribute of int is one of None, too


def _check_decimal(_: object, __: "Attribute[str]", mark: str) -> None:
    if mark not in (".", ","):
        raise ConfigError("decimal must be `.` or `,`")


def _check_timezone(_: object, __: "Attribute[str | None]", name: str | None) -> None:
    if name is None:
        return
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError  # noqa: PLC0415  few tables name one

    try:
        ZoneInfo(name)
    except (TypeError, ValueError, OSError, ZoneInfoNotFoundError):
        pass
    else:
        return
    raise ConfigError("timezone must be the name of a time zone, such as UTC or Europe/Paris")


@named_options
@frozen(kw_only=True)
class TableOptions:
    """How the tables of an input are read. Raises `ConfigError` for a value that is none.

    Args:
        delimiter: What separates the cells of CSV: a character, or its name, such as `tab` or `semicolon`.
            None is a comma, or a tab in a file whose name ends with `.tsv`.
        quote: What stands around cells that hold a delimiter; `none` if nothing does.
        escape: What stands in CSV in front of a quotation mark, a delimiter, a line end or another escape
            that is a part of a cell, as `escapechar` of Python's `csv`: a character, or the name `backslash`.
            With `quote` none, letters behind it are what databases write, such as `\\n`. A cell of it and an
            `N`, without quotation marks, has no value. In front of anything else it makes the row bad.
            `quoted-backslash` is one between quotation marks alone, as Apache Spark writes it, and PostgreSQL
            with an escape. `none` says that there is no escape; None says nothing, and then a row that has
            other cells with a backslash as escape is bad.
        null: The text of a cell of CSV that has no value, such as `NA` or `NULL`, unless it stands between
            quotation marks; `none` says that every text is a value. None says nothing, and then a cell that
            is a text that programs write for no value, such as `NULL` or `#N/A`, is bad.
        encoding: That of CSV.
        skip: Lines to pass over before the header, or before the first record if there is none.
        limit: Records to read at most; None reads all.
        header: Whether the first row names the columns. Without one they are named 1, 2, 3 ...
        decimal: What stands before the fraction of a number in CSV. With a comma, dots may part thousands:
            `1.234,5` is 1234.5, and `1.5` is no number.
        timezone: The time zone that timestamps without one are in. Without it, they are refused, but where a
            field is `:str`.
    """

    delimiter: str | None = field(default=None, converter=_delimiter, validator=_check_delimiter)
    quote: str = field(default='"', validator=_check_quote)
    encoding: str = field(default="utf-8", validator=_check_encoding)
    skip: int = field(default=0, validator=_check_skip)
    limit: int | None = field(default=None, validator=_check_count)
    header: bool = field(default=True, validator=InstanceOf(bool))
    decimal: str = field(default=".", validator=_check_decimal)
    timezone: str | None = field(default=None, validator=_check_timezone)
    escape: str | None = field(default=None, converter=_escape, validator=_check_escape)
    null: str | None = field(default=None, validator=_check_null)

    def __attrs_post_init__(self) -> None:
        delimiter = self.delimiter or ","
        if self.quote == delimiter:
            raise ConfigError("quote must be another character than the delimiter, or none")
        if self.escape in (self.quote, delimiter) and self.escape != NO_ESCAPE:
            raise ConfigError(
                "escape must be another character than the delimiter and the quotation mark; a quotation mark"
                " that is doubled needs none"
            )
        if self.escape == QUOTED_BACKSLASH and self.quote == NO_QUOTE:
            raise ConfigError(f"escape {QUOTED_BACKSLASH} needs a quotation mark: give one as quote")

    def identity(self) -> str:
        """Return the options as journals have them."""
        given = asdict(self)
        shown = (
            f"{name}={value!r}" for name, value in given.items() if name not in _LATER or value is not None
        )
        return f"{type(self).__name__}({', '.join(shown)})"


def inapplicable(options: TableOptions, formats: Set[InputFormat | None]) -> str | None:
    """Return which option was given that none of the formats has a use for, and what it is for.

    A format that is not known yet, None, may be any. The rows in dead letters are in cells already, and all
    of them are read: only how their cells are understood can be said.
    """
    if None in formats:
        return None
    for name, each in fields_dict(TableOptions).items():
        if getattr(options, name) != each.default and not formats & _APPLICABLE[name]:
            return f"{name} is for {' and '.join(sorted(_APPLICABLE[name]))}"
    return None
