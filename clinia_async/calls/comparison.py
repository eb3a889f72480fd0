"""Whether what was read back is what was sent."""

import math
from collections.abc import Mapping
from datetime import datetime

from clinia_async.models import Meta


def same_json(left: object, right: object) -> bool:
    """Equal as JSON: 1 and 1.0 are one number, 1 and true are not."""
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        return left.keys() == right.keys() and all(same_json(left[key], right[key]) for key in left)
    if isinstance(left, list | tuple) and isinstance(right, list | tuple):
        return len(left) == len(right) and all(map(same_json, left, right))
    return isinstance(left, bool) == isinstance(right, bool) and left == right


def same_meta(sent: Meta | None, found: Meta | None) -> bool:
    if sent is None:
        return True
    if found is None:
        return sent == Meta()
    times = ((sent.created_at, found.created_at), (sent.updated_at, found.updated_at))
    if any(mine is not None and (theirs is None or not _same_time(mine, theirs)) for mine, theirs in times):
        return False
    return all(entry in (found.identifier or ()) for entry in sent.identifier or ())


def _same_time(left: datetime, right: datetime) -> bool:
    # a service may keep milliseconds of what was sent in microseconds
    return math.isclose(left.timestamp(), right.timestamp(), rel_tol=0, abs_tol=0.001)
