"""Single creates, ours."""

import aiohttp

import clinia_async as clinia
from benchmarks import workload
from benchmarks.ways.together import cost


async def ours(url: str, count: int, in_flight: int) -> dict[str, float]:
    """Typed in, typed out, retries on."""
    async with clinia.Session(base_url=url, api_key="k") as session:
        return await cost(Create(session), count, in_flight)


async def borrowed(url: str, count: int, in_flight: int) -> dict[str, float]:
    """The same over an `aiohttp.ClientSession` of the caller's: by the public way of aiohttp alone."""
    async with (
        aiohttp.ClientSession() as http,
        clinia.Session(base_url=url, api_key="k", http_session=http) as session,
    ):
        return await cost(Create(session), count, in_flight)


async def coalesced(url: str, count: int, in_flight: int) -> dict[str, float]:
    """As many callers as ever, whose creates the session gathers into bulks."""
    async with clinia.Session(base_url=url, api_key="k", coalesce=True) as session:
        return await cost(Create(session), count, in_flight)


class Create:
    """Another record each time, made from typed values by the caller."""

    def __init__(self, session: clinia.Session) -> None:
        self._session = session

    async def __call__(self, number: int) -> None:
        from_, to = workload.ends(number)
        practitioner, clinic = clinia.Ref(from_, "practitioner"), clinia.Ref(to, "organization")
        task = await self._session.create_relationship(
            "persisted", workload.TYPE, from_=practitioner, to=clinic, data=workload.DATA
        )
        found = await task
        assert found.from_ == practitioner
