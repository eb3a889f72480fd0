"""What `clinia-async doctor` does: asks a service little, and says what to set."""

import asyncio
import json
import os
import statistics
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from email.utils import parsedate_to_datetime
from pathlib import Path
from secrets import token_hex
from shlex import quote
from typing import cast

import click
from attrs import define, field, frozen

from clinia_async.calls import Call, GetTask, ListPartitions
from clinia_async.calls.call import path_of
from clinia_async.cli.exit_codes import ExitCode
from clinia_async.cli.runs.probe import Answer, Prober
from clinia_async.errors import CliniaError, ConfigError
from clinia_async.models import ErrorType, Profile
from clinia_async.models.secret import Secret
from clinia_async.models.task_id import TaskId
from clinia_async.session.options import with_environment
from clinia_async.session.session import Session
from clinia_async.transport.base_urls import Addresses

HOSTS = ("{workspace}.clinia.cloud", "api.{workspace}.clinia.cloud", "{workspace}.w.clinia.cloud")
_ROUND_TRIPS = 5
_MOST_COLLECTIONS = 5
_SKEW = 2.0
"""Seconds below which a difference of clocks is no matter: a Date header has no fractions."""
_LIMIT_HEADERS = ("ratelimit", "x-ratelimit", "x-rate-limit", "retry-after")
_EMPTY = {"null": "null", "list": "an empty list"}
_KNOWN_TYPES = {str(each) for each in ErrorType}


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
    as_json: bool


@frozen
class Finding:
    """One thing that was checked. `is_good` is None where it could not be found out."""

    name: str
    is_good: bool | None
    text: str
    advice: str = ""


@define
class Diagnosis:
    """All findings, and the variables that make a session fit."""

    findings: list[Finding] = field(factory=list)
    variables: dict[str, str] = field(factory=dict)
    requests: int = 0

    def add(self, name: str, is_good: bool | None, text: str, advice: str = "") -> None:
        """Add a finding."""
        self.findings.append(Finding(name, is_good, text, advice))

    @property
    def code(self) -> ExitCode:
        """The exit code: that of the first thing that keeps a session from working."""
        bad = {finding.name for finding in self.findings if finding.is_good is False}
        if bad & {"registry", "catalog"}:
            return ExitCode.NETWORK
        return ExitCode.ACCESS if "credential" in bad else ExitCode.FAILED if bad else ExitCode.OK


async def examine(request: DoctorRequest) -> int:
    """Ask the service, print the findings and write the profile; return the exit code."""
    diagnosis = Diagnosis()
    await _Doctor(request, diagnosis).examine()
    if request.write and diagnosis.code is ExitCode.OK:
        await _examine_writes(request, diagnosis)
    if request.profile is not None and diagnosis.code is ExitCode.OK:
        _write_profile(request.profile, diagnosis.variables)
    _print(diagnosis, request)
    return diagnosis.code


@define
class _Doctor:
    request: DoctorRequest
    diagnosis: Diagnosis
    prober: Prober = field(factory=Prober)
    headers: Mapping[str, str] = field(factory=dict)
    answers: list[Answer] = field(factory=list)

    async def examine(self) -> None:
        self.headers = {"X-Clinia-API-Key": self.request.key.reveal()}
        registry = await self._host("registry", GetTask(self.request.source or "doctor", TaskId("s_doctor")))
        catalog = await self._host("catalog", ListPartitions())
        if registry is not None and catalog is not None:
            self._set_hosts(registry, catalog)
            await self._check_credential(registry)
            await self._check_round_trip(registry)
            self._check_clock()
            self._check_nulls()
            self._check_limits()
            await self._check_pipelines(registry)
        self.diagnosis.requests = self.prober.requests

    async def _host(self, name: str, call: Call[object]) -> str | None:
        """Find the first candidate that answers as the service; the probe is a read of `call`."""
        request, tried = call.request(), []
        path = request.path + (f"?{request.query}" if request.query else "")
        origins = [_origin(name, candidate) for candidate in self._candidates()]
        found = await asyncio.gather(*(self.prober.get(each, path, self.headers) for each in origins))
        for origin, answer in zip(origins, found, strict=True):
            if answer.problem is None and _is_the_service(answer):
                self.answers.append(answer)
                self.diagnosis.add(name, True, f"{origin} answers")
                return origin
            tried.append(f"{origin}: {answer.problem or _in_words(answer)}")
        advice = "check --workspace or --base-url, and any proxy or firewall on the way"
        self.diagnosis.add(name, False, "; ".join(tried), advice)
        return None

    def _candidates(self) -> Iterator[Addresses]:
        for url in self.request.base_urls:
            yield Addresses.of_base_url(url)
        for host in HOSTS if self.request.workspace else ():
            yield Addresses.of_workspace(str(self.request.workspace), host, host)

    def _set_hosts(self, registry: str, catalog: str) -> None:
        variables = self.diagnosis.variables
        if self.request.workspace and registry.startswith("https://") and not self.request.base_urls:
            variables["CLINIA_WORKSPACE"] = self.request.workspace
            variables["CLINIA_REGISTRY_HOST"] = registry.removeprefix("https://")
            variables["CLINIA_CATALOG_HOST"] = catalog.removeprefix("https://")
        elif registry == catalog:
            variables["CLINIA_BASE_URL"] = registry
        else:
            self.diagnosis.add(
                "hosts", False, "registry and catalog answer at different base URLs", "give --workspace"
            )
        if self.request.source:
            variables["CLINIA_SOURCE"] = self.request.source

    async def _check_credential(self, registry: str) -> None:
        path = GetTask(self.request.source or "doctor", TaskId("s_doctor")).request().path
        by_key = await self.prober.get(registry, path, self.headers)
        if by_key.status not in {401, 403}:
            self.diagnosis.add("credential", True, "accepted as an API key", "set CLINIA_API_KEY")
            return
        bearer = {"Authorization": f"Bearer {self.request.key.reveal()}"}
        by_token = await self.prober.get(registry, path, bearer)
        if by_token.problem is None and _is_the_service(by_token) and by_token.status not in {401, 403}:
            self.headers = bearer
            self.diagnosis.add("credential", True, "accepted as a bearer token", "set CLINIA_TOKEN with it")
            return
        token = by_token.status or "no answer"
        text = f"refused as an API key ({by_key.status}) and as a bearer token ({token})"
        self.diagnosis.add("credential", False, text, "ask for a new key of this workspace")

    async def _check_round_trip(self, registry: str) -> None:
        path = GetTask(self.request.source or "doctor", TaskId("s_doctor")).request().path
        found = [await self.prober.get(registry, path, self.headers) for _ in range(_ROUND_TRIPS)]
        found = [answer for answer in found if answer.problem is None]
        self.answers += found
        if not found:
            self.diagnosis.add("round trip", None, "no answer to measure")
            return
        took = statistics.median(answer.answered_after for answer in found)
        connect = statistics.median(answer.connected_after for answer in found)
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
        texts = {"null": "null", "list": "an empty list"}
        said = " and ".join(texts[kind] for kind in sorted(found))
        self.diagnosis.add(
            "empty lists", True if found else None, f"written as {said}" if said else "none seen"
        )

    def _check_limits(self) -> None:
        seen = {
            name: value
            for answer in self.answers
            for name, value in answer.headers.items()
            if name.startswith(_LIMIT_HEADERS)
        }
        text = ", ".join(f"{name}: {value}" for name, value in sorted(seen.items()))
        advice = "load with --rate below that" if seen else ""
        self.diagnosis.add("limits", True, text or "no header says any", advice)
        if any(answer.status in {429, 503} for answer in self.answers):
            self.diagnosis.add("load", None, "the service throttles now", "try again later")

    async def _check_pipelines(self, registry: str) -> None:
        """Read which collections have a pipeline: a write to one of those is queued."""
        source = self.request.source
        for key in self.request.collections[:_MOST_COLLECTIONS] if source else ():
            path = path_of("/sources/{source}/v1/collections/{key}/pipeline", source=str(source), key=key)
            answer = await self.prober.get(registry, path, self.headers)
            document = answer.document
            steps = document.get("steps") if isinstance(document, Mapping) else None
            if answer.status != 200 or not isinstance(steps, list | None):
                self.diagnosis.add(f"writes to {key}", None, f"not known: {_in_words(answer)}")
            elif steps:
                self.diagnosis.add(f"writes to {key}", True, "are ACCEPTED as tasks: it has a pipeline")
            else:
                self.diagnosis.add(f"writes to {key}", True, "are stored at once: it has no pipeline")


def _origin(name: str, addresses: Addresses) -> str:
    return addresses.registry if name == "registry" else addresses.catalog


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
    kind = answer.headers.get("content-type", "").partition(";")[0] or "no content"
    return f"{answer.status} with {kind}, which is not an answer of the service"


def _skew(answer: Answer) -> float | None:
    """How many seconds the service's clock is ahead of this machine's."""
    try:
        date = parsedate_to_datetime(answer.headers["date"]).timestamp()
    except (KeyError, TypeError, ValueError):
        return None
    return date + 0.5 - (answer.sent_at + answer.answered_after / 2)


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


async def _examine_writes(request: DoctorRequest, diagnosis: Diagnosis) -> None:
    """Store one record in a scratch source, read it, and delete the source again."""
    try:
        async with _scratch_source(request, diagnosis) as (session, source):
            await _write_and_read(session, source, diagnosis)
    except CliniaError as error:
        diagnosis.add("write", False, str(error), "check what the key may do")


@asynccontextmanager
async def _scratch_source(request: DoctorRequest, diagnosis: Diagnosis) -> AsyncIterator[tuple[Session, str]]:
    source = f"doctor-{token_hex(6)}"
    is_token = any(each.advice.startswith("set CLINIA_TOKEN") for each in diagnosis.findings)
    credential = {"CLINIA_TOKEN" if is_token else "CLINIA_API_KEY": request.key.reveal()}
    options = with_environment({}, diagnosis.variables | credential)
    async with Session(**options) as session:  # type: ignore[arg-type]  # checked there
        await (await session.create_source(source))
        try:
            yield session, source
        finally:
            await (await session.delete_source(source))
            diagnosis.add("scratch source", True, f"{source} was made and deleted")


async def _write_and_read(session: Session, source: str, diagnosis: Diagnosis) -> None:
    loop = asyncio.get_running_loop()
    await (await session.put_profile(source, "doctor", Profile({"name": {"type": "symbol"}})))
    task = await session.create_resource(source, "doctor", id="doctor-1", data={"name": "doctor"})
    begun, is_queued = loop.time(), not task.done()
    await task.wait(timeout=60)
    ended = loop.time()
    found = "ACCEPTED as a task" if is_queued else "PERSISTED at once"
    diagnosis.add("write", True, f"{found}, done after {ended - begun:.2f} s")
    for _ in range(20):
        try:
            await session.get_resource(source, "doctor", "doctor-1")
        except CliniaError:
            await asyncio.sleep(0.25)
        else:
            diagnosis.add("read after write", True, f"found {loop.time() - ended:.2f} s after the end")
            return
    diagnosis.add("read after write", False, "not found for 5 s", "reads lag: set CLINIA_RECONCILE_TIMEOUT")


def _write_profile(path: Path, variables: Mapping[str, str]) -> None:
    """Write variables, and no credential, for `CLINIA_PROFILE`."""
    lines = [f"{name}={value}" for name, value in variables.items()]
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write("\n".join(["# written by clinia-async doctor; no key is in it", *lines, ""]))
    except OSError as error:
        reason = error.strerror
    else:
        return
    raise ConfigError(f"--write-profile: the file cannot be written: {reason}")


def _print(diagnosis: Diagnosis, request: DoctorRequest) -> None:
    if request.as_json:
        findings = [
            {"name": each.name, "good": each.is_good, "text": each.text, "advice": each.advice}
            for each in diagnosis.findings
        ]
        fields = {"findings": findings, "set": diagnosis.variables, "requests": diagnosis.requests}
        click.echo(json.dumps(fields))
        return
    for line in _lines(diagnosis, request):
        click.echo(line)


def _lines(diagnosis: Diagnosis, request: DoctorRequest) -> Sequence[str]:
    marks = {True: "ok", False: "BAD", None: "?"}
    lines = []
    for each in diagnosis.findings:
        advice = f" ({each.advice})" if each.advice else ""
        lines.append(f"{marks[each.is_good]:<4} {each.name:<16} {each.text}{advice}")
    lines += [f"export {name}={quote(value)}" for name, value in diagnosis.variables.items()]
    if request.profile is not None and diagnosis.code is ExitCode.OK:
        lines.append(f"export CLINIA_PROFILE={quote(str(request.profile.absolute()))}")
    return [*lines, f"{diagnosis.requests} requests sent"]
