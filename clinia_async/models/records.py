"""What a registry holds: resources, and the relationships between them.

Ids and data are left out of every `repr`: they may be about people.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

from attrs import field, frozen, resolve_types

from clinia_async.models.open_enum import OpenEnum
from clinia_async.models.secret import fingerprint

Json = Mapping[str, object]
"""A JSON object."""


@frozen(init=False)
class Ref:
    """One end of a relationship: `type` is the key of a profile."""

    id: str = field(repr=fingerprint)
    type: str

    def __init__(self, id: str, type: str) -> None:
        _set_id(self, id)
        _set_type(self, type)


# The slots themselves, set at half of what it costs to get around what freezes the class: refs come by
# the million.
_set_id, _set_type = vars(Ref)["id"].__set__, vars(Ref)["type"].__set__


@frozen
class Period:
    id: str | None = None
    start: str | None = None
    end: str | None = None


@frozen(repr=False)
class Identifier:
    id: str | None = None
    system: str | None = None
    value: str | None = None
    use: str | None = None
    period: Period | None = None


@frozen
class Meta:
    """`created_at` and `updated_at` need a timezone; `source` is the service's to set."""

    created_at: datetime | None = None
    updated_at: datetime | None = None
    identifier: Sequence[Identifier] | None = field(default=None, repr=False)
    source: str | None = None


@frozen(init=False)
class Relationship:
    """`id` is `{from_.id}.{to.id}`."""

    id: str = field(repr=fingerprint)
    type: str
    from_: Ref
    to: Ref
    data: Json | None = field(default=None, repr=False)
    meta: Meta | None = field(default=None, repr=False)
    includes: Json | None = field(default=None, repr=False)

    def __init__(  # noqa: PLR0917  they are those of the fields
        self,
        id: str,
        type: str,
        from_: Ref,
        to: Ref,
        data: Json | None = None,
        meta: Meta | None = None,
        includes: Json | None = None,
    ) -> None:
        _set_own_id(self, id)
        _set_own_type(self, type)
        _set_from(self, from_)
        _set_to(self, to)
        _set_data(self, data)
        _set_meta(self, meta)
        _set_includes(self, includes)


_set_own_id, _set_own_type, _set_from, _set_to, _set_data, _set_meta, _set_includes = (
    vars(Relationship)[name].__set__ for name in ("id", "type", "from_", "to", "data", "meta", "includes")
)


@frozen
class Contained:
    """A resource inside another: `type` is the key of a contained profile."""

    type: str
    data: Json = field(repr=False)
    id: str | None = field(default=None, repr=fingerprint)
    contained: Mapping[str, Sequence["Contained"]] | None = field(default=None, repr=False)


resolve_types(Contained)  # it holds itself


@frozen
class Resource:
    """`type` is the key of a profile; `contained` maps the key of a property to what it contains."""

    id: str = field(repr=fingerprint)
    type: str
    data: Json | None = field(default=None, repr=False)
    meta: Meta | None = field(default=None, repr=False)
    contained: Json | None = field(default=None, repr=False)


class PatchOp(OpenEnum):
    ADD = "add"
    REMOVE = "remove"
    REPLACE = "replace"


@frozen
class Patch:
    """One change of a relationship's data: `path` is like a JSON pointer, such as `/role`."""

    op: PatchOp
    path: str
    value: object = field(default=None, repr=False)
