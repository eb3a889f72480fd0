"""Whether a record that was read back is what a write leaves."""

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache

from attrs import fields

from clinia_async import models
from clinia_async.models import Json, Meta, Receipt, Value
from clinia_async.serialization.exact_json import is_decimal

_CLOCK_SKEW = 1.0
"""Seconds by which times of one service may differ."""


def same_definition(sent: object, found: object) -> bool:
    """Return whether a definition that was read holds all of the one that was sent.

    Null, absent and empty are the same. Fields that only the service knows do not count.
    """
    if isinstance(sent, Value) and isinstance(found, Value):
        names = [field.name for field in fields(type(sent)) if field.name != "unknown_fields"]
        mine, theirs = sent.unknown_fields or {}, found.unknown_fields or {}
        return (
            type(sent) is type(found)
            and all(same_definition(getattr(sent, name), getattr(found, name)) for name in names)
            and all(same_json(mine[name] or None, theirs.get(name) or None) for name in mine)
        )
    if isinstance(sent, tuple) and isinstance(found, tuple) and sent and found:
        return len(sent) == len(found) and all(map(same_definition, sent, found))
    return same_json(sent or None, found or None)


_OF_PARTITION = {"collections", "modules", "relationshipType", "relationships", "search", "source", "sources"}
_OF_DEFINITION = {"from", "includeKey", "profile", "profileKey", "to"}
_NAMES_OF_ENTRY = frozenset({"key", "type"} | _OF_PARTITION | _OF_DEFINITION)
"""Fields of the JSON of an entry that hold keys and other words of the API, or lead to them."""
_NAMES_OF_PROPERTIES = frozenset({"contained", "properties"})
"""Fields whose names are keys, too."""


def _is_unknown_word(name: str, found: object) -> bool:
    """Whether a field that holds no key has a value that is not known here, and so says nothing."""
    return (name == "search" and found not in set(models.SearchModule)) or (
        name == "type" and found not in _known_types()
    )


@cache
def _known_types() -> frozenset[str]:
    return frozenset({"DATA_SOURCE", "MDM", *models.CollectionType, *models.ProfileType, *models.SourceType})


def is_another_entry(sent: object, found: object) -> bool:
    """Return whether the JSON of a partition or a definition in an answer cannot be that of the one sent.

    A service may leave parts out, add others, and write values in another form. So only keys and known words
    of the API are compared, and of a list whether it holds what was sent.
    """
    if isinstance(sent, Mapping) and isinstance(found, Mapping):
        names = _NAMES_OF_ENTRY & sent.keys() & found.keys()
        return any(_lacks_names(sent.get(name), found.get(name)) for name in _NAMES_OF_PROPERTIES) or any(
            is_another_entry(sent[name], found[name])
            for name in names
            if not (isinstance(found[name], str) and _is_unknown_word(name, found[name]))
        )
    if isinstance(sent, list) and isinstance(found, list) and found:
        return any(all(is_another_entry(mine, theirs) for theirs in found) for mine in sent)
    return isinstance(sent, str) and isinstance(found, str) and found not in {"", sent}


def _lacks_names(sent: object, found: object) -> bool:
    """Whether an object that is there, and not empty, lacks a name that was sent."""
    if not (isinstance(sent, Mapping) and isinstance(found, Mapping) and found):
        return False
    return not sent.keys() <= found.keys()


def same_json(left: object, right: object) -> bool:
    """Whether both are equal as JSON: 1 and 1.0 are one number, 1 and true are not.

    A service may keep fractions as doubles, so those of more digits are compared as such.
    """
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        return left.keys() == right.keys() and all(same_json(left[key], right[key]) for key in left)
    if isinstance(left, list | tuple) and isinstance(right, list | tuple):
        return len(left) == len(right) and all(map(same_json, left, right))
    if _may_be_fraction(left) and _may_be_fraction(right):
        return float(left) == float(right)  # type: ignore[arg-type]  # numbers
    return isinstance(left, bool) == isinstance(right, bool) and left == right


def _may_be_fraction(value: object) -> bool:
    return isinstance(value, float) or is_decimal(value)


def same_meta(sent: Meta | None, found: Meta | None) -> bool:
    """Whether `found` holds all that was sent; what the service adds does not count."""
    if sent is None:
        return True
    if found is None:
        return sent == Meta()
    times = ((sent.created_at, found.created_at), (sent.updated_at, found.updated_at))
    if any(mine is not None and (theirs is None or not _same_time(mine, theirs)) for mine, theirs in times):
        return False
    return all(entry in (found.identifier or ()) for entry in sent.identifier or ())


def same_contained(sent: object, found: object) -> bool:
    """Whether each list holds what was sent, in order; only ids may be the service's."""
    if not isinstance(sent, Mapping) or not isinstance(found, Mapping):
        return False
    if {key for key in sent if sent[key]} != {key for key in found if found[key]}:
        return False
    return all(
        isinstance(found[key], list)
        and len(found[key]) == len(sent[key])
        and all(map(holds_contained, sent[key], found[key]))
        for key in sent
        if sent[key]
    )


def holds_contained(sent: Mapping[str, object], found: object) -> bool:
    """Whether one contained resource is what was sent; its id only counts where one was sent."""
    return (
        isinstance(found, Mapping)
        and sent["type"] == found.get("type")
        and sent.get("id", found.get("id")) == found.get("id")
        and same_json(sent["data"], found.get("data", {}))
        and same_contained(sent.get("contained", {}), found.get("contained") or {})
    )


def contained_at(root: Json, place: Sequence[str]) -> object:
    """The contained resource at `place`, which alternates keys and ids; None if there is none."""
    found: object = {"contained": root}
    for key, id_ in zip(place[::2], place[1::2], strict=True):
        inside = found.get("contained") if isinstance(found, Mapping) else None
        entries = inside.get(key) if isinstance(inside, Mapping) else None
        among = entries if isinstance(entries, list | tuple) else ()
        found = next((each for each in among if isinstance(each, Mapping) and each.get("id") == id_), None)
    return found


def is_older(found: object, receipt: Receipt) -> bool:
    """Whether the record was last changed before the write came in, by the service's own times."""
    after = _changed_after(found, receipt)
    return after is not None and after < -_CLOCK_SKEW


def is_newer(found: object, receipt: Receipt) -> bool:
    """Whether the record was last changed after the write came in, by the service's own times."""
    after = _changed_after(found, receipt)
    return after is not None and after >= 0


def _changed_after(found: object, receipt: Receipt) -> float | None:
    """How many seconds after the write came in the record was changed last; None where no times say it."""
    meta = getattr(found, "meta", None)
    if not isinstance(meta, Meta) or meta.updated_at is None or receipt.received_at is None:
        return None
    return meta.updated_at.timestamp() - receipt.received_at.timestamp()


def shows_patches(patches: Sequence["models.Patch"], data: Json) -> bool:
    """Whether `data` shows the effect of each patch that no later one goes over."""
    return all(
        _shows(patch, data)
        for number, patch in enumerate(patches)
        if not any(_goes_over(later, patch) for later in patches[number + 1 :])
    )


def _goes_over(later: "models.Patch", patch: "models.Patch") -> bool:
    return f"{patch.path}/".startswith(f"{later.path}/") or f"{later.path}/".startswith(f"{patch.path}/")


def _shows(patch: "models.Patch", data: object) -> bool:
    *parents, last = (part.replace("~1", "/").replace("~0", "~") for part in patch.path.split("/")[1:])
    for part in parents:
        data = _member(data, part)
    if not isinstance(data, Mapping) and patch.op != models.PatchOp.REPLACE:
        return False  # what was added to a list or taken from it leaves nothing that proves it
    found = _member(data, last)
    if patch.op == models.PatchOp.REMOVE:
        return found is _ABSENT
    return found is not _ABSENT and same_json(patch.value, found)


_ABSENT = object()


def _member(data: object, name: str) -> object:
    if isinstance(data, Mapping):
        return data.get(name, _ABSENT)
    if isinstance(data, list | tuple) and name.isdecimal() and int(name) < len(data):
        return data[int(name)]
    return _ABSENT


def _same_time(left: datetime, right: datetime) -> bool:
    # a service may keep milliseconds of what was sent in microseconds
    return math.isclose(left.timestamp(), right.timestamp(), rel_tol=0, abs_tol=0.001)
