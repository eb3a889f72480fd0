"""The literal references of FHIR resources, resolved: `fhir` tells the rules."""

import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from attrs import field, frozen

from clinia_async.errors import DecodeError

_LITERAL = re.compile(
    r"(?:https?://\S+/)?([A-Z][A-Za-z]{0,63})/([A-Za-z0-9.-]{1,64})(?:/_history/[A-Za-z0-9.-]+)?"
)
_NO_KEY = re.compile(r"[^A-Za-z0-9_-]")
_LONGEST_KEY = 62
_LOGICAL = frozenset({"id", "extension", "type", "identifier", "display"})

PassedOver = Counter[str]
"""How many references are no relationships, by reason."""
End = tuple[str, str]
"""The type and the id of a resource."""


@frozen
class Resource:
    value: Mapping[str, object] = field(repr=False)
    type: str
    id: str | None = field(repr=False)
    entry: int
    """Which of a Bundle's entries it is, counted from 1."""
    place: str
    ends: Mapping[str, End | None] = field(repr=False)
    """What the `fullUrl`s of its Bundle stand for; None for one that stands for several."""


@frozen
class Relation:
    path: Sequence[str]
    from_: End | None = field(repr=False)
    """None if the resource has no id."""
    to: End = field(repr=False)

    def line(self) -> Mapping[str, object]:
        assert self.from_ is not None
        ends = {"from": self.from_, "to": self.to}
        return {
            "type": _key("-".join((self.from_[0], *self.path, self.to[0]))),
            **{name: {"id": id_, "type": type_} for name, (type_, id_) in ends.items()},
        }


def resources(value: object) -> Sequence[Resource]:
    """The resources of a Bundle, or the one that there is. Raises `DecodeError`."""
    type_ = _type(value, "$")
    assert isinstance(value, dict)
    if type_ != "Bundle":
        return [Resource(value, type_, _id(value, None, "$"), 1, "$", {})]
    entries = value.get("entry", [])
    if not isinstance(entries, list):
        raise DecodeError("$.entry", "a list")
    found: list[Resource] = []
    ends: dict[str, End | None] = {}
    for index, entry in enumerate(entries):
        place = f"$.entry[{index}]"
        if not isinstance(entry, dict):
            raise DecodeError(place, "an object")
        if "resource" not in entry:
            continue
        resource, url = entry["resource"], entry.get("fullUrl")
        type_ = _type(resource, f"{place}.resource")
        url = url if isinstance(url, str) else None
        id_ = _id(resource, url, f"{place}.resource")
        found.append(Resource(resource, type_, id_, index + 1, f"{place}.resource", ends))
        if url is not None and id_ is not None:
            ends[url] = (type_, id_) if ends.get(url, (type_, id_)) == (type_, id_) else None
    return found


def relations(resource: Resource, passed_over: PassedOver) -> Iterator[Relation]:
    from_ = None if resource.id is None else (resource.type, resource.id)
    seen: set[tuple[tuple[str, ...], End]] = set()
    for path, reference in _references(resource.value, ()):
        to = _end(reference, resource.ends)
        if isinstance(to, str):
            passed_over[to] += 1
        elif (path, to) not in seen:
            seen.add((path, to))
            yield Relation(path, from_, to)


def _type(value: object, place: str) -> str:
    if not isinstance(value, dict):
        raise DecodeError(place, "an object")
    type_ = value.get("resourceType")
    if not isinstance(type_, str) or not type_:
        raise DecodeError(f"{place}.resourceType", "a string")
    return type_


def _id(value: Mapping[str, object], url: str | None, place: str) -> str | None:
    id_ = value.get("id")
    if id_ is None and url is not None:
        return re.split("[/:]", url)[-1] or None
    if id_ is not None and not isinstance(id_, str):
        raise DecodeError(f"{place}.id", "a string")
    return id_


def _references(value: object, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], str | None]]:
    """The path of each reference, and what it says; None for a logical one."""
    if isinstance(value, list):
        for inner in value:
            yield from _references(inner, path)
    elif isinstance(value, dict):
        reference = value.get("reference") if path else None
        if isinstance(reference, str):
            yield path, reference
        elif path and isinstance(value.get("identifier"), dict) and value.keys() <= _LOGICAL:
            yield path, None
        for name, inner in value.items():
            yield from _references(inner, (*path, name))


def _end(reference: str | None, ends: Mapping[str, End | None]) -> End | str:
    """What is referred to, or why that is not told."""
    if reference is None:
        return "logical: an identifier alone"
    if reference.startswith("#"):
        return "contained in the resource itself"
    if "?" in reference:
        return "conditional"
    if reference in ends:
        return ends[reference] or "its fullUrl stands for several resources"
    match = _LITERAL.fullmatch(reference)
    if match is not None:
        return match[1], match[2]
    return "a URN that is not in the Bundle" if reference.startswith("urn:") else "no Type/id"


def _key(text: str) -> str:
    key = _NO_KEY.sub("-", text)
    if len(key) > _LONGEST_KEY:
        digest = hashlib.sha256(text.encode()).hexdigest()[:8]
        key = f"{key[: _LONGEST_KEY - 9]}-{digest}"
    return key
