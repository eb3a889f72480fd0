"""Checks of writes before they are sent. Errors name the path and the rule, never the value."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TypeVar

from attrs import Attribute

from clinia_async.errors import InvalidWrite
from clinia_async.models import Json, JsonDocument, Meta, Ref, Value
from clinia_async.models.identifiers import (
    END_RULE,
    KEY_RULE,
    NEW_ID_RULE,
    RESERVED_TYPE,
    are_keys,
    is_end_id,
    is_key,
    is_new_id,
    is_record_id,
    is_simple_relationship_id,
    is_token,
)
from clinia_async.models.value import codec
from clinia_async.serialization.documents import read_document
from clinia_async.serialization.exact_json import RawJson

T = TypeVar("T")
V = TypeVar("V", bound=Value)


def value_of(kind: type[V], value: object, path: str) -> V:
    """Return a value, made of its JSON if it is given as that.

    Raises:
        InvalidWrite: it is neither.
    """
    if isinstance(value, Mapping):
        return codec().from_object(kind, value, path)
    if not isinstance(value, kind):
        raise InvalidWrite(path, f"must be a {kind.__name__}, or its JSON object")
    return value


def value_of_document(kind: type[V], document: V | Json | JsonDocument) -> V:
    """Return a value, made of its JSON if it is given as that: a dict, text, or the path of a file.

    Raises:
        InvalidWrite: it is neither; `path` says where.
    """
    return document if isinstance(document, kind) else kind.from_dict(read_document(document))


def check_key(value: str, path: str) -> None:
    """Raise `InvalidWrite`, which names `path`, for a value that the service could only refuse."""
    if not is_key(value):
        raise InvalidWrite(path, f"must be {KEY_RULE}")


def check_type(value: str, path: str) -> None:
    """Check the type of a record, which stands in its path. Raises `InvalidWrite`."""
    check_key(value, path)
    if value == RESERVED_TYPE:
        raise InvalidWrite(path, "must not be `bulk`: the path of such a record is that of the bulk endpoint")


def check_record_id(value: str, path: str) -> None:
    """Raise `InvalidWrite`, which names `path`, for a value that the service could only refuse."""
    if not is_record_id(value):
        raise InvalidWrite(path, "must be the id of a record, or an identifier `{system}:{value}:{use}`")


def check_new_id(value: str, path: str) -> None:
    """Raise `InvalidWrite`, which names `path`, for a value that the service could only refuse."""
    if not is_new_id(value) and not is_token(value):
        raise InvalidWrite(path, f"must be {NEW_ID_RULE}{_hint(value)}")


def check_known_id(value: str, path: str) -> None:
    """Raise `InvalidWrite`, which names `path`, for a value that the service could only refuse."""
    if not is_new_id(value):
        raise InvalidWrite(path, f"must be {NEW_ID_RULE}")


def check_place(place: Sequence[str], path: str) -> None:
    """Raise `InvalidWrite`, which names `path`, for a value that the service could only refuse."""
    if not place:
        raise InvalidWrite(path, "must be a list of keys and ids, such as ['offices', 'main']")
    for index, part in enumerate(place):
        check_record_id(part, f"{path}[{index}]")


def check_end(value: Ref, path: str) -> None:
    """Raise `InvalidWrite`, which names `path`, for a value that the service could only refuse."""
    if not is_end_id(value.id):
        raise InvalidWrite(f"{path}.id", f"must be {END_RULE}{_hint(value.id)}")
    check_key(value.type, f"{path}.type")


def _hint(id_: object) -> str:
    return "; a dot can be written `_2E`, see escape_dots" if isinstance(id_, str) and "." in id_ else ""


def simple_relationship_id(source: str, type: str, from_: object, to: object) -> str | None:
    """Return the id of a relationship if its names are all of the simple form, else None.

    One match here replaces the separate checks, which are slower and explain what is wrong.
    """
    if not (from_.__class__ is Ref and to.__class__ is Ref):
        return None
    try:
        id_ = from_.id + "." + to.id
        return id_ if is_simple_relationship_id(id_) and are_keys(source, type, from_.type, to.type) else None
    except TypeError:  # one of them is no text
        return None


def check_meta(meta: Meta | None, path: str, now: datetime | None = None) -> None:
    """Check the metadata of a write against the rules of historical import.

    https://docs.clinia.com/guides/managing-data/historical-import

    Raises:
        InvalidWrite: a rule is broken; `now` is the present time by default.
    """
    if meta is None:
        return
    _check_times(meta, path, now or datetime.now(UTC))
    combinations = [(entry.system, entry.use, entry.value) for entry in meta.identifier or ()]
    if len(set(combinations)) != len(combinations):
        raise InvalidWrite(f"{path}.identifier", "entries must differ in system, use and value")
    if any(entry.use == "source" or entry.system == "mdm" for entry in meta.identifier or ()):
        raise InvalidWrite(f"{path}.identifier", "must use neither the use `source` nor the system `mdm`")


def _check_times(meta: Meta, path: str, now: datetime) -> None:
    for name, moment in (("createdAt", meta.created_at), ("updatedAt", meta.updated_at)):
        if moment is not None and not _is_instant(moment):
            raise InvalidWrite(f"{path}.{name}", "must be a datetime with a timezone")
        if moment is not None and moment > now:
            raise InvalidWrite(f"{path}.{name}", "must not lie in the future")
    if meta.updated_at is not None and meta.created_at is None:
        raise InvalidWrite(f"{path}.updatedAt", "needs createdAt")
    if meta.updated_at is not None and meta.created_at is not None and meta.updated_at < meta.created_at:
        raise InvalidWrite(f"{path}.updatedAt", "must not be before createdAt")


def _is_instant(moment: object) -> bool:
    if not isinstance(moment, datetime) or moment.utcoffset() is None:
        return False
    try:
        moment.astimezone(UTC)
    except OverflowError:  # in the first hours of the year 1 or the last ones of 9999
        return False
    return True


def check_data(data: Json | RawJson | None, path: str) -> None:
    """Raise `InvalidWrite`, which names `path`, for a value that the service could only refuse."""
    if data is not None and not isinstance(data, Mapping | RawJson):
        raise InvalidWrite(path, "must be an object")


def validated_by(check: Callable[[T, str], None], path: str) -> Callable[[object, "Attribute[T]", T], None]:
    """Make an attrs validator of `check` for the field at `path`."""
    return lambda _, __, value: check(value, path)
