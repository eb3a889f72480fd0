"""One record of the input: a write that can be sent, or the reason why not.

    {"type": "practises-at", "from": {"id": "prac-1", "type": "practitioner"},
     "to": {"id": "org-9", "type": "organization"}, "data": {...}, "meta": {...}}

`data` and `meta` may be left out. Whatever else a line holds is refused, for it would be lost; only
`deadLetter`, which a former run added, is passed over.
"""

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import aclosing
from pathlib import Path

from attrs import field, frozen

from clinia_async import codec, strict_json
from clinia_async.calls import CreateRelationship
from clinia_async.errors import DecodeError, InvalidWrite
from clinia_async.ingest.lines import LARGEST_LINE, Line, read_lines
from clinia_async.models import Meta, Ref
from clinia_async.receipts import Key
from clinia_async.strict_json import RawJson

_MEMBERS = frozenset({"type", "from", "to", "data", "meta"})


@frozen(eq=False)
class Record:
    """`line` is the line of the file, or the place in the iterable, counted from 1."""

    line: int
    write: CreateRelationship
    text: bytes | None = field(default=None, repr=False)

    @property
    def key(self) -> Key:
        return self.write.target, self.write.type, self.write.id


@frozen
class Blank:
    """A line with nothing on it: counted, and no failure."""

    line: int


@frozen(eq=False)
class BadRecord:
    """`path` says where and `reason` what is wrong; neither quotes the value."""

    line: int
    path: str
    reason: str
    text: bytes | None = field(default=None, repr=False)


IdMapping = Callable[[str], str]
"""What is done to the ids of both ends before they are checked, such as `escape_dots`."""


async def read_ndjson(
    path: Path | None, source: str, *, map_id: IdMapping | None = None, largest_line: int = LARGEST_LINE
) -> AsyncGenerator[Record | BadRecord | Blank, None]:
    """The records of an NDJSON file, plain or gzipped; None reads standard input.

    Nothing is sent for a line that is wrong: it comes as a `BadRecord`. Raises `InputError` where the
    file itself cannot be read on.
    """
    async with aclosing(read_lines(path, largest_line)) as lines:
        async for line in lines:
            yield parse(line, source, map_id)


def parse(line: Line, source: str, map_id: IdMapping | None = None) -> Record | BadRecord | Blank:
    if line.text is None:
        return BadRecord(line.number, "$", "the line is too large")
    if not line.text.strip():
        return Blank(line.number)
    try:
        return _parse(line.number, line.text, source, map_id)
    except InvalidWrite as error:
        return BadRecord(line.number, error.path, error.rule, line.text)
    except DecodeError as error:
        return BadRecord(line.number, error.path, f"expected {error.expected}", line.text)


def _parse(number: int, raw: bytes, source: str, map_id: IdMapping | None) -> Record:
    members = strict_json.members(_text(raw))
    if "deadLetter" in members:
        return _parse(number, _without_letter(members), source, map_id)
    for name in members:
        if name not in _MEMBERS:
            raise InvalidWrite("$", "must hold nothing but type, from, to, data and meta")
    type_, _ = _required(members, "type")
    write = CreateRelationship(
        source,
        _string(type_, "$.type"),
        _end(members, "from", map_id),
        _end(members, "to", map_id),
        _data(members),
        _meta(members),
    )
    return Record(number, write, raw)


def _text(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        pass  # raised below: the error of the decoder holds the bytes
    raise DecodeError("$", "UTF-8")


def _without_letter(members: Mapping[str, tuple[object, RawJson]]) -> bytes:
    """The line as it was before a former run wrote its reason into it."""
    letter, _ = members["deadLetter"]
    text = letter.get("text") if isinstance(letter, dict) else None
    if isinstance(text, str):
        return text.encode()
    rest = {name: raw for name, (_, raw) in members.items() if name != "deadLetter"}
    return b"{" + b",".join(strict_json.dumps(name) + b":" + raw.text for name, raw in rest.items()) + b"}"


def _required(members: Mapping[str, tuple[object, RawJson]], name: str) -> tuple[object, RawJson]:
    if name not in members:
        raise InvalidWrite(f"$.{name}", "is required")
    return members[name]


def _string(value: object, path: str) -> str:
    if not isinstance(value, str):
        raise InvalidWrite(path, "must be a string")
    return value


def _end(members: Mapping[str, tuple[object, RawJson]], name: str, map_id: IdMapping | None) -> Ref:
    value, _ = _required(members, name)
    if not isinstance(value, dict):
        raise InvalidWrite(f"$.{name}", "must be an object")
    for part in ("id", "type"):
        if part not in value:
            raise InvalidWrite(f"$.{name}.{part}", "is required")
    if len(value) > len(("id", "type")):
        raise InvalidWrite(f"$.{name}", "must hold nothing but id and type")
    id_ = _string(value["id"], f"$.{name}.id")
    return Ref(map_id(id_) if map_id else id_, _string(value["type"], f"$.{name}.type"))


def _data(members: Mapping[str, tuple[object, RawJson]]) -> RawJson | None:
    """The data in its own bytes: no digit of a number changes on the way."""
    value, raw = members.get("data", (None, None))
    if raw is not None and not isinstance(value, dict):
        raise InvalidWrite("$.data", "must be an object")
    return raw


def _meta(members: Mapping[str, tuple[object, RawJson]]) -> Meta | None:
    value, raw = members.get("meta", (None, None))
    if raw is None:
        return None
    try:
        return codec.structure(value, Meta)
    except DecodeError as error:
        path, expected = error.path.replace("$", "$.meta", 1), error.expected
    raise InvalidWrite(path, f"must be {expected}")
