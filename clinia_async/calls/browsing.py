"""Browsing a source: the only way to list its records."""

from collections.abc import Sequence
from typing import ClassVar

from attrs import field, frozen

from clinia_async.calls.call import Host, Request, RetrySafety, path_of
from clinia_async.calls.validation import check_key, validated_by
from clinia_async.errors import InvalidWrite
from clinia_async.models import BrowsePage, Json
from clinia_async.models.value import EqualByFields, checked
from clinia_async.serialization import converter

LARGEST_PAGE = 1000


@frozen(eq=False, repr=False, field_transformer=checked)
class Browse(EqualByFields):
    """Get one page of the records of collections.

    A cursor is valid for five minutes, renewed by each page; then the service answers 404. `per_page` is 1
    to 1000. May be retried.

    https://docs.clinia.com/api-reference/browse/browse-accross-resource-or-relationship-collections-in-the-registry

    The API takes a list of collection keys, and older pages say one collection a session. `filter` is
    passed on as it is.

    Raises:
        InvalidWrite: a collection key or `per_page` breaks a rule of the API.
    """

    retry_safety = RetrySafety.IDEMPOTENT
    route: ClassVar[str] = "/sources/{source}/v1/browse"
    source: str = field(validator=validated_by(check_key, "$.source"))
    collection_keys: Sequence[str] = field()
    cursor: str | None = field(default=None, repr=False)
    per_page: int = field(default=100, metadata={"path": "$.params.perPage"})
    filter: Json | None = field(default=None, repr=False, metadata={"path": "$.params.filter"})
    include: Sequence[str] | None = field(default=None, metadata={"path": "$.params.properties.include"})
    exclude: Sequence[str] | None = field(default=None, metadata={"path": "$.params.properties.exclude"})

    def __attrs_post_init__(self) -> None:
        if not self.collection_keys:
            raise InvalidWrite("$.collectionKeys", "must not be empty")
        for index, key in enumerate(self.collection_keys):
            check_key(key, f"$.collectionKeys[{index}]")
        if not 1 <= self.per_page <= LARGEST_PAGE:
            raise InvalidWrite("$.params.perPage", f"must be 1 to {LARGEST_PAGE}")

    def request(self) -> Request:
        properties = {"include": self.include, "exclude": self.exclude}
        chosen = {name: list(paths) for name, paths in properties.items() if paths is not None}
        params: dict[str, object] = {"perPage": self.per_page}
        optional = {"cursor": self.cursor, "filter": self.filter, "properties": chosen or None}
        params |= {name: value for name, value in optional.items() if value is not None}
        body = converter.encode({"collectionKeys": list(self.collection_keys), "params": params})
        path = path_of(self.route, source=self.source)
        return Request("POST", Host.REGISTRY, self.route, path, body=body, is_read=True)

    def decode_response(self, body: bytes) -> BrowsePage:
        return converter.decode(body, BrowsePage)
