"""A builder of bundles that makes the tokens for resources without an id."""

from collections.abc import Iterator

from clinia_async.calls import BatchWrite, ContainedIn, CreateRelationship, CreateResource
from clinia_async.models import Json, Meta, Ref
from clinia_async.serialization.exact_json import RawJson


class BundleBuilder:
    """Collects the writes of one bundle, for `session.bundle(source, builder)`.

    A resource that is created without an id gets a token of its own; the `Ref` that comes back stands
    for it in the ends of relationships, and its `id` in `reference` properties of the same bundle.
    """

    def __init__(self, source: str) -> None:
        self.source = source
        self._writes: list[BatchWrite] = []
        self._tokens = 0

    def create(
        self,
        type: str,
        *,
        data: Json | RawJson,
        id: str | None = None,
        meta: Meta | None = None,
        contained: ContainedIn | None = None,
    ) -> Ref:
        """Add a create; return the `Ref` of the resource, whose id is a token if none was given.

        Args:
            type: the key of the profile.
            data: the properties, as a JSON object.
            id: the id; without one the service makes it.
            meta: times and identifiers.
            contained: contained resources, by the key of the property that holds them.

        Raises:
            InvalidWrite: the write breaks a rule of the API.
        """
        known = self._token() if id is None else id
        self.add(CreateResource(self.source, type, known, data=data, meta=meta, contained=contained))
        return Ref(known, type)

    def relate(
        self, type: str, *, from_: Ref, to: Ref, data: Json | RawJson | None = None, meta: Meta | None = None
    ) -> CreateRelationship:
        """Add and return the create of a relationship; its ends may be `Ref`s that `create` returned.

        Args:
            type: the key of the relationship definition.
            from_: one end.
            to: the other end.
            data: the properties, as a JSON object.
            meta: times and identifiers.

        Raises:
            InvalidWrite: the write breaks a rule of the API.
        """
        write = CreateRelationship(self.source, type, from_, to, data, meta)
        self.add(write)
        return write

    def add(self, write: BatchWrite) -> None:
        """Add any other write that may be part of a bundle: an upsert or a delete."""
        self._writes.append(write)

    def _token(self) -> str:
        self._tokens += 1
        return f"@rootId{self._tokens}"

    def __iter__(self) -> Iterator[BatchWrite]:
        return iter(self._writes)

    def __len__(self) -> int:
        return len(self._writes)
