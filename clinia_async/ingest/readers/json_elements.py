"""A JSON document cut into the elements of one list, without holding the document.

The list is the document itself, or the one that stands under a given name in the outermost object. Only
strings and brackets are examined, so an element that is no JSON is cut out like any other, and its
neighbours are read.
"""

import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from enum import Enum

from attrs import define, field, frozen

from clinia_async.errors import DecodeError
from clinia_async.serialization.exact_json import loads

_TO_BRACKET = re.compile(rb'[^"{}\[\]]*+(?:"[^"\\]*+(?:\\.[^"\\]*+)*"[^"{}\[\]]*+)*([{}\[\]"]|\Z)', re.DOTALL)
"""Passes over whole strings; what it ends with is a bracket, a string that is not whole, or nothing."""
_KEY = re.compile(rb'(?<!\\)"[^"\\]*+(?:\\.[^"\\]*+)*"\Z', re.DOTALL)
_STRING = re.compile(rb'"[^"\\]*+(?:\\.?[^"\\]*+)*(?:"|\Z)', re.DOTALL)
_SPACE = b" \t\r\n"
_LONGEST_KEY = 256
"""Bytes of the name of a list, as it is written."""
_BEFORE = 4096
"""Bytes before a list in which its name is searched: there may be space between them."""
_BOM = b"\xef\xbb\xbf"
_QUOTE, _OPEN_LIST, _OPEN_OBJECT = b'"[{'
_OPENING = frozenset(b"[{")
PLACEHOLDER = secrets.token_hex(8)
"""Begins a string that stands in the frame for elements that were cut out, with a colon and how many."""
_RUN = re.compile(f"{PLACEHOLDER}:([0-9]+)")


class Ended(Enum):
    """How a top-level value came to its end."""

    WHOLE = "whole"
    CUT = "cut"
    """The input ended in it, or its brackets do not match."""
    TOO_LARGE = "too large"
    """A string in it is larger than what is kept, so the input was not read on."""


@frozen
class Element:
    """One object of the list, in its own bytes; `text` is None if it is too large to keep.

    `index` is its place in the list, from 0, in which what is no object counts too.
    """

    index: int
    text: bytes | None = field(repr=False)
    in_array: bool = False
    """The document itself is the list."""


@frozen
class Frame:
    """What stands around the elements of one top-level value; `text` is None if that is too large."""

    text: bytes | None = field(repr=False)
    ended: Ended


def places_of(values: list[object]) -> tuple[int, Mapping[int, object]]:
    """Return how many values the list of a frame has, and those that are no elements, by their places."""
    count = 0
    others: dict[int, object] = {}
    for value in values:
        run = _RUN.fullmatch(value) if isinstance(value, str) else None
        if run is None:
            others[count] = value
        count += 1 if run is None else int(run[1])
    return count, others


@define
class ElementScanner:
    """Cuts what `read` gives, block by block until an empty one, into elements and frames.

    A frame comes behind the elements of its value, and does not grow with them. Memory is bounded by
    `largest` bytes for an element and for a frame each. A `list_name` of None stands for no field.
    `is_whole(number)` says which top-level values, counted from 0, are one element all.
    """

    read: Callable[[], bytes]
    list_name: bytes | None
    largest: int
    is_whole: Callable[[int], bool] = lambda _: False
    _data: bytes = field(default=b"", init=False, repr=False)
    _start: int = field(default=0, init=False)
    """Where the bytes begin that are still to be given out."""
    _pos: int = field(default=0, init=False)
    """Where the bytes begin that were not examined."""
    _depth: int = field(default=0, init=False)
    _list_depth: int = field(default=-1, init=False)
    """The depth inside the list whose elements are cut out; -1 outside of it."""
    _element_depth: int = field(default=-1, init=False)
    """The depth that ends the element that is open; -1 outside of elements."""
    _is_too_large: bool = field(default=False, init=False)
    _commas: int = field(default=0, init=False)
    """Between the values of the list, up to here."""
    _least: int = field(default=0, init=False)
    """The least index of the next element: commas may be missing."""
    _number: int = field(default=0, init=False)
    _frame: list[bytes] = field(factory=list, init=False, repr=False)
    _frame_size: int = field(default=0, init=False)
    _run: int = field(default=0, init=False)
    """Elements one after another that the frame does not show yet."""
    _tail: bytes = field(default=b"", init=False, repr=False)
    """The last bytes of the frame."""

    def __iter__(self) -> Iterator[Element | Frame]:
        for byte, start in self._brackets():
            if not self._depth:
                if byte not in _OPENING or self._data[self._start : start].strip():
                    break
                self._begin(byte, start)
            elif byte in _OPENING:
                self._open(byte, start)
            else:
                self._depth -= 1
                if self._depth == self._element_depth:
                    yield self._element(start + 1)
                if self._depth < self._list_depth:
                    self._list_depth = -1
                if not self._depth:
                    yield self._value(start + 1, Ended.WHOLE)
        if self._depth or self._data[self._start :].strip():
            too_large = len(self._data) - self._pos > self.largest
            yield self._value(len(self._data), Ended.TOO_LARGE if too_large else Ended.CUT)

    def _brackets(self) -> Iterator[tuple[int, int]]:
        """Yield each bracket that is in no string, and its place in `_data`."""
        is_first = True
        while block := self.read():
            self._data = self._data[self._start :] + (block.removeprefix(_BOM) if is_first else block)
            self._pos -= self._start
            self._start, is_first = 0, False
            for match in _TO_BRACKET.finditer(self._data, self._pos):
                start = match.start(1)
                if self._depth == self._list_depth:
                    self._count_commas(start)
                self._pos = start
                if start == len(self._data) or self._data[start] == _QUOTE:
                    break
                yield self._data[start], start
                self._pos = start + 1
            self._let_go()
            if len(self._data) - self._start > 2 * self.largest:
                return

    def _begin(self, byte: int, start: int) -> None:
        self._start, self._tail = start, b""
        if self.is_whole(self._number):
            self._element_depth = 0
        elif byte == _OPEN_LIST:
            self._begin_list(1)
        self._depth = 1

    def _open(self, byte: int, start: int) -> None:
        if self._element_depth < 0:
            if self._depth == self._list_depth and byte == _OPEN_OBJECT:
                if not self._run or self._data[self._start : start].strip(_SPACE) != b",":
                    self._keep(start)
                self._start = start
                self._run += 1
                self._element_depth = self._depth
            elif self._is_named_list(byte, start):
                self._begin_list(2)
        self._depth += 1

    def _is_named_list(self, byte: int, start: int) -> bool:
        is_field = self._depth == 1 and self._list_depth < 0 and byte == _OPEN_LIST
        return is_field and self._key_before(start) == self.list_name

    def _begin_list(self, depth: int) -> None:
        self._list_depth, self._commas, self._least = depth, 0, 0

    def _count_commas(self, stop: int) -> None:
        between = self._data[self._pos : stop]
        if b'"' in between:
            between = _STRING.sub(b"", between)
        self._commas += between.count(b",")

    def _key_before(self, start: int) -> bytes:
        """Return the name of the field whose value begins at `start`; none for one that is too long."""
        before = (self._tail + self._data[max(self._start, start - _BEFORE) : start]).rstrip(_SPACE)
        if not before.endswith(b":"):
            return b""
        match = _KEY.search(before[:-1].rstrip(_SPACE)[-_LONGEST_KEY:])
        if match is None:
            return b""
        with suppress(DecodeError):
            return str(loads(match[0])).encode(errors="replace")  # it may be written with escapes
        return b""

    def _element(self, end: int) -> Element:
        is_kept = not self._is_too_large and end - self._start <= self.largest
        index = max(self._commas, self._least)
        element = Element(index, self._data[self._start : end] if is_kept else None, self._list_depth == 1)
        self._start, self._element_depth, self._is_too_large = end, -1, False
        self._least = index + 1
        return element

    def _value(self, end: int, ended: Ended) -> Frame:
        self._keep(end)
        text = b"".join(self._frame) if self._frame_size <= self.largest else None
        self._frame.clear()
        self._frame_size = self._depth = 0
        self._list_depth = self._element_depth = -1
        self._number += 1
        return Frame(text, ended)

    def _keep(self, stop: int) -> None:
        piece = self._data[self._start : stop]
        if self._run:
            piece = b'"%b:%d"' % (PLACEHOLDER.encode(), self._run) + piece
            self._run = 0
        self._frame_size += len(piece)
        self._tail = (self._tail + piece[-_BEFORE:])[-_BEFORE:]
        if self._frame_size <= self.largest:
            self._frame.append(piece)
        else:
            self._frame.clear()
        self._start = stop

    def _let_go(self) -> None:
        """Drop what was examined and need not be given out."""
        if self._element_depth >= 0:
            self._is_too_large = self._is_too_large or self._pos - self._start > self.largest
            if self._is_too_large:
                self._start = self._pos
        elif self._depth and self._start < self._pos:
            self._keep(self._pos)
        elif not self._data[self._start : self._pos].strip():
            self._start = self._pos
