"""One line of NDJSON, read strictly: the write that it asks for, or the error that says what is wrong.

    {"type": "practises-at", "from": {"id": "prac-1", "type": "practitioner"},
     "to": {"id": "org-9", "type": "organization"}, "data": {...}, "meta": {...}}
    {"type": "patient", "id": "pat-1", "data": {...}, "meta": {...}, "contained": {...}}

A line with neither `from` nor `to` that holds more than its type is a resource. `data` and `meta` of a
relationship, `meta` and `contained` of a resource and the `id` of a resource to create may be left out.
`action` (or `operation`) may say CREATE, UPSERT or DELETE; a line to delete holds nothing but what names
the record, and its ends need no types. The `id` of a relationship may be there too, and must then be
`{from.id}.{to.id}` as that line has them.

Whatever else a line holds is refused, for it would be lost; only `deadLetter`, which a previous run added,
is passed over.
"""

import base64
import contextlib
import re
from collections.abc import Mapping

from attrs import field, frozen

from clinia_async.calls import (
    BatchWrite,
    ContainedIn,
    CreateRelationship,
    CreateResource,
    DeleteRelationship,
    DeleteResource,
    UpsertRelationship,
    UpsertResource,
)
from clinia_async.calls.relationships import relationship_id
from clinia_async.calls.validation import check_end, check_key
from clinia_async.errors import ConfigError, DecodeError, InvalidWrite
from clinia_async.ingest.records.record import IdMapping
from clinia_async.models import Action, Meta, Ref
from clinia_async.models.identifiers import escape_dots
from clinia_async.serialization import converter, exact_json, strict_json
from clinia_async.serialization.exact_json import RawJson

ACTIONS = {str(action): action for action in Action}
_ACTION_FIELDS = ("action", "operation")
_LETTER = b'{"deadLetter":'
OPTIONS = "options"
"""The field of a dead letter that holds the options of its run."""
_NAME = re.compile(r"[\w.,<>]{1,100}")
"""The form of the name and of the value of an option."""
_ANY_TYPE = "-"
"""Stands for the type of an end that a line to delete leaves out: it is not sent."""
_NO_RESOURCE = frozenset({"type", "deadLetter", *_ACTION_FIELDS})

Fields = Mapping[str, tuple[object, RawJson]]


def known_action(action: object) -> Action:
    """Return the action of records that name none. Raises `ConfigError`."""
    known = Action(action) if isinstance(action, str) else None
    if known is None or known not in set(Action):
        raise ConfigError("the action must be CREATE, UPSERT or DELETE")
    return known


@frozen
class Rules:
    """`action` is for lines that name none. `map_id` is done to ids of resources and of both ends."""

    source: str
    action: Action = Action.CREATE
    map_id: IdMapping | None = None

    def options(self) -> Mapping[str, str]:
        """Return those that are not the usual ones, by the names of `read_records`."""
        found = {} if self.action == Action.CREATE else {"action": str(self.action)}
        if self.map_id is None:
            return found
        return found | {"map_id": "escape_dots" if self.map_id is escape_dots else name_of(self.map_id)}


def name_of(map_id: IdMapping) -> str:
    """Return the name of a function; of another object that is called, that of its class."""
    of = map_id if hasattr(map_id, "__qualname__") else type(map_id)
    return f"{of.__module__}.{of.__qualname__}"


def checked_rules(source: object, action: object, map_id: object) -> Rules:
    """Return the rules of lines that somebody asks for.

    Raises:
        ConfigError: there is no such action, or `map_id` is no function.
        InvalidWrite: the source is no key.
    """
    check_key(source, "$.source")  # type: ignore[arg-type]  # that is what is checked
    if map_id is not None and not callable(map_id):
        raise ConfigError("map_id must be a function, such as escape_dots, or None")
    return Rules(source, known_action(action), map_id)  # type: ignore[arg-type]


@frozen(repr=False)
class StrictLine:
    write: BatchWrite
    text: bytes
    """The line, without what a previous run wrote into it."""
    payload: bytes | None
    """What goes on the wire, in the line's own bytes; None for a delete, which has less to say."""


def read_strictly(text: bytes, rules: Rules) -> StrictLine:
    """Raises `DecodeError` for what is no JSON object, and `InvalidWrite` for what is no write."""
    fields = strict_json.fields(strict_json.decoded(text))
    if "deadLetter" in fields:
        return read_strictly(_original(fields) or b"", rules)
    action = _action(fields) or rules.action
    if "from" in fields or "to" in fields or fields.keys() <= _NO_RESOURCE:
        return _relationship(fields, text, action, rules)
    return _resource(fields, text, action, rules)


@frozen
class OpenedLetter:
    """The line that a dead letter carries, where it stood, and the options of its run that matter to it.

    `text` is None for a letter without a line, and so is the file for one that names none.
    """

    number: int
    text: bytes | None = field(repr=False)
    file: str | None = None
    options: Mapping[str, str] = field(factory=dict, repr=False)

    def missing(self, options: Mapping[str, str]) -> str | None:
        """Return those of its options that it is not read with, if any, as a text."""
        names = [
            f"{name}={value if _NAME.fullmatch(value) else '...'}"
            for name, value in self.options.items()
            if options.get(name) != value and _NAME.fullmatch(name)
        ]
        return " and ".join(names) or None


def opened_letter(number: int, text: bytes) -> OpenedLetter:
    """Return what a dead letter carries.

    Any other line is returned as it is. A letter that holds another one is opened to the innermost.

    Raises:
        DecodeError: the letter is no JSON.
        InvalidWrite: the letter is no JSON that can be sent.
    """
    found: bytes | None = text
    file: str | None = None
    options: Mapping[str, str] = {}
    while found is not None and found.lstrip().startswith(_LETTER):
        fields = strict_json.fields(strict_json.decoded(found))
        letter, _ = fields["deadLetter"]
        letter = letter if isinstance(letter, dict) else {}
        line, name, said = letter.get("line"), letter.get("file"), letter.get(OPTIONS)
        number = line if isinstance(line, int) and line > 0 else number
        file = name if isinstance(name, str) else file
        options = {key: str(value) for key, value in said.items()} if isinstance(said, dict) else options
        found = _original(fields)
    return OpenedLetter(number, found, file, options)


def _original(fields: Fields) -> bytes | None:
    """Return the line as it was before a previous run wrote its reason into it; None if it was not kept."""
    letter, _ = fields["deadLetter"]
    carried = letter if isinstance(letter, dict) else {}
    if isinstance(carried.get("base64"), str):
        with contextlib.suppress(ValueError):
            return base64.b64decode(carried["base64"], validate=True)
    if isinstance(carried.get("text"), str):
        return str(carried["text"]).encode()
    if fields.keys() == {"deadLetter"}:
        return None
    return _joined({name: raw for name, (_, raw) in fields.items() if name != "deadLetter"})


def _joined(fields: Mapping[str, RawJson]) -> bytes:
    return b"{" + b",".join(exact_json.dumps(name) + b":" + raw.text for name, raw in fields.items()) + b"}"


def _action(fields: Fields) -> Action | None:
    named = [name for name in _ACTION_FIELDS if name in fields]
    if len(named) > 1:
        raise InvalidWrite("$.operation", "must not stand beside action")
    for name in named:
        value, _ = fields[name]
        if not isinstance(value, str) or value not in ACTIONS:
            raise InvalidWrite(f"$.{name}", "must be CREATE, UPSERT or DELETE")
        return ACTIONS[value]
    return None


def _relationship(fields: Fields, text: bytes, action: Action, rules: Rules) -> StrictLine:
    _nothing_but(fields, "type, from, to, data, meta, id and action")
    type_ = _string(_required(fields, "type"), "$.type")
    ends = [_end(fields, name, action) for name in ("from", "to")]
    if "id" in fields and fields["id"][0] != relationship_id(*ends):
        raise InvalidWrite("$.id", "must be {from.id}.{to.id}, or be left out")
    from_, to = [_mapped(end, rules.map_id) for end in ends]
    if action == Action.DELETE:
        _nothing_of(fields, "data", "meta")
        check_end(from_, "$.from")
        check_end(to, "$.to")
        return StrictLine(DeleteRelationship(rules.source, type_, relationship_id(from_, to)), text, None)
    make = CreateRelationship if action == Action.CREATE else UpsertRelationship
    write = make(rules.source, type_, from_, to, _data(fields), _meta(fields))
    changed = {} if [from_, to] == ends else {"from": _end_json(from_), "to": _end_json(to)}
    return StrictLine(write, text, _payload(fields, text, changed, without=(*_ACTION_FIELDS, "id")))


def _resource(fields: Fields, text: bytes, action: Action, rules: Rules) -> StrictLine:
    _nothing_but(fields, "type, id, data, meta, contained and action")
    type_ = _string(_required(fields, "type"), "$.type")
    if action == Action.DELETE:
        _nothing_of(fields, "data", "meta", "contained")
        named = _mapped_id(_string(_required(fields, "id"), "$.id"), rules.map_id)
        return StrictLine(DeleteResource(rules.source, type_, named), text, None)
    _required(fields, "data")
    data, meta, contained = _data(fields) or RawJson(b"{}"), _meta(fields), _contained(fields)
    given = _string(fields["id"][0], "$.id") if "id" in fields else None
    id_ = None if given is None else _mapped_id(given, rules.map_id)
    write: BatchWrite
    if action == Action.CREATE:
        write = CreateResource(rules.source, type_, id_, data=data, meta=meta, contained=contained)
    elif id_ is None:
        raise InvalidWrite("$.id", "is required")
    else:
        write = UpsertResource(rules.source, type_, id_, data=data, meta=meta, contained=contained)
    changed = {} if id_ == given else {"id": RawJson(exact_json.dumps(id_))}
    return StrictLine(write, text, _payload(fields, text, changed, without=_ACTION_FIELDS))


def _payload(
    fields: Fields, text: bytes, changed: Mapping[str, RawJson], *, without: tuple[str, ...]
) -> bytes:
    if not changed and not any(name in fields for name in without):
        return text.strip()
    kept = {name: raw for name, (_, raw) in fields.items() if name not in without}
    return _joined({**kept, **changed})


def _nothing_but(fields: Fields, names: str) -> None:
    known = {*names.replace(" and ", ", ").split(", "), *_ACTION_FIELDS}
    if not fields.keys() <= known:
        raise InvalidWrite("$", f"must hold nothing but {names}")


def _nothing_of(fields: Fields, *names: str) -> None:
    for name in names:
        if name in fields:
            raise InvalidWrite(f"$.{name}", "must be left out of a DELETE")


def _required(fields: Fields, name: str) -> object:
    if name not in fields:
        raise InvalidWrite(f"$.{name}", "is required")
    return fields[name][0]


def _string(value: object, path: str) -> str:
    if not isinstance(value, str):
        raise InvalidWrite(path, "must be a string")
    return value


def _end(fields: Fields, name: str, action: Action) -> Ref:
    value = _required(fields, name)
    if not isinstance(value, dict):
        raise InvalidWrite(f"$.{name}", "must be an object")
    if action == Action.DELETE:
        value = {"type": _ANY_TYPE, **value}
    for part in ("id", "type"):
        if part not in value:
            raise InvalidWrite(f"$.{name}.{part}", "is required")
    if len(value) > len(("id", "type")):
        raise InvalidWrite(f"$.{name}", "must hold nothing but id and type")
    return Ref(_string(value["id"], f"$.{name}.id"), _string(value["type"], f"$.{name}.type"))


def _mapped(end: Ref, map_id: IdMapping | None) -> Ref:
    return end if map_id is None else Ref(_mapped_id(end.id, map_id), end.type)


def _mapped_id(id_: str, map_id: IdMapping | None) -> str:
    if map_id is None:
        return id_
    mapped = map_id(id_)
    if not isinstance(mapped, str):  # without an id it would be a create whose id the service makes
        raise InvalidWrite("$.id", "must be one for which map_id returns text")
    return mapped


def _end_json(end: Ref) -> RawJson:
    return RawJson(converter.encode(end))


def _data(fields: Fields) -> RawJson | None:
    """The data in its own bytes: no digit of a number changes on the way."""
    value, raw = fields.get("data", (None, None))
    if raw is not None and not isinstance(value, dict):
        raise InvalidWrite("$.data", "must be an object")
    return raw


def _meta(fields: Fields) -> Meta | None:
    value, raw = fields.get("meta", (None, None))
    if raw is None:
        return None
    try:
        return converter.structure(value, Meta)
    except DecodeError as error:
        path, expected = error.path.replace("$", "$.meta", 1), error.expected
    raise InvalidWrite(path, f"must be {expected}")


def _contained(fields: Fields) -> ContainedIn | None:
    value, raw = fields.get("contained", (None, None))
    if raw is None:
        return None
    try:
        return converter.structure(value, ContainedIn)  # type: ignore[type-abstract]
    except DecodeError:
        pass  # raised below: its path would quote keys of the line
    raise InvalidWrite("$.contained", "must be an object of lists of {type, id, data, contained}")
