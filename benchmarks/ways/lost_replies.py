"""Creates against a server of keyed records that loses replies, by ours and by the usual ways to retry.

Each way sends the same creates and meets the same faults: what a request meets depends on the seed, the key
and the number of the attempt alone. The server runs in the process of the contender.
"""

import asyncio
import json
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from enum import Enum, auto

import aiohttp
from aiohttp import web
from attrs import define, field

import clinia_async as clinia
from benchmarks import workload

IN_FLIGHT = 32
ATTEMPTS = 5
LOST, AMBIGUOUS = 0.05, 0.03
_TAKEN = 0.02
"""Keys that another record holds before the run: their creates must be refused."""
_SOURCE = "lossy"
_PATH = f"/sources/{_SOURCE}/v1/relationships/{workload.TYPE}"


class Answer(Enum):
    """What a caller learns of its create."""

    STORED = auto()
    REFUSED = auto()
    """The key is taken by another record."""
    FAILED = auto()
    """An error that does not say that the record may be stored."""
    UNKNOWN = auto()
    """An error that says that the record may be stored."""


Create = Callable[[int], Awaitable[Answer]]


@define
class Registry:
    """Refuses a key that is taken; 5 % of replies are lost, 3 % are a 502 (half of them after the create)."""

    seed: int
    records: dict[str, dict[str, object]] = field(factory=dict)
    attempts: Counter[str] = field(factory=Counter)
    stored: Counter[str] = field(factory=Counter)
    """How often the create of each key was carried out."""

    def take_keys(self, count: int) -> None:
        for number in range(count):
            if self._drawn(_id(number), "taken") < _TAKEN:
                self.records[_id(number)] = workload.body(number) | {"data": {"role": "another"}}

    async def create(self, request: web.Request) -> web.StreamResponse:
        body = json.loads(await request.read())
        id_ = f"{body['from']['id']}.{body['to']['id']}"
        self.attempts[id_] += 1
        drawn = self._drawn(id_, self.attempts[id_])
        if LOST <= drawn < LOST + AMBIGUOUS / 2:
            return web.Response(status=502, text="<html>Bad Gateway</html>", content_type="text/html")
        answer = self._store(id_, body)
        if drawn < LOST:
            assert request.transport is not None
            request.transport.abort()
        elif drawn < LOST + AMBIGUOUS:
            return web.Response(status=502, text="<html>Bad Gateway</html>", content_type="text/html")
        return answer

    def _store(self, id_: str, body: dict[str, object]) -> web.Response:
        if id_ in self.records:
            error = {"code": 409, "type": "ALREADY_EXISTS", "message": "the key is taken", "details": []}
            return web.json_response(error, status=409)
        self.records[id_] = body
        self.stored[id_] += 1
        return web.json_response({"status": "PERSISTED", "relationship": self._view(id_)}, status=201)

    async def read(self, request: web.Request) -> web.Response:
        id_ = request.match_info["id"]
        if id_ not in self.records:
            return web.json_response({"code": 404, "type": "NOT_FOUND", "message": "absent"}, status=404)
        return web.json_response(self._view(id_))

    def _view(self, id_: str) -> dict[str, object]:
        return {"id": id_, "type": workload.TYPE, **self.records[id_]}

    def _drawn(self, id_: str, what: object) -> float:
        return random.Random(f"{self.seed} {id_} {what}").random()


def _id(number: int) -> str:
    return ".".join(workload.ends(number))


@asynccontextmanager
async def _serving(registry: Registry) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_post(_PATH, registry.create)
    app.router.add_get(_PATH + "/{id}", registry.read)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    try:
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()


async def ours(count: int, seed: int) -> dict[str, float]:
    async def run(url: str) -> None:
        async with clinia.Session(base_url=url, api_key="k") as session:

            async def create(number: int) -> Answer:
                from_, to = workload.ends(number)
                practitioner, clinic = clinia.Ref(from_, "practitioner"), clinia.Ref(to, "organization")
                try:
                    task = await session.create_relationship(
                        _SOURCE,
                        workload.TYPE,
                        from_=practitioner,
                        to=clinic,
                        data=workload.body(number)["data"],  # type: ignore[arg-type]
                    )
                    await task
                except (clinia.AlreadyExists, clinia.WriteConflict):
                    return Answer.REFUSED
                except clinia.CliniaError as error:
                    return Answer.UNKNOWN if error.outcome is clinia.Outcome.UNKNOWN else Answer.FAILED
                return Answer.STORED

            await tally(create)

    tally = Tally(count, seed)
    return await tally.of(run)


async def aiohttp_retry(count: int, seed: int) -> dict[str, float]:
    from aiohttp_retry import ExponentialRetry, RetryClient  # noqa: PLC0415

    tally = Tally(count, seed)

    async def run(url: str) -> None:
        options = ExponentialRetry(ATTEMPTS, start_timeout=0.05, exceptions={aiohttp.ClientError})
        async with RetryClient(retry_options=options) as client:

            async def create(number: int) -> Answer:
                try:
                    async with client.post(url + _PATH, json=workload.body(number)) as answer:
                        return _answer_of(answer.status)
                except aiohttp.ClientError:
                    return Answer.FAILED

            await tally(create)

    return await tally.of(run)


async def backoff(count: int, seed: int) -> dict[str, float]:
    import backoff as package  # noqa: PLC0415

    tally = Tally(count, seed)

    async def run(url: str) -> None:
        async with aiohttp.ClientSession() as client:

            @package.on_exception(
                package.expo, aiohttp.ClientError, max_tries=ATTEMPTS, factor=0.05, giveup=_is_refusal
            )
            async def post(number: int) -> int:
                async with client.post(url + _PATH, json=workload.body(number)) as answer:
                    answer.raise_for_status()
                    return answer.status

            async def create(number: int) -> Answer:
                try:
                    return _answer_of(await post(number))
                except aiohttp.ClientResponseError as error:
                    return _answer_of(error.status)
                except aiohttp.ClientError:
                    return Answer.FAILED

            await tally(create)

    return await tally.of(run)


def _is_refusal(error: Exception) -> bool:
    return isinstance(error, aiohttp.ClientResponseError) and error.status < 500


async def azure_core(count: int, seed: int) -> dict[str, float]:
    from azure.core import AsyncPipelineClient  # noqa: PLC0415
    from azure.core.exceptions import AzureError  # noqa: PLC0415
    from azure.core.pipeline.policies import AsyncRetryPolicy  # noqa: PLC0415
    from azure.core.rest import HttpRequest  # noqa: PLC0415

    tally = Tally(count, seed)

    async def run(url: str) -> None:
        policy = AsyncRetryPolicy(retry_total=ATTEMPTS - 1, retry_backoff_factor=0.05)
        async with AsyncPipelineClient(url, policies=[policy]) as client:

            async def create(number: int) -> Answer:
                request = HttpRequest("POST", url + _PATH, json=workload.body(number))
                try:
                    answer = await client.send_request(request, retry_on_methods=["POST"])
                    return _answer_of(answer.status_code)
                except AzureError:
                    return Answer.FAILED

            await tally(create)

    return await tally.of(run)


async def httpx(count: int, seed: int) -> dict[str, float]:
    """`retries` of its transport, which are for connections that cannot be made."""
    import httpx as package  # noqa: PLC0415

    tally = Tally(count, seed)

    async def run(url: str) -> None:
        transport = package.AsyncHTTPTransport(retries=ATTEMPTS - 1)
        async with package.AsyncClient(transport=transport) as client:

            async def create(number: int) -> Answer:
                try:
                    answer = await client.post(url + _PATH, json=workload.body(number))
                except package.HTTPError:
                    return Answer.FAILED
                return _answer_of(answer.status_code)

            await tally(create)

    return await tally.of(run)


def _answer_of(status: int) -> Answer:
    if status == 201:
        return Answer.STORED
    return Answer.REFUSED if status == 409 else Answer.FAILED


@define
class Tally:
    """What callers learnt, beside what the registry did."""

    count: int
    seed: int
    answers: dict[int, Answer] = field(factory=dict)

    async def __call__(self, create: Create) -> None:
        numbers = iter(range(self.count))

        async def work() -> None:
            for number in numbers:
                self.answers[number] = await create(number)

        await asyncio.gather(*(work() for _ in range(IN_FLIGHT)))

    async def of(self, run: Callable[[str], Awaitable[None]]) -> dict[str, float]:
        """Count: A false error denies what is stored, a false success claims what is not."""
        registry = Registry(self.seed)
        registry.take_keys(self.count)
        async with _serving(registry) as url:
            await run(url)
        seen = [(answer, registry.stored[_id(number)] > 0) for number, answer in self.answers.items()]
        return {
            "right": sum(
                (answer is Answer.STORED) if stored else (answer is Answer.REFUSED) for answer, stored in seen
            ),
            "false_errors": sum(
                stored and answer in {Answer.REFUSED, Answer.FAILED} for answer, stored in seen
            ),
            "false_successes": sum(answer is Answer.STORED and not stored for answer, stored in seen),
            "unknown": sum(answer is Answer.UNKNOWN for answer, _ in seen),
            "failed": sum(answer is Answer.FAILED and not stored for answer, stored in seen),
            "doubles": sum(times > 1 for times in registry.stored.values()),
            "requests": registry.attempts.total(),
        }
