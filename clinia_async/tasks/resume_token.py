"""The text that a task is resumed from, in this process or another. It holds no key and no record."""

import json

from clinia_async.errors import ConfigError
from clinia_async.models.identifiers import is_key
from clinia_async.models.struct import Struct
from clinia_async.models.task_id import TaskId


class ResumedFrom(Struct):
    """What a token says."""

    id: TaskId
    source: str
    maybe_applied: bool


def token_of(id: TaskId, source: str | None, *, maybe_applied: bool = False) -> str:
    """Text that resumes a task: its id, its source, and whether an answer to its write was lost."""
    fields: dict[str, object] = {"v": 1, "source": source, "task": str(id)}
    if maybe_applied:
        fields["maybeApplied"] = True
    return json.dumps(fields, separators=(",", ":"))


def parse_token(token: str) -> ResumedFrom:
    """Read a token.

    Raises:
        ConfigError: the text is no token that this version can read.
    """
    try:
        fields = json.loads(token)
        maybe_applied = fields.get("maybeApplied", False)
        if fields["v"] == 1 and is_key(fields["source"]) and isinstance(maybe_applied, bool):
            return ResumedFrom(TaskId(fields["task"]), fields["source"], maybe_applied)
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError):
        pass
    raise ConfigError("this is not a token of a task that this version can read")
