"""What `clinia-async doctor` does: asks a service little, and says what to set."""

import asyncio
import os
import re
import statistics
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

from attrs import define, field, frozen

from clinia_async.calls import GetTask, Host, ListPartitions, Request
from clinia_async.calls.call import path_of
from clinia_async.calls.raw_request import RawRequest
from clinia_async.cli.exit_codes import ExitCode
from clinia_async.cli.runs.diagnosis import Diagnosis, print_diagnosis, write_profile
from clinia_async.cli.runs.doctor_writes import examine_writes
from clinia_async.cli.runs.probe import Answer, Prober
from clinia_async.models import ErrorType
from clinia_async.models.secret import Secret
from clinia_async.models.task_id import TaskId
from clinia_async.session.options import with_environment, with_profile
from clinia_async.session.reachability import origin_of
from clinia_async.session.session import Session
from clinia_async.transport.base_urls import checked_proxy

HOSTS = ("{workspace}.clinia.cloud", "api.{workspace}.clinia.cloud", "{workspace}.w.clinia.cloud")
_ROUND_TRIPS = 3
_MOST_COLLECTIONS = 5
_SKEW = 2.0
"""Seconds below which a difference of clocks is no matter: a Date header has no fractions."""
_LIMIT_HEADER = re.compile(
    r"(?:x-)?rate-?limit(?:-(?:limit|remaining|reset|policy|used|second|minute|hour|day))*|retry-after"
)
_LIMIT = re.compile(
    r"(?:[\d\s,;:.=\"+-]|limit|remaining|reset|policy|default|burst|window|\b[qrtw]\b"
    r"|Mon|Tue|Wed|Thu|Fri|Sat|Sun|Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec|GMT){1,200}"
)
"""What a limit is written with: a header may quote the request, and so the key."""
_CONTENT = re.compile(r"(?:text/(?:html|plain|xml)|application/(?:json|problem\+json|xml|octet-stream|grpc))")
"""Types of content that are named; another one may quote the request, too."""
_EMPTY = {"null": "null", "list": "an empty list"}
_KNOWN_TYPES = {str(each) for each in ErrorType}
_API_KEY, _TOKEN = "api_key", "token"

Settings = Mapping[str, object]


@frozen
class DoctorRequest:
    """What the command line asks for."""

    workspace: str | None
    base_urls: tuple[str, ...]
    key: Secret
    source: str | None
    collections: tuple[str, ...]
    write: bool
    profile: Path | None
    output: str


async def examine(request: DoctorRequest) -> int:
    """Ask the service, print the findings and write the profile; return the exit code.

    Raises:
        ConfigError: a setting of the command line or of the environment is wrong, or the profile cannot be
            written.
    """
    diagnosis, prober = Diagnosis(), Prober()
    async with AsyncExitStack() as opened:
        doctor = _Doctor(request, diagnosis, prober, opened, with_profile(os.environ))
        settings = await doctor.examine()
    if request.write and settings is not None and diagnosis.code is ExitCode.OK:
        await examine_writes(settings, diagnosis, prober)
    diagnosis.requests = prober.requests
    profile = request.profile if diagnosis.code is ExitCode.OK else None
    if profile is not None:
        write_profile(profile, diagnosis.variables)
    print_diagnosis(diagnosis, profile, request.output)
    return diagnosis.code


@frozen
class _Place:
    """One place where the service may be."""

    origin: str
    settings: Settings
    session: Session


@define
class _Doctor:
    request: DoctorRequest
    diagnosis: Diagnosis
    prober: Prober
    opened: AsyncExitStack
    environment: Mapping[str, str]
    answers: list[Answer] = field(factory=list)

    async def examine(self) -> Settings | None:
        """Find out what a session needs; return its settings if there is a service."""
        self._note_proxy()
        registry = await self._place("registry", self._harmless)
        catalog = await self._place("catalog", ListPartitions().request())
        if registry is None or catalog is None:
            return None
        self._set_hosts(registry, catalog)
        credential = await self._check_credential(registry)
        given = {**registry.settings, **catalog.settings, **self._credential(credential)}
        session = await self._session(given)
        await self._check_round_trip(session)
        self._check_clock()
        self._check_nulls()
        self._check_limits()
        await self._check_pipelines(session)
        return with_environment(given, self.environment)

    @property
    def _harmless(self) -> Request:
        """A read of a task that does not exist: it shows who answers, and whether the credential is taken."""
        return GetTask(self.request.source or "doctor", TaskId("s_doctor")).request()

    async def _session(self, given: Settings) -> Session:
        """A session as a program would have it: proxy, limits and all else come from the environment."""
        options = with_environment(given, self.environment)
        return await self.opened.enter_async_context(Session(**options))  # type: ignore[arg-type]  # checked there

    def _credential(self, kind: str) -> Settings:
        return {kind: self.request.key}

    def _note_proxy(self) -> None:
        proxy = self.environment.get("CLINIA_PROXY", "").strip()
        if proxy:
            url = urlsplit(checked_proxy(proxy))
            self.diagnosis.add("proxy", True, f"requests go through {url.hostname}:{url.port or url.scheme}")
            origin = f"{url.scheme}://{url.netloc}"
            if proxy.removesuffix("/") == origin and "@" not in proxy:  # a password is not for a profile
                self.diagnosis.variables["CLINIA_PROXY"] = proxy

    async def _place(self, name: str, request: Request) -> _Place | None:
        """Find the first place that answers as the service."""
        places = [await self._candidate(name, settings) for settings in self._candidates(name)]
        found = await asyncio.gather(*(self.prober.get(each.session, request) for each in places))
        tried = []
        for place, answer in zip(places, found, strict=True):
            if answer.problem is None and _is_the_service(answer):
                self.answers.append(answer)
                self.diagnosis.add(name, True, f"{place.origin} answers")
                return place
            tried.append(f"{place.origin}: {answer.problem or _in_words(answer)}")
        advice = "check --workspace or --base-url, and any proxy or firewall on the way"
        self.diagnosis.add(name, False, "; ".join(tried), advice)
        return None

    async def _candidate(self, name: str, settings: Settings) -> _Place:
        session = await self._session({**settings, **self._credential(_API_KEY)})
        return _Place(origin_of(session, Host(name)), settings, session)

    def _candidates(self, name: str) -> Iterator[Settings]:
        for url in self.request.base_urls:
            yield {"base_url": url}
        if self.request.workspace:
            own = self.environment.get(f"CLINIA_{name.upper()}_HOST", "").strip()
            for host in dict.fromkeys([*([own] if own else []), *HOSTS]):
                yield {"workspace": self.request.workspace, f"{name}_host": host}

    def _set_hosts(self, registry: _Place, catalog: _Place) -> None:
        variables = self.diagnosis.variables
        if "workspace" in registry.settings:
            variables["CLINIA_WORKSPACE"] = str(registry.settings["workspace"])
            variables["CLINIA_REGISTRY_HOST"] = registry.origin.removeprefix("https://")
            variables["CLINIA_CATALOG_HOST"] = catalog.origin.removeprefix("https://")
        elif registry.origin == catalog.origin:
            variables["CLINIA_BASE_URL"] = registry.origin
        else:
            self.diagnosis.add(
                "hosts", False, "registry and catalog answer at different base URLs", "give --workspace"
            )
        if self.request.source:
            variables["CLINIA_SOURCE"] = self.request.source

    async def _check_credential(self, registry: _Place) -> str:
        """Find out which kind of credential the service takes; return the name of its setting."""
        by_key = await self.prober.get(registry.session, self._harmless)
        if by_key.status not in {401, 403}:
            self.diagnosis.add("credential", True, "accepted as an API key", "set CLINIA_API_KEY")
            return _API_KEY
        session = await self._session({**registry.settings, **self._credential(_TOKEN)})
        by_token = await self.prober.get(session, self._harmless)
        if by_token.problem is None and _is_the_service(by_token) and by_token.status not in {401, 403}:
            self.diagnosis.add("credential", True, "accepted as a bearer token", "set CLINIA_TOKEN with it")
            return _TOKEN
        token = by_token.status or "no answer"
        text = f"refused as an API key ({by_key.status}) and as a bearer token ({token})"
        self.diagnosis.add("credential", False, text, "ask for a new key of this workspace")
        return _API_KEY

    async def _check_round_trip(self, session: Session) -> None:
        found = [await self.prober.get(session, self._harmless) for _ in range(_ROUND_TRIPS)]
        found = [answer for answer in found if answer.problem is None]
        self.answers += found
        if not found:
            self.diagnosis.add("round trip", None, "no answer to measure")
            return
        took = statistics.median(answer.found.answered_after for answer in found)
        connect = statistics.median(answer.found.connected_after for answer in found)
        text = f"{took * 1000:.0f} ms, and {connect * 1000:.0f} ms to connect"
        self.diagnosis.add("round trip", True, text)

    def _check_clock(self) -> None:
        skews = [skew for answer in self.answers if (skew := _skew(answer)) is not None]
        if not skews:
            self.diagnosis.add("clock", None, "no answer has a Date")
            return
        skew = statistics.median(skews)
        if abs(skew) <= _SKEW:
            self.diagnosis.add("clock", True, f"within {_SKEW:.0f} s of the service's")
            return
        side = "behind" if skew > 0 else "ahead of"
        self.diagnosis.add(
            "clock",
            None,
            f"{abs(skew):.0f} s {side} the service's",
            "set this machine's clock before a historical import: createdAt must not be in the future",
        )

    def _check_nulls(self) -> None:
        found = {kind for answer in self.answers for kind in _empties(answer.document)}
        said = " and ".join(_EMPTY[kind] for kind in sorted(found))
        self.diagnosis.add(
            "empty lists", True if found else None, f"written as {said}" if said else "none seen"
        )

    def _check_limits(self) -> None:
        seen = {
            name: value
            for answer in self.answers
            for name, value in answer.headers.items()
            if _LIMIT_HEADER.fullmatch(name) and _LIMIT.fullmatch(value)
        }
        text = ", ".join(f"{name}: {value}" for name, value in sorted(seen.items()))
        advice = "load with --rate below that" if seen else ""
        self.diagnosis.add("limits", True, text or "no header says any", advice)
        if any(answer.status in {429, 503} for answer in self.answers):
            self.diagnosis.add("load", None, "the service throttles now", "try again later")

    async def _check_pipelines(self, session: Session) -> None:
        """Read which collections have a pipeline: a write to one of those is queued."""
        source = self.request.source
        for key in self.request.collections[:_MOST_COLLECTIONS] if source else ():
            path = path_of("/sources/{source}/v1/collections/{key}/pipeline", source=str(source), key=key)
            answer = await self.prober.get(session, RawRequest("GET", path).request())
            document = answer.document
            steps = document.get("steps") if isinstance(document, Mapping) else None
            if answer.status != 200 or not isinstance(steps, list | None):
                self.diagnosis.add(f"writes to {key}", None, f"not known: {_in_words(answer)}")
            elif steps:
                self.diagnosis.add(f"writes to {key}", True, "are ACCEPTED as tasks: it has a pipeline")
            else:
                self.diagnosis.add(f"writes to {key}", True, "are stored at once: it has no pipeline")


def _is_the_service(answer: Answer) -> bool:
    """Whether an answer is the service's: JSON of the call, or its envelope of an error."""
    document = answer.document
    if not isinstance(document, Mapping):
        return False
    if 200 <= answer.status < 300:
        return "data" in document or "status" in document or "taskId" in document
    return answer.status >= 400 and document.get("type") in _KNOWN_TYPES


def _in_words(answer: Answer) -> str:
    if answer.problem is not None:
        return answer.problem
    if 300 <= answer.status < 400:
        return f"it redirects ({answer.status})"
    if _is_the_service(answer):
        document = cast("Mapping[str, object]", answer.document)
        return f"{answer.status} {document.get('type', '')}".strip()
    kind = answer.headers.get("content-type", "").partition(";")[0].strip().lower() or "no content"
    if kind != "no content" and not _CONTENT.fullmatch(kind):
        kind = "content of another type"
    return f"{answer.status} with {kind}, which is not an answer of the service"


def _skew(answer: Answer) -> float | None:
    """How many seconds the service's clock is ahead of this machine's."""
    try:
        date = parsedate_to_datetime(answer.headers["date"]).timestamp()
    except (KeyError, TypeError, ValueError):
        return None
    return date + 0.5 - (answer.found.sent_at + answer.found.answered_after / 2)


def _empties(value: object) -> Iterator[str]:
    """How empty lists and absent values are written in a document."""
    if value is None:
        yield "null"
    if isinstance(value, list):
        if not value:
            yield "list"
        for each in value:
            yield from _empties(each)
    if isinstance(value, Mapping):
        for each in value.values():
            yield from _empties(each)
