"""One record of the input: a write that can be sent, or the reason why not."""

from collections.abc import Callable
from functools import lru_cache, partial

from attrs import define, field, frozen

from clinia_async.calls import (
    BatchWrite,
    CreateRelationship,
    CreateResource,
    RetrySafety,
    UpsertRelationship,
    UpsertResource,
)
from clinia_async.calls.call import operation_head
from clinia_async.errors import InvalidWrite
from clinia_async.models import Action, TargetType
from clinia_async.models.task_id import TaskId
from clinia_async.models.tasks import Key
from clinia_async.serialization.own_copy import own_copy

IdMapping = Callable[[str], str]
"""A function that is applied to the ids of both ends before they are checked, such as `escape_dots`."""

PreviousAttempt = tuple[TaskId | None, int]
"""The task of a record that a previous run may have sent, and how often it did."""


@frozen(eq=False)
class RecordKind:
    """What the records of one input have in common.

    `write_of` makes the write of such a record's text or, where it did not come `as_text`, of its payload.
    """

    source: str
    target: TargetType
    action: Action
    retry_safety: RetrySafety
    write_of: Callable[[bytes], BatchWrite] | None = field(default=None, repr=False)
    as_text: bool = False
    prefix: bytes = field(init=False, repr=False)

    @prefix.default
    def _prefix(self) -> bytes:
        return operation_head(self.action)

    def operation(self, payload: bytes) -> bytes:
        return self.prefix + payload + b"}"


RELATIONSHIP_WRITES = (CreateRelationship, UpsertRelationship)
"""Writes that can be encoded as a line, and made of it again."""


@lru_cache(maxsize=256)
def record_kind(write: type[BatchWrite], source: str, is_keyed: bool) -> RecordKind:
    """Return the kind of the writes of one class. Whether they may be retried depends on their ids."""
    retry_safety = RetrySafety.IDEMPOTENT
    if write.action is Action.CREATE:
        retry_safety = RetrySafety.KEYED if is_keyed else RetrySafety.ONCE
    write_of = partial(write.from_line, source) if issubclass(write, RELATIONSHIP_WRITES) else None
    return RecordKind(source, write.target, write.action, retry_safety, write_of)


@define(eq=False, init=False)
class Record:
    """A write that can be sent.

    `line` is the line or row of the file, or the place in the iterable, counted from 1, for people; `file`
    is the file where several are read, else None.
    `position` counts the records of an input, and is set when they are read. `text` is the record as one line
    of JSON, if it came from a file. `key` is None where the service makes the id.
    """

    line: int
    file: str | None
    text: bytes | None = field(repr=False)
    position: int
    key: Key | None = field(repr=False)
    kind: RecordKind
    previous_attempt: PreviousAttempt | None
    """The attempt of a previous run, if it may have arrived then."""
    _payload: bytes | None = field(repr=False)
    _write: BatchWrite | None = field(repr=False)

    def __init__(self, line: int, write: BatchWrite, text: bytes | None = None, position: int = 0) -> None:
        self.line = line
        self.file = None
        self.text = text
        self.position = position
        id_ = write.id
        self.key = None if id_ is None else (write.target, write.type, id_)
        self.kind = record_kind(type(write), write.source, id_ is not None)  # type: ignore[arg-type]  # mypy
        self.previous_attempt = None
        self._payload = None
        self._write = write

    @classmethod
    def encoded(
        cls,
        line: int,
        kind: RecordKind,
        key: Key | None,
        payload: bytes,
        *,
        text: bytes | None = None,
        write: BatchWrite | None = None,
    ) -> "Record":
        """Return a record that was checked already. Its write is made when it is asked for."""
        record = cls.__new__(cls)
        record.line = line
        record.file = None
        record.text = text
        record.position = 0
        record.key = key
        record.kind = kind
        record.previous_attempt = None
        record._payload = payload
        record._write = write
        return record

    @property
    def source(self) -> str:
        """The key of the source that the record belongs to."""
        return self.kind.source

    @property
    def target(self) -> TargetType:
        """Whether it is a relationship or a resource."""
        return self.kind.target

    @property
    def action(self) -> Action:
        """Whether it is created, upserted or deleted."""
        return self.kind.action

    @property
    def is_create(self) -> bool:
        """Whether it is a create."""
        return self.kind.action is Action.CREATE

    @property
    def retry_safety(self) -> RetrySafety:
        """What may happen if it is sent twice."""
        return self.kind.retry_safety

    @property
    def write(self) -> BatchWrite:
        """The write that was given, or is made once of what was read or sent.

        Raises:
            InvalidWrite: neither was kept.
        """
        if self._write is None:
            origin = self.text if self.kind.as_text else self._payload
            if self.kind.write_of is None or origin is None:
                raise InvalidWrite("$", "must have a write or a text")
            self._write = self.kind.write_of(origin)
        return self._write

    def payload(self) -> bytes:
        """Return what is sent under the name of the action.

        Raises:
            InvalidWrite: the data cannot be sent as JSON.
        """
        if self._payload is None:
            self._payload = self.write.operation()[len(self.kind.prefix) : -1]
        return self._payload

    def detach(self) -> None:
        """Write down what is sent, so that no later change of the dicts that its write was given reaches it.

        Raises:
            InvalidWrite: the data cannot be sent as JSON.
        """
        if self._payload is not None:
            return
        self.payload()
        if isinstance(self._write, RELATIONSHIP_WRITES):
            self._write = None  # it is made again of the payload
        elif isinstance(self._write, CreateResource | UpsertResource):
            self._write = own_copy(self._write)

    def operation(self) -> bytes:
        """Return this record as one operation of a bulk. Raises as `payload` does."""
        return self.kind.operation(self.payload())


@frozen
class Blank:
    """An empty line: counted, and no failure."""

    line: int


@define(eq=False)
class BadRecord:
    """A record that cannot be sent: `path` and `reason` say why, and never quote the value."""

    line: int
    path: str
    reason: str
    text: bytes | None = field(default=None, repr=False)
    position: int = 0
    file: str | None = None
    """As `Record` has it."""


@frozen
class Barrier:
    """Stands between records: those behind it are not read before all in front of it are completed."""


Item = Record | BadRecord | Blank
