"""Task ids: opaque on the wire, with a kind that can be read from the prefix."""

import re
from enum import StrEnum

from attrs import field, frozen

from clinia_async.models.refusal import Refusal, made_without_locals
from clinia_async.models.secret import fingerprint

# printable, without / \ ? # and not . or .. alone
_SAFE_IN_A_PATH = re.compile(r"(?!\.{1,2}\Z)[!\"$-.0->@-\[\]-~]{1,256}", re.ASCII)


class TaskKind(StrEnum):
    """What a task was submitted as. Informative only: polling does not need it."""

    SINGLE = "single"
    BULK = "bulk"
    BUNDLE = "bundle"
    PURGE = "purge"
    LEGACY = "legacy"
    """A deprecated bare id: a bulk or a bundle, and the id does not say which."""
    UNKNOWN = "unknown"
    """A prefix that this version does not know; the task can still be polled."""


_KINDS = {"s": TaskKind.SINGLE, "bk": TaskKind.BULK, "bd": TaskKind.BUNDLE, "pg": TaskKind.PURGE}


@made_without_locals
@frozen(repr=False)
class TaskId:
    """The id of a task, kept exactly as the service wrote it. Its repr holds a fingerprint only.

    Raises:
        ValueError: the text cannot stand in a path.

    https://docs.clinia.com/api-reference/task/get-a-task-from-the-registry
    """

    value: str = field()

    @value.validator
    def _safe(self, _: object, value: object) -> None:
        # An id comes from outside and goes into a URL, so what could change the path is refused.
        if not isinstance(value, str) or not _SAFE_IN_A_PATH.fullmatch(value):
            raise Refusal("a task id is 1 to 256 printable ASCII characters without / \\ ? #")

    @property
    def kind(self) -> TaskKind:
        """The kind of the task, which the prefix of its id says."""
        prefix, separator, _ = self.value.partition("_")
        if prefix in _KINDS and separator:
            return _KINDS[prefix]
        if self.value.startswith("purge:"):
            return TaskKind.PURGE
        return TaskKind.UNKNOWN if separator else TaskKind.LEGACY

    def names(self, other: "TaskId") -> bool:
        """Return whether `other` is this task: a deprecated id may come back in its current form."""
        if other.value == self.value:
            return True
        if self.value.startswith("purge:"):
            return other.value == f"pg_{self.value.removeprefix('purge:')}"
        return self.kind is TaskKind.LEGACY and other.value in {f"bk_{self.value}", f"bd_{self.value}"}

    def __str__(self) -> str:
        return self.value

    def __repr__(self) -> str:
        return f"TaskId({self.kind} {fingerprint(self.value)})"
