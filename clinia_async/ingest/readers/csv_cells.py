"""The cells of one row of CSV in which escapes are, or a text that stands for no value.

Between quotation marks and outside of them an escape is put in front of a quotation mark, a delimiter, a line
end or another escape, and means that character, as in the module `csv` of Python. As Spark writes CSV, there
are escapes between quotation marks only. In a table without quotation marks (`quote` is none) letters behind
an escape are those that databases write: `\\n` is a line feed. A cell that is `\\N` has no value.

Elsewhere an escape in front of any other character is an error: a program that writes no escapes, or other
ones, wrote that cell, and it would lose the character.
"""

import csv
import re
from collections.abc import Callable, Sequence

from attrs import define, field

SPARK = "spark"
BACKSLASH = "\\"
NO_VALUE = "N"
"""What stands behind the escape in a cell without a value."""
_LETTERS = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "v": "\v", "0": "\0", "'": "'", '"': '"'}
"""What databases write in tables without quotation marks, by what stands behind the escape."""
_LINE_ENDS = {"\r": "\r", "\n": "\n"}
_OUT_OF_PLACE = "is no CSV: an escape stands before a character that needs none"


class BadEscape(csv.Error):
    """An escape is out of place; the text says what is wrong with the row."""


@define
class Marks:
    """What separates cells, what stands around them, and what stands before a character that is meant.

    `null` is the text of a cell that has no value, unless that stands between quotation marks.
    """

    delimiter: str
    quote: str | None
    escape: str | None = None
    is_spark: bool = False
    """Whether there are escapes between quotation marks only."""
    null: str | None = None
    _cell: Callable[[str, int], "re.Match[str] | None"] = field(init=False, repr=False)
    _bare: Callable[[str, int], "re.Match[str] | None"] = field(init=False, repr=False)
    _inner: Callable[[str, int], "re.Match[str] | None"] = field(init=False, repr=False)
    _delimited: Callable[[str], Sequence[str]] = field(init=False, repr=False)
    _escaped: "re.Pattern[str]" = field(init=False, repr=False)
    _quoted_escapes: dict[str, str] = field(init=False, repr=False)
    _bare_escapes: dict[str, str] = field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        delimiter, quote, escape = (
            re.escape(mark or "") for mark in (self.delimiter, self.quote, self.escape)
        )
        bare_escape = "" if self.is_spark else escape
        inner = f"(?:[^{quote}{escape}]++{escape and f'|{escape}.'}|{quote}{quote})*"
        bare = f"(?:[^{delimiter}{bare_escape}\r\n]++{bare_escape and f'|{bare_escape}.'})*"
        quoted = f"{quote}({inner}){quote}(?!{quote})|" if quote else "()(?!)|"
        not_quoted = f"(?!{quote})" if quote else ""
        end = f"({delimiter}|[\r\n]*+\\Z)"
        self._cell = re.compile(f"(?:{quoted}{not_quoted}({bare})){end}", re.DOTALL).match
        whole = f"(?:[^{delimiter}{bare_escape}]++{bare_escape and f'|{bare_escape}.'})*"
        self._bare = re.compile(whole, re.DOTALL).match
        self._delimited = re.compile(whole + delimiter, re.DOTALL).findall
        self._inner = re.compile(f"(?:[^{quote}{escape}]++{escape and f'|{escape}.'})*", re.DOTALL).match
        doubled = f"|({quote}){quote}" if quote else "|()(?!)"
        self._escaped = re.compile(f"{escape or '(?!)'}(\r\n|.){doubled}", re.DOTALL)
        marks = {mark: mark for mark in (self.delimiter, self.quote, self.escape) if mark}
        self._quoted_escapes = {**marks, **_LINE_ENDS, "'": "'", "\r\n": "\r\n"}
        self._bare_escapes = {**marks, **_LINE_ENDS, **({} if self.quote else _LETTERS)}
