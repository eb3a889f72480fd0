"""Writes that change a part of a record that is there: of its data, or of what it contains."""

from clinia_async.emulator.bodies import contained, patch
from clinia_async.emulator.bodies.operation import RELATIONSHIP, RESOURCE, Operation
from clinia_async.emulator.bodies.shapes import mapping, texts
from clinia_async.emulator.bodies.strict_json import decode, encode
from clinia_async.emulator.errors import ApiError, refused
from clinia_async.emulator.settings import Settings
from clinia_async.emulator.store.records import Record

PATCH = "PATCH"
CREATE_CONTAINED, PUT_CONTAINED, DELETE_CONTAINED = "CREATE_CONTAINED", "PUT_CONTAINED", "DELETE_CONTAINED"
EDITS = frozenset({PATCH, CREATE_CONTAINED, PUT_CONTAINED, DELETE_CONTAINED})
"""Actions of operations."""


def patching(type_: str, id_: str, body: object) -> Operation:
    return Operation(RELATIONSHIP, PATCH, type_, id_, edit=patch.checked(body))


def containing(action: str, type_: str, id_: str, path: list[str], entry: object = None) -> Operation:
    """A write of what a resource contains: of the entry that goes to a path, or leaves it."""
    contained.check_path(path)
    return Operation(RESOURCE, action, type_, id_, edit=encode({"path": path, "entry": entry}))


def edited(record: Record, operation: Operation, settings: Settings) -> tuple[Record, bool]:
    """The record as it will be, and whether something in it is new."""
    assert operation.edit is not None
    if operation.action == PATCH:
        try:
            return record._replace(data=patch.patched(record.data, operation.edit)), False
        except LookupError:
            raise refused(settings.patch_failed, "a path leads nowhere in the data") from None
    edit = mapping(decode(operation.edit.encode()), "the edit")
    path = texts(edit["path"], "path")
    if operation.action == DELETE_CONTAINED:
        return record._replace(contained=contained.removed(record.contained, path)), False
    entry = mapping(edit["entry"], "entry")
    tree, created = contained.put(record.contained, path, entry)
    if operation.action == CREATE_CONTAINED and not created:
        message = "the contained resource already exists"
        raise ApiError("ALREADY_EXISTS", message, code=settings.already_exists)
    return record._replace(contained=tree), created
