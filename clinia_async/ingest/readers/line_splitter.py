"""ByteStream cut into lines, with bounded memory.

Lines end at `\\n` alone: U+2028 and the like may stand inside a string. A carriage return before it
and a byte order mark at the start of the file are taken off.
"""

from collections.abc import Sequence

LARGEST_LINE = 1024 * 1024
"""Bytes. Of a longer line only the fact is kept."""
_BOM = b"\xef\xbb\xbf"


class LineSplitter:
    """Gives lines without their ends, in order; None for a line beyond `largest`."""

    def __init__(self, largest: int = LARGEST_LINE) -> None:
        self._largest = largest
        self._begun = False
        self._start: list[bytes] = []
        self._size = 0

    def split(self, block: bytes) -> Sequence[bytes | None]:
        """The lines that end in `block`."""
        pieces = block.split(b"\n")
        rest = pieces.pop()
        if not pieces:
            self._keep(rest)
            return pieces
        self._keep(pieces[0])
        first = self._line()
        self._keep(rest)
        del pieces[0]
        lines = pieces if len(block) <= self._largest else map(self._bounded, pieces)
        if b"\r" in block:
            lines = map(_without_return, lines)
        return [first, *lines]

    def rest(self) -> Sequence[bytes | None]:
        """The last line, if no newline ended it."""
        return [self._line()] if self._size else []

    def _keep(self, piece: bytes) -> None:
        self._size += len(piece)
        if self._size <= self._largest:
            self._start.append(piece)
        else:
            self._start.clear()

    def _line(self) -> bytes | None:
        line = b"".join(self._start) if self._size <= self._largest else None
        self._start.clear()
        self._size = 0
        if line is not None:
            line = line.removesuffix(b"\r")
            line = line if self._begun else line.removeprefix(_BOM)
        self._begun = True
        return line

    def _bounded(self, line: bytes) -> bytes | None:
        return line if len(line) <= self._largest else None


def _without_return(line: bytes | None) -> bytes | None:
    return None if line is None else line.removesuffix(b"\r")
