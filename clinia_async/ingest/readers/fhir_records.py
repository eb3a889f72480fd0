"""FHIR resources and their references as lines of NDJSON, and so as records."""

import hashlib
import re
from collections.abc import Iterable, Sequence

from attrs import define, field

from clinia_async.ingest.readers.fhir_bundle import (
    Bundle,
    Change,
    Found,
    Placed,
    Stub,
    Wrong,
)
from clinia_async.ingest.readers.fhir_content import CHANGE_REASONS, FhirContent, PassedOver
from clinia_async.ingest.readers.fhir_copies import Copies
from clinia_async.ingest.readers.fhir_identity import Identity, fhir_address
from clinia_async.ingest.readers.ndjson import LineReader
from clinia_async.ingest.records.record import BadRecord, Item
from clinia_async.ingest.records.record_batch import RecordBatch
from clinia_async.serialization.exact_json import dumps
from clinia_async.serialization.strict_json import loads_strictly, loads_verbatim

LARGEST_LETTER = 4 * 1024 * 1024
"""Bytes of a wrong entry that are kept for its dead letter."""
_NOT_IN_KEYS = re.compile(r"[^A-Za-z0-9_-]")
_LONGEST_KEY = 62
_HOME = "Basic"
_CONTAINERS = frozenset({"Bundle", "Parameters"})
"""Carry resources, and are none of a server unless they have an id."""
_BUNDLE = b'{"resourceType":"Bundle","type":"%b","entry":[%b]}'
_LETTER = "letter"
"""The id of a Bundle in a letter that only says which server is around."""
_NAMES = frozenset({"resourceType", "id"})
"""Fields of a resource that say which one it is."""

Block = list[Item | RecordBatch]


@define
class RecordMaker:
    """Makes the records of what was found in a line or in entries."""

    lines: LineReader
    passed_over: PassedOver
    content: FhirContent = FhirContent.REFERENCES
    """Never both: each pass has its own."""
    copies: Copies | None = None
    names_wrong: bool = True
    """Whether what is no resource is a bad record; not in a pass after one that named it."""
    follows_resources: bool = False
    """Whether a pass before this one loaded the resources, which Bundles are not."""
    _parsed: tuple[bytes, object] = field(default=(b"", None), init=False, repr=False)
    """The text that was parsed last, and its value."""

    def make(self, found: Iterable[tuple[int, Found]]) -> Block:
        """Return the records of `found`, each of which comes with its number."""
        wrong: Block = []
        numbers: list[int] = []
        texts: list[bytes] = []
        make = self._resource if self.content is FhirContent.RESOURCES else self._references
        for number, each in found:
            if isinstance(each, Wrong):
                if not self.names_wrong:
                    continue
                text = letter_text(self._as_read(each.entry), each.bundle)
                wrong.append(BadRecord(number, each.path, f"expected {each.expected}", text))
                continue
            if isinstance(each, Change):
                if self.content is FhirContent.RESOURCES:
                    wrong += self._change(number, each)
                elif self.names_wrong:
                    self.passed_over[CHANGE_REASONS[each.method]] += 1
                continue
            made = make(each)
            if made is None:
                wrong.append(self._without_id(number, each))
            else:
                texts += made
                numbers += [number] * len(made)
        return [*wrong, *self.lines.read_all(numbers, texts)]

    def _without_id(self, number: int, placed: Placed) -> BadRecord:
        text = letter_text(self._as_read({"resource": placed.resource.value}), placed.bundle)
        path = f"{placed.resource.path}.id"
        return BadRecord(number, path, "is required where a resource refers to another", text)

    def _change(self, number: int, change: Change) -> Block:
        """Return the record of a DELETE, or what is wrong with what cannot be carried out."""
        if change.method == "DELETE" and change.identity is not None:
            type_, id_ = change.identity
            line = {"action": "DELETE", "type": type_, "id": id_}
            return [self.lines.read(number, dumps(line))]
        rule = "must be a DELETE of Type/id, a POST or a PUT"
        text = letter_text(self._as_read(change.entry), change.bundle)
        return [BadRecord(number, f"{change.path}.request", rule, text)]

    def parse(self, text: bytes) -> object:
        """Parse a line or an entry; where resources are stored, numbers keep every digit.

        Raises `DecodeError`.
        """
        value = loads_strictly(text)
        if self.content is not FhirContent.REFERENCES:
            return loads_verbatim(text)
        self._parsed = text, value
        return value

    def _as_read(self, value: object) -> bytes:
        """Return the JSON of a part of what was parsed last, with its numbers as they stand in the text."""
        text, whole = self._parsed
        if whole is not None:
            value = _counterpart(value, whole, loads_verbatim(text))
        return dumps(value)

    def _references(self, placed: Placed) -> Sequence[bytes] | None:
        targets = list(placed.targets(self.passed_over, with_bundles=not self.follows_resources))
        identity = placed.identity
        if identity is None and targets and placed.resource.type in _CONTAINERS:
            self.passed_over[f"in {placed.resource.type} without an id"] += len(targets)
            return ()
        if identity is None:
            return None if targets else ()
        if targets and self.copies is not None:
            self.copies.add(identity, targets)
        return [_relationship(identity, path, target) for path, target in targets]

    def _resource(self, placed: Placed) -> Sequence[bytes] | None:
        placed.see_servers()  # so that ids are those that the references have
        if placed.resource.type == "Bundle" or (
            placed.identity is None and placed.resource.type in _CONTAINERS
        ):
            return ()
        data = {name: value for name, value in placed.resource.value.items() if name not in _NAMES}
        if placed.identity is None:  # the service makes one, as a server of FHIR does for a POST
            return [dumps({"type": placed.resource.type, "data": data})]
        type_, id_ = placed.identity
        return [dumps({"type": type_, "id": id_, "data": data})]


def _counterpart(value: object, whole: object, other: object) -> object:
    """Return what stands in `other` where `value`, or what it holds, stands in `whole`, an equal tree."""
    if isinstance(value, dict) and value.keys() == {"resource"} and whole is not value:
        value = value["resource"]
        return {"resource": _counterpart(value, whole, other)}
    pending = [(whole, other)]
    while pending:
        one, its_other = pending.pop()
        if one is value:
            return its_other
        if isinstance(one, dict) and isinstance(its_other, dict):
            pending += zip(one.values(), its_other.values(), strict=True)
        elif isinstance(one, list) and isinstance(its_other, list):
            pending += zip(one, its_other, strict=True)
    return value


def relationship_type(from_type: str, path: Sequence[str], to_type: str) -> str:
    """Return the type of the relationship that a reference at `path` is."""
    return short_key("-".join((from_type, *path, to_type)))


def short_key(text: str) -> str:
    """Return a key that is made of `text`: cut, and with a hash, where that is too long."""
    key = _NOT_IN_KEYS.sub("-", text)
    if len(key) > _LONGEST_KEY:
        digest = hashlib.sha256(text.encode()).hexdigest()[:8]
        key = f"{key[: _LONGEST_KEY - 9]}-{digest}"
    return key


def _relationship(from_: Identity, path: Sequence[str], to: Identity) -> bytes:
    ends = {"from": from_, "to": to}
    return dumps(
        {
            "type": relationship_type(from_[0], path, to[0]),
            **{name: {"id": id_, "type": type_} for name, (type_, id_) in ends.items()},
        }
    )


def letter_text(entry: bytes, bundle: Bundle) -> bytes | None:
    """Return an entry as a Bundle that means the same by itself; None if it is too large to keep.

    Beside the entry stand what its references lead to, as entries of requests to read, which store
    nothing. The first of them names the home server.
    """
    if len(entry) > LARGEST_LETTER:
        return None
    home, base = bundle.servers.home, bundle.base
    outer = [] if home is None else [_stub(Stub(f"{home}/{_HOME}/home", (_HOME, "home")))]
    inner: list[bytes] = []
    for stub in dict.fromkeys(bundle.stubs(entry)):
        is_inner = base is not None and fhir_address(stub.identity[1])[0] == base
        (inner if is_inner else outer).append(_stub(stub))
    kind = b"history" if bundle.type == "history" else b"batch"
    if base is None:
        return _BUNDLE % (kind, b",".join([*outer, entry]))
    # what has no server of its own in it is of the one around it
    around = b'{"fullUrl":%b,"resource":%b}' % (
        dumps(f"{base}/Bundle/{_LETTER}"),
        _BUNDLE % (kind, b",".join([*inner, entry])),
    )
    return _BUNDLE % (b"batch", b",".join([*outer, around]))


def _stub(stub: Stub) -> bytes:
    type_, record_id = stub.identity
    base, id_ = fhir_address(record_id)
    url = stub.url if stub.url is not None or base is None else f"{base}/{type_}/{id_}"
    resource: dict[str, object] = {"resourceType": type_, "id": id_}
    if stub.identifier is not None:
        system, value = stub.identifier
        resource["identifier"] = [{"value": value} if system is None else {"system": system, "value": value}]
    request = {"method": "GET", "url": type_}
    return dumps({**({} if url is None else {"fullUrl": url}), "request": request, "resource": resource})
