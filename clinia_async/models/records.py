"""Records of a registry: resources, and the relationships between them.

Ids and data are left out of every `repr`: they may be about people.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

from attrs import field, frozen

from clinia_async.models.refusal import Refusal, bare, clears_own_locals
from clinia_async.models.secret import fingerprint
from clinia_async.models.value import REQUIRED_IN_ANSWERS, Json, Value, check_for, checked


@frozen(init=False, eq=False, repr=False)
class Ref(Value):
    """One end of a relationship: the id of a resource, and its type, the key of a profile.

    Raises:
        InvalidWrite: one of them is not a string.
    """

    id: str = field(repr=fingerprint, metadata=REQUIRED_IN_ANSWERS)
    type: str = field(metadata=REQUIRED_IN_ANSWERS)

    @clears_own_locals
    def __init__(self, id: str, type: str, *, unknown_fields: Json | None = None) -> None:
        try:
            if not id.__class__ is type.__class__ is str:
                _check_text(id, "$.id")
                _check_text(type, "$.type")
            if unknown_fields is not None:
                _check_unknown(unknown_fields, "$.unknownFields")
        except Refusal as error:
            refusal = bare(error)
        else:
            _set_id(self, id)
            _set_type(self, type)
            _set_unknown(self, unknown_fields)
            return
        del id, type, unknown_fields
        try:
            raise refusal
        finally:
            del refusal


# Millions of refs are made: setting the slots directly costs half of object.__setattr__.
_set_id, _set_type, _set_unknown = (getattr(Ref, name).__set__ for name in ("id", "type", "unknown_fields"))
_check_text, _check_unknown = check_for(str, "Ref"), check_for(Json, "Ref.unknown_fields")


@frozen(eq=False, repr=False, field_transformer=checked)
class Period(Value):
    """The time in which an identifier is valid. Its texts are passed on as they are."""

    id: str | None = field(default=None, repr=False)
    start: str | None = field(default=None, repr=False)
    end: str | None = field(default=None, repr=False)


@frozen(eq=False, repr=False, field_transformer=checked)
class Identifier(Value):
    """An identifier of a record: a value in a system, such as a national number."""

    id: str | None = field(default=None, repr=False)
    system: str | None = field(default=None, repr=False)
    value: str | None = field(default=None, repr=False)
    use: str | None = field(default=None, repr=False)
    period: Period | None = field(default=None, repr=False)


@frozen(eq=False, repr=False, field_transformer=checked)
class Meta(Value):
    """The metadata of a record. Times need a timezone; `source` is set by the service."""

    created_at: datetime | None = None
    updated_at: datetime | None = None
    identifier: Sequence[Identifier] | None = field(default=None, repr=False)
    source: str | None = None


@frozen(eq=False, repr=False, field_transformer=checked)
class Relationship(Value):
    """A relationship; its `id` is `{from_.id}.{to.id}`.

    Numbers in `data` are exact: a fraction of more digits than a double holds is a `Decimal`.
    """

    id: str = field(repr=fingerprint, metadata=REQUIRED_IN_ANSWERS)
    type: str = field(metadata=REQUIRED_IN_ANSWERS)
    from_: Ref = field(metadata=REQUIRED_IN_ANSWERS)
    to: Ref = field(metadata=REQUIRED_IN_ANSWERS)
    data: Json | None = field(default=None, repr=False)
    meta: Meta | None = field(default=None, repr=False)
    includes: Json | None = field(default=None, repr=False)


@frozen(eq=False, repr=False, field_transformer=checked)
class Contained(Value):
    """A resource inside another; `type` is the key of a contained profile."""

    type: str
    data: Json = field(repr=False)
    id: str | None = field(default=None, repr=fingerprint)
    contained: Mapping[str, Sequence["Contained"]] | None = field(default=None, repr=False)


@frozen(eq=False, repr=False, field_transformer=checked)
class Resource(Value):
    """A resource; `type` is the key of a profile, `contained` maps property keys to contained resources.

    Numbers in `data` are exact: a fraction of more digits than a double holds is a `Decimal`.
    """

    id: str = field(repr=fingerprint, metadata=REQUIRED_IN_ANSWERS)
    type: str = field(metadata=REQUIRED_IN_ANSWERS)
    data: Json | None = field(default=None, repr=False)
    meta: Meta | None = field(default=None, repr=False)
    contained: Json | None = field(default=None, repr=False)
