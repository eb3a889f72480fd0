"""Choosing which properties of a record's data a page of a browse shows."""

from typing import Self

from attrs import frozen

from clinia_async.emulator.bodies.shapes import fields, texts
from clinia_async.emulator.bodies.strict_json import decode, encode

Path = tuple[str, ...]


@frozen
class Projection:
    """Properties by name, or by dotted path for what lies deeper; excluding is stronger."""

    include: frozenset[Path]
    exclude: frozenset[Path]

    @classmethod
    def of(cls, value: object) -> Self:
        where = "params.properties"
        properties = fields(value, where, may={"include", "exclude"})
        return cls(*(_paths(properties.get(name, []), f"{where}.{name}") for name in ("include", "exclude")))

    def apply(self, data: str) -> str:
        if not (self.include or self.exclude):
            return data
        document = decode(data.encode())
        if self.include:
            document = _kept(document, self.include, ())
        return encode(_without(document, self.exclude, ()))


def _paths(value: object, where: str) -> frozenset[Path]:
    return frozenset(tuple(path.split(".")) for path in texts(value, where))


def _kept(value: object, paths: frozenset[Path], here: Path) -> object:
    if here in paths:
        return value
    match value:
        case dict():
            inner = {name: (*here, name) for name in value}
            return {name: _kept(value[name], paths, at) for name, at in inner.items() if _leads(at, paths)}
        case list():
            return [_kept(entry, paths, here) for entry in value]
        case _:
            return value


def _leads(here: Path, paths: frozenset[Path]) -> bool:
    return any(path[: len(here)] == here for path in paths)


def _without(value: object, paths: frozenset[Path], here: Path) -> object:
    match value:
        case dict():
            inner = {name: (*here, name) for name in value}
            return {name: _without(value[name], paths, at) for name, at in inner.items() if at not in paths}
        case list():
            return [_without(entry, paths, here) for entry in value]
        case _:
            return value
