"""FHIR resources, with the references that each of them holds.

A reference is held by the innermost resource that it stands in. What is `contained` is no resource of its
own: its references are those of the resource around it.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping

from attrs import define, field

from clinia_async.errors import DecodeError

_EXTENSIONS = frozenset({"extension", "modifierExtension"})
_LOGICAL = frozenset({"id", "extension", "reference", "type", "identifier", "display"})
_SEPARATORS = re.compile(r"[/:#|]")

Object = Mapping[str, object]
Path = tuple[str, ...]


@define
class Resource:
    """One resource. `id` is None if it has none; `path` says where in the document it stands."""

    value: Object = field(repr=False)
    type: str
    id: str | None = field(repr=False)
    path: str
    references: list[tuple[Path, str | None]] = field(factory=list, repr=False)
    """The path of each reference and what it says: None for one by an identifier alone, and nothing for one
    that is no text."""


def resources_in(value: object, path: str) -> Iterator[Resource]:
    """Yield the resource `value` and those inside it, but not what a Bundle's entries hold.

    Raises `DecodeError` where one is no resource; those before it were given.
    """
    pending: list[tuple[object, str]] = [(value, path)]
    while pending:
        value, path = pending.pop()
        resource = Resource(
            as_object(value, path), resource_type(value, path), resource_id(value, path), path
        )
        inner = list(_collect(resource))
        yield resource
        pending += reversed(inner)


def _collect(resource: Resource) -> Iterator[tuple[object, str]]:
    """Find the references of `resource`; yield the resources inside it, with their paths."""
    entries = resource.value.get("entry") if resource.type == "Bundle" else None
    pending: list[tuple[object, Path, bool]] = [(resource.value, (), False)]
    while pending:
        value, path, is_contained = pending.pop()
        if isinstance(value, list):
            pending += [(item, path, is_contained) for item in reversed(value)]
            continue
        if not isinstance(value, dict):
            continue
        if path and not is_contained and isinstance(value.get("resourceType"), str):
            yield value, ".".join((resource.path, *path))
            continue
        url = value.get("url")
        if path and path[-1] in _EXTENSIONS and isinstance(url, str):
            path = (*path, _extension_name(url))
        if path:
            _note_reference(value, path, resource)
        pending += [
            (item, (*path, name), is_contained or name == "contained")
            for name, item in reversed(value.items())
            if isinstance(item, dict | list) and item is not entries
        ]


def _note_reference(value: Object, path: Path, resource: Resource) -> None:
    reference = value.get("reference")
    if isinstance(reference, str):
        resource.references.append((path, reference))
    elif isinstance(reference, int | float) or (isinstance(reference, list) and not _are_objects(reference)):
        resource.references.append((path, ""))
    elif isinstance(value.get("identifier"), dict) and _bare_names(value) <= _LOGICAL:
        resource.references.append((path, None))


def _bare_names(value: Object) -> set[str]:
    """Return the names of fields; `_display` holds the extensions of `display`."""
    return {name.removeprefix("_") for name in value}


def _are_objects(values: list[object]) -> bool:
    return all(isinstance(value, dict) for value in values)


def _extension_name(url: str) -> str:
    """Return the name of an extension: the end of its URL, and a hash of all of it."""
    name = _SEPARATORS.split(url.rstrip("/"))[-1]
    return f"{name}-{hashlib.sha256(url.encode()).hexdigest()[:8]}"


def as_object(value: object, path: str) -> Object:
    """Return `value`. Raises `DecodeError` if it is no object."""
    if not isinstance(value, dict):
        raise DecodeError(path, "an object")
    return value


def resource_type(value: object, path: str) -> str:
    """Return the type of a resource. Raises `DecodeError` if it has none."""
    type_ = as_object(value, path).get("resourceType")
    if not isinstance(type_, str) or not type_:
        raise DecodeError(f"{path}.resourceType", "a string")
    return type_


def resource_id(value: object, path: str) -> str | None:
    """Return the id of a resource, None if it has none. Raises `DecodeError` if it is no string."""
    id_ = as_object(value, path).get("id")
    if id_ is not None and not isinstance(id_, str):
        raise DecodeError(f"{path}.id", "a string")
    return id_ or None
