"""The calls of one source, which need not name it."""

import inspect
import pydoc
from collections.abc import Callable
from typing import Any

import pytest

from clinia_async import ConfigError, CreateRelationship, InvalidWrite, Session, SourceSession
from clinia_async.emulator import Accepted, Constant, Emulator
from clinia_async.session.catalog_api import CatalogMethods
from clinia_async.session.registry_api import RegistryMethods
from tests.factories import FROM, ID, SOURCE, TO, TYPE, session_at


def of_a_source() -> dict[str, Callable[..., Any]]:
    """The methods of a session that begin with a source."""
    methods = vars(RegistryMethods) | vars(CatalogMethods)
    return {
        name: method
        for name, method in methods.items()
        if inspect.isfunction(method) and [*inspect.signature(method).parameters][1:2] == ["source"]
    }


@pytest.mark.parametrize("name", of_a_source())
def test_every_call_of_a_source_is_there_without_it(name: str) -> None:
    bound = getattr(Session("acme", api_key="k").source(SOURCE), name)
    _, _, *parameters = inspect.signature(of_a_source()[name]).parameters.values()
    assert [*inspect.signature(bound).parameters.values()] == parameters
    assert bound.__doc__ == of_a_source()[name].__doc__
    assert "docs.clinia.com" in pydoc.render_doc(bound)


def test_a_source_has_no_other_calls() -> None:
    public = {name for name in dir(SourceSession) if not name.startswith("_")}
    assert public == {*of_a_source(), "task"}


async def test_its_calls_are_those_of_the_session(emulator: Emulator, session: Session) -> None:
    emulator.default = Accepted(Constant(1.0))
    ehr = session.source(SOURCE)
    made = await ehr.create_relationship(TYPE, from_=FROM, to=TO)
    assert (await ehr.task(made.known_id)) == await made == await ehr.get_relationship(TYPE, ID)
    assert (await ehr.ensure_relationship(TYPE, from_=FROM, to=TO)).existing == "equal"
    await ehr.bulk([CreateRelationship(SOURCE, TYPE, FROM, FROM)]).result()
    assert {hit.record.id async for hit in ehr.browse([TYPE])} == {ID, "prac-1.prac-1"}
    assert {stored.source for stored in emulator.stored()} == {SOURCE}


async def test_a_session_has_a_source_of_its_own(emulator: Emulator) -> None:
    async with session_at(emulator, source=SOURCE) as session:
        await session.source().create_relationship(TYPE, from_=FROM, to=TO)
        assert session.source().key == session.default_source == SOURCE
        assert session.source("crm").key == "crm"
        await session.with_options(timeout=3).source().get_relationship(TYPE, ID)


def test_a_source_that_is_none_is_refused() -> None:
    session = Session("acme", api_key="k")
    with pytest.raises(ConfigError, match="a source must be given"):
        session.source()
    with pytest.raises(InvalidWrite, match=r"\$\.source"):
        session.source("no key/")
    assert repr(session.source(SOURCE)) == "<SourceSession of <Session new>>"
