"""Contained resources: lists of resources under keys inside a resource, at any depth.

A path goes from the root through key, id, key, id and so on. It ends in a key for a create, and in an
id for a put or a removal.
"""

from clinia_async.emulator.bodies.shapes import array, contained_id, fields, key, mapping
from clinia_async.emulator.bodies.strict_json import decode, encode
from clinia_async.emulator.errors import absent, invalid


def check(value: object) -> object:
    """Return the value, checked as the `contained` of a resource."""
    for name, entries in mapping(value, "contained").items():
        key(name, "a key of contained")
        ids = [_check_entry(entry) for entry in array(entries, "an entry of contained")]
        if len(set(ids)) != len(ids):
            raise invalid("the contained resources under one key must have different ids")
    return value


def _check_entry(value: object) -> str:
    entry = fields(value, "a contained resource", need={"id", "type", "data"}, may={"contained"})
    _check_content(entry)
    return contained_id(entry["id"])


def entry(body: object, id_: str) -> dict[str, object]:
    """Return a contained resource from the body of a single write."""
    document = fields(body, "the body", need={"type", "data"}, may={"id", "contained"})
    _check_content(document)
    return {**document, "id": contained_id(id_)}


def _check_content(document: dict[str, object]) -> None:
    key(document["type"], "the type of a contained resource")
    mapping(document["data"], "the data of a contained resource")
    check(document.get("contained", {}))


def check_path(path: list[str]) -> None:
    for name in path[::2]:
        key(name, "a key in the path")
    for id_ in path[1::2]:
        contained_id(id_)


def put(contained: str | None, path: list[str], entry: dict[str, object]) -> tuple[str, bool]:
    """Return the contained resources with the entry in its place, and whether it is new."""
    root = _tree(contained)
    entries = _entries(root, path)
    index = _find(entries, entry["id"])
    if index is None:
        entries.append(entry)
    else:
        entries[index] = entry
    return encode(root), index is None


def removed(contained: str | None, path: list[str]) -> str:
    root = _tree(contained)
    *way, id_ = path
    entries = _entries(root, way)
    if (index := _find(entries, id_)) is None:
        raise absent("contained resource")
    del entries[index]
    return encode(root)


def _tree(contained: str | None) -> dict[str, object]:
    return mapping(decode((contained or "{}").encode()), "contained")


def _entries(tree: dict[str, object], path: list[str]) -> list[object]:
    """Return the list at a path; it is made if only the last key is new."""
    *way, last = path
    for name, id_ in zip(way[::2], way[1::2], strict=True):
        entries = array(tree.get(name, []), "an entry of contained")
        if (index := _find(entries, id_)) is None:
            raise absent("contained resource on the way")
        parent = mapping(entries[index], "a contained resource")
        tree = mapping(parent.setdefault("contained", {}), "contained")
    return array(tree.setdefault(last, []), "an entry of contained")


def _find(entries: list[object], id_: object) -> int | None:
    for index, entry in enumerate(entries):
        if isinstance(entry, dict) and entry["id"] == id_:
            return index
    return None
