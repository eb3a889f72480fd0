"""Holds one exchange against the document and against the rules that it cannot say.

    contract = Contract.load()
    assert contract.check(exchange) == []

A fault names the part of the exchange, the place in it and the rule; it never tells a value.
"""

import re
from collections.abc import Iterable, Iterator
from functools import cache
from itertools import islice
from typing import Any, Self
from urllib.parse import parse_qs, unquote_to_bytes

from attrs import field, frozen
from jsonschema_rs import Draft202012Validator, ValidationError, ValidationErrorKind

from . import rules
from .document import Body, Compiler, Operation, Parameter, read
from .exchange import Exchange, Headers, media_types
from .rules import Facts, Pointer
from .strict_json import NotJson, decode

MOST = 20
"""Faults told of one body: one mistake in a large bulk is repeated in every operation."""

_ENCODED = re.compile(r"(?:[\w.~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2})*", re.ASCII)
_TOLD = re.compile(r"[\w.@-]{1,64}", re.ASCII)
_RECORDS = ("operations", "resourceOperations", "relationshipOperations")
_MISSING = object()


@frozen
class Contract:
    operations: dict[str, Operation] = field(repr=False)
    """By operation id."""
    _routes: dict[str, list[Operation]] = field(repr=False)
    """By method, the more specific paths first."""
    _error: Draft202012Validator = field(repr=False)

    @classmethod
    @cache
    def load(cls) -> Self:
        compiler = Compiler(read())
        operations = sorted(compiler.operations(), key=lambda operation: operation.template.rank)
        routes: dict[str, list[Operation]] = {}
        for operation in operations:
            routes.setdefault(operation.method, []).append(operation)
        return cls({operation.id: operation for operation in operations}, routes, compiler.schema("Error"))

    def operation(self, exchange: Exchange) -> Operation | None:
        """The one that the exchange is of."""
        return self._find(exchange)[0]

    def check(self, exchange: Exchange, *, records: bool = True) -> list[str]:
        """What is wrong with the exchange.

        The request is looked at only if it was answered as if it were in order, with a 2xx. A
        bulk answers so even if some of its operations are wrong, and tells which in receipts:
        where a test sends such ones on purpose, `records=False` leaves out what is wrong within
        the operations of bulks and bundles.
        """
        return list(self._check(exchange, records))

    def _find(self, exchange: Exchange) -> tuple[Operation | None, dict[str, str]]:
        parts = _parts(exchange.path)
        for operation in self._routes.get(exchange.method, ()) if parts is not None else ():
            if (values := operation.template.match(parts or [])) is not None:
                return operation, values
        return None, {}

    def _check(self, exchange: Exchange, records: bool) -> Iterator[str]:
        operation, path = self._find(exchange)
        if operation is None:
            yield from self._stray(exchange)
            return
        expected = operation.answer(exchange.status)
        if expected is None:
            yield f"status {exchange.status}: not listed for {operation.id}"
            return
        answer, answered = _body("answer", expected, exchange.answer_headers, exchange.answer_body)
        request, requested = (
            _body("request", operation.request, exchange.request_headers, exchange.request_body, records)
            if exchange.good
            else (_MISSING, [])
        )
        yield from answered
        query = _query(exchange.query)
        facts = Facts(
            operation.id,
            exchange.status,
            path,
            query or {},
            None if request is _MISSING else request,
            len(exchange.request_body),
            None if answer is _MISSING else answer,
        )
        yield from _ruled("answer", rules.ANSWER, facts)
        if exchange.good:
            yield from _line(exchange, operation, path, query)
            yield from requested
            yield from _ruled("request", rules.REQUEST, facts, records)

    def _stray(self, exchange: Exchange) -> Iterator[str]:
        """No operation has this method and path: it must have been refused."""
        if 400 <= exchange.status < 600:
            refusal = Body(True, {"application/json": self._error})
            yield from _body("answer", refusal, exchange.answer_headers, exchange.answer_body)[1]
        else:
            yield f"status {exchange.status}: no operation has this method and path"


# --------------------------------------------------------------------------- the request line


def _line(
    exchange: Exchange, operation: Operation, path: dict[str, str], query: dict[str, list[str]] | None
) -> Iterator[str]:
    if not _ENCODED.fullmatch(exchange.path):
        yield "request path: not percent-encoded"
    if not any(name == "x-clinia-api-key" and value for name, value in exchange.request_headers):
        yield "request headers: no X-Clinia-API-Key"
    for name, value in path.items():
        for _, rule in _errors(operation.path_parameters[name].validator, value):
            yield f"request path {{{name}}}: {rule}"
    if query is None:
        yield "request query: not percent-encoded UTF-8"
    for name, values in (query or {}).items():
        if (parameter := operation.query_parameters.get(name)) is None:
            yield f"request query {_reported(name)}: no such parameter"
        else:
            yield from _parameter(parameter, values)


def _parameter(parameter: Parameter, values: list[str]) -> Iterator[str]:
    if parameter.kind != "array" and len(values) > 1:
        yield f"request query {parameter.name}: more than once"
        return
    value = values if parameter.kind == "array" else _typed(parameter.kind, values[0])
    for _, rule in _errors(parameter.validator, value):
        yield f"request query {parameter.name}: {rule}"


def _typed(kind: str, text: str) -> object:
    """The text as a value of the kind, or as it is."""
    if kind == "boolean":
        return {"true": True, "false": False}.get(text, text)
    if kind == "integer" and re.fullmatch(r"-?[0-9]{1,18}", text):
        return int(text)
    return text


def _parts(path: str) -> list[str] | None:
    """The segments, decoded; None if that cannot be done."""
    if not path.startswith("/"):
        return None
    try:
        return [unquote_to_bytes(part).decode() for part in path[1:].split("/")]
    except ValueError:
        return None


def _query(query: str) -> dict[str, list[str]] | None:
    try:
        return parse_qs(query, keep_blank_values=True, errors="strict")
    except ValueError:
        return None


# ----------------------------------------------------------------------------------- bodies


def _body(
    part: str, expected: Body | None, headers: Headers, body: bytes, records: bool = True
) -> tuple[Any, list[str]]:
    """What the body holds, if that can be told, and what is wrong with it."""
    validators = expected.validators if expected else {}
    if not validators:
        return _MISSING, [f"{part} body: there must be none"] if body else []
    if not body:
        return _MISSING, [f"{part} body: missing"] if expected and expected.required else []
    faults = []
    media = media_types(headers)
    if len(media) != 1 or media[0] not in validators:
        faults.append(f"{part} headers: Content-Type is not {' or '.join(validators)}")
    try:
        value = decode(body)
    except NotJson as broken:
        return _MISSING, [*faults, f"{part} body: {broken}"]
    validator = validators.get(media[0] if media else "") or next(iter(validators.values()))
    return value, [*faults, *_faults(part, _errors(validator, value), records)]


def _ruled(part: str, all_: dict[str, rules.Rule], facts: Facts, records: bool = True) -> Iterator[str]:
    for name, rule in all_.items():
        yield from _faults(part, ((place, name) for place in rule(facts)), records)


def _faults(part: str, found: Iterator[tuple[Pointer, str]], records: bool) -> Iterator[str]:
    kept = (fault for fault in found if records or not (len(fault[0]) > 1 and fault[0][0] in _RECORDS))
    return (f"{part} body{_pointer(place)}: {rule}" for place, rule in islice(kept, MOST))


def _errors(validator: Draft202012Validator, value: Any) -> Iterator[tuple[Pointer, str]]:
    try:
        if not validator.is_valid(value):
            for error in validator.iter_errors(value):
                yield from _explained(error)
    except ValueError:  # what JSON can say and the validator cannot take
        yield (), "half a surrogate pair, or nested too deeply"


def _explained(error: ValidationError) -> Iterator[tuple[Pointer, str]]:
    place = tuple(error.instance_path)
    match error.kind:
        case ValidationErrorKind.OneOfNotValid(context) | ValidationErrorKind.AnyOf(context):
            for nearest in min(context, key=_distance, default=()):
                yield from _explained(nearest)
        case ValidationErrorKind.Required(name):
            yield (*place, name), "required"
        case ValidationErrorKind.AdditionalProperties(names):
            for name in names:
                yield (*place, name), "no such property"
        case kind:
            yield place, kind.name


def _distance(errors: list[ValidationError]) -> tuple[bool, bool, int]:
    """How far a value is from one of several shapes: another kind of thing is farthest."""
    kinds = [error.kind.name for error in errors]
    return "const" in kinds, "type" in kinds, len(kinds)


def _pointer(place: Iterable[str | int]) -> str:
    steps = "".join(f"/{_reported(str(step))}" for step in place)
    return f" {steps}" if steps else ""


def _reported(name: str) -> str:
    """A name of ours or of the service's; whatever else was sent as one is not told."""
    return name if _TOLD.fullmatch(name) else "?"
