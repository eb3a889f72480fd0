"""Single creates, ours."""

from typing import Any

import clinia_async as clinia
from benchmarks import workload
from benchmarks.ways.together import cost


async def ours(url: str, count: int, in_flight: int) -> dict[str, float]:
    """Typed in, typed out, retries on."""
    async with clinia.Session(base_url=url, api_key="k") as session:
        return await cost(Create(session), count, in_flight)


async def coalesced(url: str, count: int, in_flight: int) -> dict[str, float]:
    """As many callers as ever, whose creates the session gathers into bulks."""
    options: dict[str, Any] = {"coalesce": True}  # not every version knows it
    async with clinia.Session(base_url=url, api_key="k", **options) as session:
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
