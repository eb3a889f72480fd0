"""A FHIR Bundle: which of its entries count, which resources they are, and where their references lead.

* Of a history only the last version of each resource counts; `fhir_history` says which one that is. One that
  was deleted last is not there at all: neither it nor what leads to it is loaded, and it is counted.
* Of a transaction or a batch, entries to POST and PUT count. What a PATCH holds is no resource, and is
  passed over; what is to be read or deleted is not there. What a search says of itself is no resource.
* Entries with different `fullUrl`s are different resources. Where they have one id all the same, which only
  URNs allow, each is a bad record, for two would become one; what leads to them is counted.
* A reference is looked up among the `fullUrl`s of its own Bundle, then of those around it. A relative one
  means the server of its entry's `fullUrl`. A conditional one, `Type?identifier=system|value`, leads to
  the resource of the Bundle that alone has that identifier.
"""

import re
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from typing import TypeVar
from urllib.parse import parse_qsl

from attrs import define, field, frozen

from clinia_async.errors import DecodeError
from clinia_async.ingest.readers.fhir_content import DELETED, PassedOver
from clinia_async.ingest.readers.fhir_history import Histories, Standing
from clinia_async.ingest.readers.fhir_identity import Identity, Servers, parse_address
from clinia_async.ingest.readers.fhir_resources import (
    Object,
    Resource,
    as_object,
    resource_id,
    resource_type,
    resources_in,
)
from clinia_async.serialization.exact_json import loads

_REQUESTS = frozenset({"transaction", "batch"})
_CHANGES = frozenset({"DELETE", "PATCH"})
_ABSENT = frozenset({"DELETE", "GET", "HEAD"})
_METHODS = frozenset({"POST", "PUT", None}) | _CHANGES | _ABSENT
_NOT_KNOWN = {
    Standing.UNORDERED: "a time or a number of the version: one in another Bundle may be older or newer",
    Standing.LATE: "no later version than what was read before: give the input by the names of its files",
}
"""What is expected of an entry whose resource cannot be loaded."""
_OF_BUNDLE = "from or to a Bundle, which is not loaded itself"
_SEVERAL = "its fullUrl stands for several resources"
_SHARED = "to one of several resources with the same id"
_OWN_ID = "an id of its own: another entry of another fullUrl has the same one"
_OTHER = "#other"
"""Behind a `fullUrl` in a letter: it stands for that of another entry with the same id."""
_K = TypeVar("_K")
_ANY = "Basic"
"""The type of a resource whose type does not matter."""
_STRING = re.compile(rb'"([^"\\]*+(?:\\.?[^"\\]*+)*)(?:"|\Z)', re.DOTALL)
_FULL_URL = re.compile(rb'"fullUrl"\s*:\s*"([^"\\]{1,2000})"')
_MOST_BASES = 8
"""Servers of one entry that relative references in it are tried at, so that many take no long time."""
_LONGEST_URL = 2000
"""Bytes of a reference that something stands in a letter for."""
_LARGEST_QUERY = 4096
"""Bytes of a conditional reference."""


@define
class Bundle:
    """What is known of a Bundle, and of those that it stands in.

    First `index` takes each entry, then `resources` gives what each holds.
    """

    servers: Servers
    histories: Histories
    outer: "Bundle | None" = None
    base: str | None = None
    """The server of what has no `fullUrl` of its own."""
    type: str | None = None
    _targets: dict[str, Identity | None] = field(factory=dict, repr=False)
    """What each `fullUrl` stands for; None for one that stands for several."""
    _identifiers: dict[tuple[str, str | None, str], Identity | None] = field(factory=dict, repr=False)
    _shared: frozenset[Identity] | None = field(default=None, init=False, repr=False)
    """What several `fullUrl`s stand for, once all entries are indexed."""
    _number: int = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._number = self.histories.new_bundle()

    def index(self, entry: object) -> None:
        """Take in which resource `entry` is; one that is wrong is passed over here."""
        method = _method(entry) if isinstance(entry, dict) else "PATCH"
        if method == "DELETE":
            address = parse_address(_full_url(entry) or "")  # type: ignore[arg-type]
            self.servers.see_base(None if address is None else address[0])
        if method in _CHANGES or not isinstance(entry, dict):
            return
        resource, url = entry.get("resource"), _full_url(entry)
        try:
            type_, id_ = resource_type(resource, "$"), resource_id(resource, "$")
        except DecodeError:
            return
        self.servers.see_base(_base(url, type_, id_))
        identity = self._identity(entry, type_, id_)
        if identity is None:
            return
        if url is not None:
            _add(self._targets, url, identity)
        for key in _identifiers(type_, as_object(resource, "$").get("identifier")):
            _add(self._identifiers, key, identity)

    def resources(self, entry: object, path: str, passed_over: PassedOver) -> Iterator["Found"]:
        """Yield the resources that `entry` holds, and what is wrong with one that is none."""
        try:
            yield from self._resources(as_object(entry, path), path, passed_over)
        except DecodeError as error:
            yield Wrong(error.path, error.expected, entry, self)

    def whole(self, value: object, path: str, passed_over: PassedOver) -> Iterator["Found"]:
        """Yield the resource `value` and those in it, and what is wrong with one that is none."""
        try:
            for each in resources_in(value, path):
                yield Placed(each, self._identity_of(each, self.base), self.base, self)
                yield from self._inside(each, self.base, passed_over)
        except DecodeError as error:
            yield Wrong(error.path, error.expected, {"resource": value}, self)

    def listed(self, values: list[object], path: str, passed_over: PassedOver) -> Iterator["Found"]:
        """Yield what `whole` does of each of a list of resources."""
        for value in values:
            self.index({"resource": value})
        for index, value in enumerate(values):
            yield from self.whole(value, f"{path}[{index}]", passed_over)

    def _resources(self, entry: Object, path: str, passed_over: PassedOver) -> Iterator["Found"]:
        resource, method = entry.get("resource"), _method(entry)
        if self.type in _REQUESTS:
            yield from self._change(method, path, entry)
        _count_beside(entry, path, passed_over)
        if self.type == "history" and method == "DELETE":
            yield from self._deleted(entry, path, passed_over)
        if resource is None and "resource" not in entry:
            return
        path = f"{path}.resource"
        type_, id_ = self._type_and_id(entry, path)
        identity = self._identity(entry, type_, id_)
        reason = self._reason_to_pass(method, entry)
        if self.type == "history" and reason is None and identity is not None:
            standing = self.histories.see(identity, entry, self._number, is_deleted=False)
            if standing in _NOT_KNOWN:
                yield Wrong(f"{path}.meta.lastUpdated", _NOT_KNOWN[standing], entry, self)
                return
            reason = None if standing is Standing.LAST else "in an earlier version"
        if reason is None and self._is_shared(identity):
            raise DecodeError(f"{path}.id", _OWN_ID)
        base = _base(_full_url(entry), type_, id_) or self.base
        for number, each in enumerate(resources_in(resource, path)):
            if reason is not None:
                if each.references:
                    passed_over[reason] += len(each.references)
                continue
            own = identity if number == 0 else self._identity_of(each, base)
            yield Placed(each, own, base, self)
            yield from self._inside(each, base, passed_over)

    def _change(self, method: str | None, path: str, entry: Object) -> Iterator["Found"]:
        if method in _CHANGES:
            yield Change(method, self._named(entry), path, entry, self)
        elif method not in _METHODS:
            raise DecodeError(f"{path}.request.method", "POST, PUT, DELETE, PATCH, GET or HEAD")
        elif method == "PUT" and _is_put_elsewhere(entry):
            raise DecodeError(f"{path}.request.url", "the type and the id of the resource")

    def _type_and_id(self, entry: Object, path: str) -> tuple[str, str | None]:
        try:
            return resource_type(entry["resource"], path), resource_id(entry["resource"], path)
        except DecodeError:
            self.note_unreadable(entry)
            raise

    def note_unreadable(self, entry: object) -> None:
        """Take an entry of a history that cannot be loaded for a version: no earlier one is the last."""
        if self.type != "history" or not isinstance(entry, dict):
            return
        identity = self._named(entry)
        if identity is not None:
            self.histories.see(identity, entry, self._number, is_deleted=False)

    def _inside(self, resource: Resource, base: str | None, passed_over: PassedOver) -> Iterator["Found"]:
        """Yield what the entries of `resource` hold, if it is a Bundle."""
        if resource.type == "Bundle":
            yield from placed_in_bundle(
                resource, Bundle(self.servers, self.histories, self, base), passed_over
            )

    def _reason_to_pass(self, method: str | None, entry: Object) -> str | None:
        is_history, search = self.type == "history", entry.get("search")
        if isinstance(search, dict) and search.get("mode") == "outcome":
            return "in the outcome of a search"
        if self.type in _REQUESTS and method == "PATCH":
            return "in what a PATCH changes"
        if is_history and method == "DELETE":
            return "in a deleted resource"
        if (is_history or self.type in _REQUESTS) and method in _ABSENT:
            return "in an entry that stores nothing"
        return None

    def _deleted(self, entry: Object, path: str, passed_over: PassedOver) -> Iterator["Found"]:
        """Count a resource that was deleted last; yield what is wrong with the entry that says so."""
        identity = self._named(entry)
        if identity is None:
            yield Wrong(f"{path}.request.url", "Type/id, of what was deleted", entry, self)
            return
        standing = self.histories.see(identity, entry, self._number, is_deleted=True)
        if standing in _NOT_KNOWN:
            yield Wrong(f"{path}.response.lastModified", _NOT_KNOWN[standing], entry, self)
        elif standing is Standing.LAST:
            passed_over[DELETED] += 1

    def _named(self, entry: Object) -> Identity | None:
        """Return what the request of an entry names, by its URL or the `fullUrl` of the entry."""
        for address in (parse_address(_full_url(entry) or ""), _requested(entry)):
            if address is not None:
                base, type_, id_ = address
                return type_, self.servers.record_id(base or self.base, id_)
        return None

    def _identity(self, entry: Object, type_: str, id_: str | None) -> Identity | None:
        """Return what the resource of `entry` is: by its id, its `fullUrl`, or what it is put to."""
        url = _full_url(entry)
        base = _base(url, type_, id_) or self.base
        if id_ is None:
            put = _requested(entry) if _method(entry) == "PUT" else None
            address = put or (None if url is None else parse_address(url))
            id_ = address[2] if address is not None else _end_of(url or "")
        return None if id_ is None else (type_, self.servers.record_id(base, id_))

    def _is_shared(self, identity: Identity | None) -> bool:
        """Return whether entries of several `fullUrl`s have the identity: URNs say nothing of the id."""
        if self._shared is None:
            self._shared = self._find_shared()
        return identity in self._shared

    def _find_shared(self) -> frozenset[Identity]:
        if len({*self._targets.values()}) == len(self._targets):
            return frozenset()
        urls: dict[Identity | None, str] = {None: ""}
        return frozenset(
            identity
            for url, identity in self._targets.items()
            if urls.setdefault(identity, own := self._own_url(url, identity)) != own and identity is not None
        )

    def _own_url(self, url: str, identity: Identity | None) -> str:
        """Return the URL, or nothing where it is the address of the resource, however it is written."""
        address = parse_address(url)
        if identity is None or address is None:
            return url
        base, type_, id_ = address
        return "" if (type_, self.servers.record_id(base, id_)) == identity else url

    def _identity_of(self, resource: Resource, base: str | None) -> Identity | None:
        return None if resource.id is None else (resource.type, self.servers.record_id(base, resource.id))

    def target(self, reference: str, base: str | None) -> Identity | str:
        """Return what `reference` leads to from a resource of the server `base`, or why that is not known."""
        found = self._resolved(reference, base)
        if isinstance(found, str):
            return found
        if self._is_deleted(found):
            return "to a deleted resource"
        return _SHARED if any(bundle._is_shared(found) for bundle in self._around()) else found

    def _around(self) -> Iterator["Bundle"]:
        """Yield this Bundle and those that it stands in, from the inside."""
        bundle: Bundle | None = self
        while bundle is not None:
            yield bundle
            bundle = bundle.outer

    def _is_deleted(self, identity: Identity) -> bool:
        """Return whether a history here or around says that the resource is gone."""
        in_history = any(bundle.type == "history" for bundle in self._around())
        return in_history and self.histories.is_deleted(identity)

    def _resolved(self, reference: str, base: str | None) -> Identity | str:
        found = self._found(reference, base)
        if found is None:
            return "conditional: several have the identifier" if "?" in reference else _SEVERAL
        return found or self._target_elsewhere(reference, base)

    def _found(self, reference: str, base: str | None) -> Identity | str | None:
        """Return what a reference leads to here or around; None for several, and no text for nothing."""
        url, key = _url_of(reference, base), _query(reference)
        for bundle in self._around():
            found = bundle._identifiers.get(key, "") if "?" in reference else bundle._targets.get(url, "")
            if found is None or found:
                return found
        return ""

    def _target_elsewhere(self, reference: str, base: str | None) -> Identity | str:
        if "?" in reference:
            return "conditional"
        address = parse_address(reference)
        if address is None:
            return "a URN that is not in the Bundle" if reference.startswith("urn:") else "no Type/id"
        own, type_, id_ = address
        self.servers.see_reference(own)
        return type_, self.servers.record_id(own or base, id_)

    def stubs(self, text: bytes) -> Iterator["Stub"]:
        """Yield what has to stand beside an entry, so that its references lead where they lead here."""
        urls = (url.decode(errors="replace") for url in _FULL_URL.findall(text))
        addresses = (address for address in map(parse_address, urls) if address is not None)
        bases = [*islice(dict.fromkeys([None, self.base, *(base for base, _, _ in addresses)]), _MOST_BASES)]
        for reference in _texts_in(text):
            for base in bases:
                found = self._found(reference, base)
                if "?" not in reference:
                    yield from self._stubs_of_url(reference, base, found)
                elif found != "":
                    yield from _stubs_of_query(reference, found)

    def _stubs_of_url(
        self, reference: str, base: str | None, found: Identity | str | None
    ) -> Iterator["Stub"]:
        url, address = _url_of(reference, base), parse_address(reference)
        usual: Identity | None = None
        if address is not None:
            usual = address[1], self.servers.record_id(address[0] or base, address[2])
        identity = found if isinstance(found, tuple) else usual
        if found is None or (identity is not None and self._is_deleted(identity)):
            yield Stub(url, (_ANY, "one"))
            yield Stub(url, (_ANY, "other"))
        elif identity is not None:
            is_shared = any(bundle._is_shared(identity) for bundle in self._around())
            if is_shared or identity != usual:
                yield Stub(url, identity)
            if is_shared:
                yield Stub(url + _OTHER, identity)


@frozen
class Stub:
    """Stands in a letter for a resource that a reference leads to, by its `fullUrl` or an identifier.

    Two with one `fullUrl` or identifier say that the reference leads to none.
    """

    url: str | None = field(repr=False)
    identity: Identity = field(repr=False)
    identifier: tuple[str | None, str] | None = field(default=None, repr=False)
    """System and value."""


@define
class Placed:
    """A resource with its identity and the place that its references are looked up from."""

    resource: Resource
    identity: Identity | None = field(repr=False)
    base: str | None
    bundle: Bundle = field(repr=False)

    def see_servers(self) -> None:
        """Take in the servers that references name, as `targets` does."""
        if self.bundle.servers.home is None:
            for _ in self.targets(PassedOver()):
                pass

    def targets(
        self, passed_over: PassedOver, *, with_bundles: bool = True
    ) -> Iterator[tuple[tuple[str, ...], Identity]]:
        """Yield the path of each reference that leads to a record, with that record, each pair once.

        Where resources are loaded, Bundles are not, so references from and to them are left out there.
        """
        seen: set[tuple[tuple[str, ...], Identity]] = set()
        for path, reference in self.resource.references:
            target = self._target(reference)
            if not (with_bundles or isinstance(target, str)) and "Bundle" in (self.resource.type, target[0]):
                target = _OF_BUNDLE
            if isinstance(target, str):
                passed_over[target] += 1
            elif (path, target) not in seen:
                seen.add((path, target))
                yield path, target

    def _target(self, reference: str | None) -> Identity | str:
        if reference is None:
            return "logical: an identifier alone"
        if reference.startswith("#"):
            return "contained in the resource itself"
        return self.bundle.target(reference, self.base)


@frozen
class Wrong:
    """What is no resource: where it stands and what is expected there; `entry` holds it."""

    path: str
    expected: str
    entry: object = field(repr=False)
    bundle: Bundle = field(repr=False)


@frozen
class Change:
    """A DELETE or a PATCH of a transaction or a batch; `identity` is None for a conditional one."""

    method: str
    identity: Identity | None = field(repr=False)
    path: str
    entry: object = field(repr=False)
    bundle: Bundle = field(repr=False)


Found = Placed | Wrong | Change


def placed_in_bundle(resource: Resource, bundle: Bundle, passed_over: PassedOver) -> Iterator[Found]:
    """Yield what the entries of a Bundle that is held in memory hold."""
    type_, entries = resource.value.get("type"), resource.value.get("entry", [])
    bundle.type = type_ if isinstance(type_, str) else None
    if not isinstance(entries, list):
        yield Wrong(f"{resource.path}.entry", "a list", {"resource": resource.value}, bundle)
        return
    for entry in entries:
        bundle.index(entry)
    for index, entry in enumerate(entries):
        yield from bundle.resources(entry, f"{resource.path}.entry[{index}]", passed_over)


def _count_beside(entry: Object, path: str, passed_over: PassedOver) -> None:
    """Count the references in an entry that are not in its resource, such as those of its outcome."""
    beside = {name: each for name, each in entry.items() if name != "resource" and _may_refer(each)}
    if not beside:
        return
    with suppress(DecodeError):
        for each in resources_in({"resourceType": "Bundle", **beside}, path):
            if each.references:
                passed_over["in an entry, beside its resource"] += len(each.references)


def _may_refer(value: object) -> bool:
    """Return whether a value may hold references: a request or a response that holds texts alone does not."""
    if isinstance(value, dict):
        return not all(isinstance(inner, str) for inner in value.values())
    return isinstance(value, list)


def _stubs_of_query(reference: str, found: Identity | str | None) -> Iterator[Stub]:
    type_, system, value = _query(reference)
    for identity in [found] if isinstance(found, tuple) else [(type_, "one"), (type_, "other")]:
        yield Stub(None, identity, (system or None, value))


def _texts_in(text: bytes) -> Iterator[str]:
    """Yield the strings in JSON, which may be damaged, that may be references, each once."""
    for quoted in dict.fromkeys(_STRING.findall(text)):
        if len(quoted) > _LONGEST_URL or not any(mark in quoted for mark in b"/:?"):
            continue
        with suppress(DecodeError):
            yield str(loads(b'"%b"' % quoted)) if b"\\" in quoted else quoted.decode(errors="replace")


def _url_of(reference: str, base: str | None) -> str:
    """Return the `fullUrl` that a reference leads to: at the server `base`, if it is relative."""
    url = _same_urn(reference).partition("/_history/")[0]
    address = parse_address(reference)
    return f"{base}/{url}" if address is not None and address[0] is None and base is not None else url


def _add(table: dict[_K, Identity | None], key: _K, identity: Identity) -> None:
    table[key] = identity if table.get(key, identity) == identity else None


def _full_url(entry: Object) -> str | None:
    url = entry.get("fullUrl")
    return _same_urn(url) if isinstance(url, str) else None


def _same_urn(text: str) -> str:
    """Return a UUID in lower case: it is one, whatever its case."""
    return text.lower() if text[:9].lower() == "urn:uuid:" else text


def _method(entry: Object) -> str | None:
    request = entry.get("request")
    method = request.get("method") if isinstance(request, dict) else None
    return None if method is None else str(method).upper()


def _requested(entry: Object) -> tuple[str | None, str, str] | None:
    """Return the address that the request of an entry names."""
    request = entry.get("request")
    url = request.get("url") if isinstance(request, dict) else None
    return parse_address(url.removeprefix("/")) if isinstance(url, str) else None


def _is_put_elsewhere(entry: Object) -> bool:
    """Return whether what is PUT says to be another resource than the one whose place it is put to."""
    address, resource = _requested(entry), entry.get("resource")
    if address is None or not isinstance(resource, dict):
        return False
    said = (resource.get("resourceType"), resource.get("id") or address[2])
    return all(isinstance(each, str) for each in said) and said != address[1:]


def _end_of(url: str) -> str | None:
    """Return what the URL of a resource ends with, as a URN does."""
    return url.rpartition("/")[2].rpartition(":")[2] or None


def _base(url: str | None, type_: str, id_: str | None) -> str | None:
    """Return the server that a `fullUrl` names, if it is the address of the resource itself."""
    address = None if url is None else parse_address(url)
    if address is None or address[1] != type_ or id_ not in {None, address[2]}:
        return None
    return address[0]


def _identifiers(type_: str, value: object) -> Iterator[tuple[str, str | None, str]]:
    for item in value if isinstance(value, list) else [value]:
        if isinstance(item, dict) and isinstance(item.get("value"), str):
            system = item.get("system")
            yield type_, system if isinstance(system, str) else "", item["value"]
            yield type_, None, item["value"]


def _query(reference: str) -> tuple[str, str | None, str]:
    """Return the key of the identifier that a conditional reference asks for, if it asks for one."""
    type_, _, query = reference.partition("?")
    try:
        pairs = parse_qsl(query[:_LARGEST_QUERY], keep_blank_values=True, max_num_fields=1)
    except ValueError:
        pairs = []
    if len(pairs) != 1 or pairs[0][0] != "identifier" or len(query) > _LARGEST_QUERY:
        return "", None, ""
    system, bar, value = pairs[0][1].rpartition("|")
    return type_, system if bar else None, value
