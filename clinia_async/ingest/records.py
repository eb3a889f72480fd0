"""One record of the input: a write that can be sent, or the reason why not."""

from collections.abc import Callable
from functools import lru_cache

from attrs import define, field, frozen

from clinia_async.calls import BatchWrite, Repeat
from clinia_async.calls.call import operation_head
from clinia_async.errors import InvalidWrite
from clinia_async.models import Action, TargetType
from clinia_async.receipts import Key

IdMapping = Callable[[str], str]
"""What is done to the ids of both ends before they are checked, such as `escape_dots`."""


@frozen(eq=False)
class Kind:
    """What records of one input have in common. `write_of` makes the write of such a record's text."""

    source: str
    target: TargetType
    action: Action
    repeat: Repeat
    write_of: Callable[[bytes], BatchWrite] | None = field(default=None, repr=False)
    prefix: bytes = field(init=False, repr=False)

    @prefix.default
    def _prefix(self) -> bytes:
        return operation_head(self.action)


@lru_cache(maxsize=256)
def _kind_of(write: type[BatchWrite], source: str, is_keyed: bool) -> Kind:
    """What writes of one class have in common: whether they may be repeated is a matter of their ids."""
    repeat = Repeat.IDEMPOTENT
    if write.action is Action.CREATE:
        repeat = Repeat.KEYED if is_keyed else Repeat.ONCE
    return Kind(source, write.target, write.action, repeat)


@define(eq=False, init=False)
class Record:
    """`line` is the line or row of the file, or the place in the iterable, counted from 1, for people.

    `position` counts the records of an input and is stamped by whoever takes them in. `text` is the
    record as one line of JSON, if it came from outside. `key` is None where the service makes the id.
    `payload` is what goes on the wire, mostly the very text; None leaves that to the write.
    """

    line: int
    text: bytes | None = field(repr=False)
    position: int
    key: Key | None = field(repr=False)
    kind: Kind
    payload: bytes | None = field(repr=False)
    _write: BatchWrite | None = field(repr=False)

    def __init__(self, line: int, write: BatchWrite, text: bytes | None = None, position: int = 0) -> None:
        self.line = line
        self.text = text
        self.position = position
        id_ = write.id
        self.key = None if id_ is None else (write.target, write.type, id_)
        self.kind = _kind_of(type(write), write.source, id_ is not None)  # type: ignore[arg-type]  # mypy
        self.payload = None
        self._write = write

    @classmethod
    def spliced(cls, line: int, text: bytes, kind: Kind, key: Key | None, payload: bytes) -> "Record":
        """A record whose text is known to be right: the write is made of it when somebody asks for it."""
        record = cls.__new__(cls)
        record.line = line
        record.text = text
        record.position = 0
        record.key = key
        record.kind = kind
        record.payload = payload
        record._write = None
        return record

    @property
    def source(self) -> str:
        return self.kind.source

    @property
    def target(self) -> TargetType:
        return self.kind.target

    @property
    def action(self) -> Action:
        return self.kind.action

    @property
    def repeat(self) -> Repeat:
        return self.kind.repeat

    @property
    def write(self) -> BatchWrite:
        """Made once, from the text."""
        if self._write is None:
            if self.kind.write_of is None or self.text is None:
                raise InvalidWrite("$", "must have a write or a text")
            self._write = self.kind.write_of(self.text)
        return self._write

    def operation(self) -> bytes:
        """This record as one operation of a bulk. Raises `InvalidWrite` for data that JSON cannot carry."""
        payload = self.payload
        return self.write.operation() if payload is None else self.kind.prefix + payload + b"}"


@frozen
class Blank:
    """A line with nothing on it: counted, and no failure."""

    line: int


@define(eq=False)
class BadRecord:
    """`path` says where and `reason` what is wrong; neither quotes the value."""

    line: int
    path: str
    reason: str
    text: bytes | None = field(default=None, repr=False)
    position: int = 0


Item = Record | BadRecord | Blank
