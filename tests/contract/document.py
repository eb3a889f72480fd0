"""The document made ready: its operations, with every schema compiled once."""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import yaml  # type: ignore[import-untyped, unused-ignore]
from attrs import field, frozen
from jsonschema_rs import Draft202012, Draft202012Validator, Registry

PATH = Path(__file__).with_name("openapi.yaml")
_URI = "urn:contract"
_METHODS = frozenset({"get", "put", "post", "patch", "delete"})

Json = Any
"""What a JSON text may hold."""


@cache
def read() -> dict[str, Json]:
    """The document as it is written, parsed once: not to be changed."""
    with PATH.open(encoding="utf-8") as text:
        document: dict[str, Json] = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    return document


@frozen
class Parameter:
    name: str
    kind: str
    """The type of its schema, which tells how its text is read."""
    validator: Draft202012Validator = field(repr=False)


@frozen
class Body:
    """What a request or an answer may carry."""

    required: bool
    validators: Mapping[str, Draft202012Validator] = field(repr=False)
    """By media type; without any, there must be no body."""


@frozen
class Template:
    """A path with placeholders, which are None among its segments."""

    segments: tuple[str | None, ...]
    names: tuple[str, ...]
    endless: bool
    """Whether the last placeholder takes more than one segment."""

    @classmethod
    def of(cls, path: str, parameters: list[Json]) -> Self:
        names = tuple(re.findall(r"\{(\w+)\}", path))
        segments = tuple(None if part.startswith("{") else part for part in path[1:].split("/"))
        many = {one["name"] for one in parameters if one.get("x-segments") == "many"}
        return cls(segments, names, bool(names) and names[-1] in many)

    @property
    def rank(self) -> tuple[bool, tuple[bool, ...]]:
        """Sorts the more specific templates first."""
        return self.endless, tuple(segment is None for segment in self.segments)

    def match(self, parts: list[str]) -> dict[str, str] | None:
        """The values of the placeholders, if the segments fit; a placeholder is never empty."""
        if self.endless and len(parts) > len(self.segments):
            last = len(self.segments) - 1
            parts = [*parts[:last], "/".join(parts[last:])]
        if len(parts) != len(self.segments):
            return None
        values = []
        for segment, part in zip(self.segments, parts, strict=True):
            if segment is None and part:
                values.append(part)
            elif segment != part:
                return None
        return dict(zip(self.names, values, strict=True))


@frozen
class Operation:
    id: str
    method: str
    path: str
    mark: str
    template: Template = field(repr=False)
    path_parameters: Mapping[str, Parameter] = field(repr=False)
    query_parameters: Mapping[str, Parameter] = field(repr=False)
    request: Body | None = field(repr=False)
    answers: Mapping[str, Body] = field(repr=False)
    """By status, or by class of statuses such as `4XX`."""

    def answer(self, status: int) -> Body | None:
        return self.answers.get(str(status)) or self.answers.get(f"{status // 100}XX")


class Compiler:
    def __init__(self, document: dict[str, Json]) -> None:
        self.document = document
        self.registry = Registry([(_URI, document)], draft=Draft202012)

    def operations(self) -> Iterator[Operation]:
        for path, item in self.document["paths"].items():
            for method in item.keys() & _METHODS:
                yield self._operation(path, method)

    def schema(self, name: str) -> Draft202012Validator:
        return self._validator(("components", "schemas", name))

    def _operation(self, path: str, method: str) -> Operation:
        item, at = self.document["paths"][path], ("paths", path, method)
        operation = item[method]
        places = [
            *(("paths", path, "parameters", index) for index, _ in enumerate(item.get("parameters", ()))),
            *((*at, "parameters", index) for index, _ in enumerate(operation.get("parameters", ()))),
        ]
        parameters = [self._resolved(place) for place in places]
        return Operation(
            id=operation["operationId"],
            method=method.upper(),
            path=path,
            mark=operation["x-mark"],
            template=Template.of(path, [one for one, _ in parameters]),
            path_parameters=self._parameters(parameters, "path"),
            query_parameters=self._parameters(parameters, "query"),
            request=self._body((*at, "requestBody")) if "requestBody" in operation else None,
            answers={status: self._body((*at, "responses", status)) for status in operation["responses"]},
        )

    def _parameters(
        self, parameters: list[tuple[Json, tuple[str | int, ...]]], where: str
    ) -> dict[str, Parameter]:
        return {
            one["name"]: Parameter(
                one["name"], one["schema"].get("type", "string"), self._validator((*place, "schema"))
            )
            for one, place in parameters
            if one["in"] == where
        }

    def _body(self, place: tuple[str | int, ...]) -> Body:
        body, place = self._resolved(place)
        content = body.get("content", {})
        return Body(
            body.get("x-body") != "optional",
            {media: self._validator((*place, "content", media, "schema")) for media in content},
        )

    def _resolved(self, place: tuple[str | int, ...]) -> tuple[Json, tuple[str | int, ...]]:
        """What is written at a place, or at the place it refers to, and that place."""
        value: Json = self.document
        for step in place:
            value = value[step]
        if "$ref" in value:
            return self._resolved(tuple(value["$ref"].removeprefix("#/").split("/")))
        return value, place

    def _validator(self, place: tuple[str | int, ...]) -> Draft202012Validator:
        steps = (str(step).replace("~", "~0").replace("/", "~1") for step in place)
        reference = f"{_URI}#/{quote('/'.join(steps), safe='/~')}"
        return Draft202012Validator({"$ref": reference}, registry=self.registry, validate_formats=True)
