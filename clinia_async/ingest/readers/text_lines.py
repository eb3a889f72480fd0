"""Lines of text in any encoding, with their ends, from blocks of bytes, in bounded memory."""

import codecs
import io
import re
from collections import deque

from clinia_async.ingest.readers.compression import InputError, InputStream
from clinia_async.ingest.readers.line_splitter import LARGEST_LINE

_ASCII = bytes(range(0x20, 0x7F)) + b"\t\r\n"
_STATEFUL = ("utf_16", "utf_32", "utf_7", "iso2022", "hz")
_BOM = b"\xef\xbb\xbf"
_MARK = "\ufeff"
_PEEKED = 64 * 1024


_UTF8 = re.compile(rb"[\xc2-\xf4][\x80-\xbf]")
"""What a text in an encoding of a byte a character seldom holds, and a text of UTF-8 has throughout."""
_CONTROLS = re.compile(rb"[\x80-\x9f]")
"""Control characters in all of ISO 8859, and letters and punctuation in the encodings of Windows."""
_NOTHING = re.compile(rb"(?!)")


class TextLines:
    """Gives lines with their ends. A longer line than `LARGEST_LINE` bytes comes in pieces, without an end.

    What is not in the encoding stands as surrogates, as `surrogateescape` has it, where lines can be
    separated in spite of it. Raises `InputError` where they cannot. Where any byte is a character, that are
    lines of UTF-8 that are not ASCII, and in ISO 8859 those with its control characters.
    """

    def __init__(self, stream: InputStream, encoding: str) -> None:
        self._stream = stream
        self._encoding = encoding
        self._is_single_byte = _is_single_byte(encoding)
        self._other = _CONTROLS if codecs.lookup(encoding).name.startswith("iso8859") else _NOTHING
        self._decoder = None if _is_like_ascii(encoding) else codecs.getincrementaldecoder(encoding)()
        start = stream.peek(_PEEKED, until=lambda data: b"\n" in data)
        self.end = "\r" if b"\r" in start and b"\n" not in start else "\n"
        self._lines: deque[str] = deque()
        self._rest = b""
        self._text = ""
        self._is_first = True
        self._has_ended = False
        self.are_text = True
        """Whether the lines of the last block were in the encoding."""

    def take(self, most: int) -> list[str]:
        """Return the next whole lines, at most so many; none at the end."""
        self._fill()
        return [self._lines.popleft() for _ in range(min(most, len(self._lines)))]

    def skip(self) -> bool:
        """Pass over a line, however long; return whether there was one."""
        piece = first = self.pop()
        while piece and not piece.endswith(self.end):
            piece = self.pop()
        return bool(first)

    def put_back(self, lines: list[str]) -> None:
        """Take `lines` back, to give them again."""
        self._lines.extendleft(reversed(lines))

    def pop(self) -> str:
        """Return the next line or piece; an empty one at the end."""
        self._fill()
        return self._lines.popleft() if self._lines else ""

    def has_pending(self) -> bool:
        """Return whether there are lines that need no reading."""
        return bool(self._lines)

    def _fill(self) -> None:
        while not self._lines and not self._has_ended:
            block = self._stream.read()
            self._has_ended = not block
            self.are_text = True
            try:
                text = self._decoded(block) if self._decoder is None else self._decoded_by_parts(block)
            except UnicodeError:  # of some codecs it is no UnicodeDecodeError
                break  # raised below: the error of the decoder holds the bytes
            lines = io.StringIO(text, newline=self.end)
            # files that were put together have a byte order mark where each of them began
            self._lines.extend(map(_without_mark, lines) if _MARK in text else lines)
        else:
            return
        block = b""
        raise InputError(f"the input is not in the encoding {self._encoding}: give the one that it is in")

    def _decoded(self, block: bytes) -> str:
        """Return whole lines, decoded; what is left of the last one is kept."""
        if self._is_first:
            block, self._is_first = block.removeprefix(_BOM), False
        lines, end, rest = (self._rest + block).rpartition(self.end.encode())
        if self._has_ended or len(rest) > LARGEST_LINE:
            lines, end, rest = lines + end + rest, b"", b""
        self._rest = rest
        block = lines + end
        if self._is_single_byte and (_UTF8.search(block) or self._other.search(block)):
            self.are_text = False
            return "".join(map(self._decoded_line, block.splitlines(keepends=True)))
        try:
            return block.decode(self._encoding)
        except UnicodeDecodeError:
            self.are_text = False
            return block.decode(self._encoding, errors="surrogateescape")

    def _decoded_line(self, line: bytes) -> str:
        """Return a line; what is plainly of another encoding than a byte a character stands as surrogates."""
        text = self._other.sub(b"", line)
        if len(text) < len(line) or (not line.isascii() and _is_utf8(line)):
            return line.decode("ascii", errors="surrogateescape")
        return line.decode(self._encoding, errors="surrogateescape")

    def _decoded_by_parts(self, block: bytes) -> str:
        assert self._decoder is not None
        text = self._text + self._without_mark(self._decoder.decode(block, final=self._has_ended))
        lines, end, rest = text.rpartition(self.end)
        if self._has_ended or len(rest) > LARGEST_LINE:
            lines, end, rest = text, "", ""
        self._text = rest
        return lines + end

    def _without_mark(self, text: str) -> str:
        """Return the text without a byte order mark at its start, which some codecs leave there."""
        if not text or not self._is_first:
            return text
        self._is_first = False
        return text.removeprefix(_MARK)


def _is_single_byte(encoding: str) -> bool:
    """Return whether any byte is one character, or none."""
    if codecs.lookup(encoding).name.startswith("utf"):
        return False
    return len(bytes(range(256)).decode(encoding, errors="replace")) == 256


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


def _without_mark(line: str) -> str:
    return line.removeprefix(_MARK)


def _is_like_ascii(encoding: str) -> bool:
    """Return whether each byte of an ASCII character is that character."""
    name = codecs.lookup(encoding).name.replace("-", "_")
    # some have no sign for a character of ASCII
    return not name.startswith(_STATEFUL) and _ASCII.decode().encode(encoding, errors="replace") == _ASCII
