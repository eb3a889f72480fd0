"""The calls of one source: those of a session that begin with a source, without it."""

from collections.abc import Callable
from functools import partial
from typing import Concatenate, Generic, ParamSpec, Self, overload

from clinia_async.calls.call import R
from clinia_async.calls.validation import check_key
from clinia_async.models.refusal import without_locals
from clinia_async.models.task_id import TaskId
from clinia_async.session.catalog_api import CatalogMethods
from clinia_async.session.registry_api import RegistryMethods
from clinia_async.tasks.task import Task

P = ParamSpec("P")


class ApiMethods(RegistryMethods, CatalogMethods):
    """Every call of the API."""


class _WithSource(Generic[P, R]):
    """A method of a session as a method of one source. It takes the same arguments, but for the source."""

    def __init__(self, method: Callable[Concatenate[ApiMethods, str, P], R]) -> None:
        self._method = method
        self.__doc__ = method.__doc__

    @overload
    def __get__(self, owner: None, kind: type) -> Self: ...
    @overload
    def __get__(self, owner: "SourceSession", kind: type) -> Callable[P, R]: ...
    def __get__(self, owner: "SourceSession | None", kind: type) -> Self | Callable[P, R]:
        if owner is None:
            return self
        bound = partial(self._method, owner._session, owner.key)
        bound.__doc__ = self.__doc__  # for help()
        return bound


class SourceSession:
    """A session's calls of one source, which need not name it: `session.source("ehr")` makes it.

    It shares everything with the session and need not be closed. Each method takes the arguments of the
    session's method of the same name, but for `source`.
    """

    def __init__(self, session: ApiMethods, key: str) -> None:
        """Bind the source `key`. Raises `InvalidWrite` for a text that is no key."""
        check_key(key, "$.source")
        self._session = session
        self.key = key
        """The key of the source."""

    create_relationship = _WithSource(RegistryMethods.create_relationship)
    ensure_relationship = _WithSource(RegistryMethods.ensure_relationship)
    get_relationship = _WithSource(RegistryMethods.get_relationship)
    update_relationship = _WithSource(RegistryMethods.update_relationship)
    delete_relationship = _WithSource(RegistryMethods.delete_relationship)
    create_resource = _WithSource(RegistryMethods.create_resource)
    ensure_resource = _WithSource(RegistryMethods.ensure_resource)
    upsert_resource = _WithSource(RegistryMethods.upsert_resource)
    get_resource = _WithSource(RegistryMethods.get_resource)
    delete_resource = _WithSource(RegistryMethods.delete_resource)
    create_contained = _WithSource(RegistryMethods.create_contained)
    upsert_contained = _WithSource(RegistryMethods.upsert_contained)
    delete_contained = _WithSource(RegistryMethods.delete_contained)
    bulk = _WithSource(RegistryMethods.bulk)
    bundle = _WithSource(RegistryMethods.bundle)
    get_bulk_result = _WithSource(RegistryMethods.get_bulk_result)
    purge = _WithSource(RegistryMethods.purge)
    get_purge = _WithSource(RegistryMethods.get_purge)
    get_task = _WithSource(RegistryMethods.get_task)
    browse = _WithSource(RegistryMethods.browse)
    put_profile = _WithSource(CatalogMethods.put_profile)
    put_relationship_definition = _WithSource(CatalogMethods.put_relationship_definition)
    get_relationship_definition = _WithSource(CatalogMethods.get_relationship_definition)
    list_relationship_definitions = _WithSource(CatalogMethods.list_relationship_definitions)
    put_collection = _WithSource(CatalogMethods.put_collection)
    get_collection = _WithSource(CatalogMethods.get_collection)

    @without_locals
    def task(self, id_or_token: TaskId | str) -> Task[object]:
        """Return a handle of a task of this source that was submitted elsewhere, as `Session.task` does.

        Raises:
            ConfigError: the text is no id and no token.
            SessionClosed: the session is closed.
        """
        return self._session.task(id_or_token, source=self.key)

    def __repr__(self) -> str:
        return f"<SourceSession of {self._session!r}>"
