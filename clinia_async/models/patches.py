"""Changes of a record, as in RFC 6902."""

from attrs import field, frozen

from clinia_async.models.open_enum import OpenEnum
from clinia_async.models.value import Value, checked


class PatchOp(OpenEnum):
    """What a patch does at its path, as in RFC 6902."""

    ADD = "add"
    REMOVE = "remove"
    REPLACE = "replace"


@frozen(eq=False, repr=False, field_transformer=checked)
class Patch(Value):
    """One change of a relationship's data; `path` is like a JSON pointer, such as `/role`."""

    op: PatchOp
    path: str
    value: object = field(default=None, repr=False)
