"""Every error says what happened, where, and what to do next.

Those of requests and tasks are made over the wire; the texts of all others are read from the code.
"""

import ast
import asyncio
import re
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import clinia_async
from clinia_async import (
    ApiError,
    CliniaError,
    ConfigError,
    ErrorType,
    GatewayError,
    InputError,
    InvalidWrite,
    JobStopped,
    JournalError,
    Outcome,
    RequestError,
    RequestTimeout,
    Session,
    SessionClosed,
    TransportOptions,
    errors,
)
from clinia_async.calls.reconciliation import UNPROVEN
from clinia_async.cli.exit_codes import in_cli_words
from clinia_async.errors import Evidence
from tests.factories import (
    ID,
    ONCE,
    SOURCE,
    TYPE,
    create,
    receipt,
    record,
    refusing_socket,
    session_at,
    url_of,
)
from tests.hostile import (
    Behaviour,
    Hostile,
    accepted,
    after,
    answer,
    close,
    persisted,
    redirect,
    refusal,
    reply,
    stall,
    task,
)

ADVICE = re.compile(
    r"\b(allow|ask|avoid|check|compare|correct|decompress|give|install|leave|make|must|name|needs?|open|pip"
    r"|read|remove|required|see|resume|run|save|send|set|take|try|unpack|update|use|wait|write)\b"
)
PYTHON = re.compile(r"\berror\.\w|=\.\.\.|\b[a-z]+_[a-z]+\b|RetryPolicy")
READ_FIRST = "read the record before you send it again"
STATUSES = (
    400,
    401,
    402,
    403,
    404,
    405,
    407,
    408,
    409,
    413,
    415,
    422,
    425,
    429,
    431,
    500,
    501,
    502,
    503,
    504,
    520,
)
NAMED = {"X-Request-Id": "req-17"}


async def error_of(
    *script: Behaviour, call: Callable[[Session], Awaitable[Any]] = create, **options: Any
) -> str:
    """The text of the error that a call ends with."""
    async with Hostile(script) as server, session_at(server, **{"retry": ONCE, **options}) as session:
        return await text_of(session, call)


async def text_of(session: Session, call: Callable[[Session], Awaitable[Any]] = create) -> str:
    with pytest.raises(CliniaError) as caught:
        await call(session)
    assert advises(caught.value)
    return str(caught.value)


def advises(error: CliniaError) -> bool:
    """Whether it has advice beyond what happened, for a program as well as for the command line."""
    what = str(error.args[0])
    rest = str(error).removeprefix(what)
    return bool(ADVICE.search(rest)) and not PYTHON.search(in_cli_words(rest))


async def created(session: Session) -> object:
    return await (await create(session))


async def read(session: Session) -> object:
    return await session.get_relationship(SOURCE, TYPE, ID)


@pytest.mark.parametrize("status", STATUSES)
async def test_an_error_status_of_the_service(status: int) -> None:
    text = await error_of(refusal(status, headers=NAMED))
    assert text.startswith(f"POST /sources/{{source}}/v1/relationships/{{type}}: {status}")
    assert text.endswith("(request id req-17)")
    assert (READ_FIRST in text) == ((status >= 500 and status != 501) or status == 408)


@pytest.mark.parametrize("kind", ErrorType)
async def test_a_documented_type_of_error(kind: ErrorType) -> None:
    text = await error_of(refusal(418, kind))
    assert text.startswith(f"POST /sources/{{source}}/v1/relationships/{{type}}: 418 {kind}; ")


@pytest.mark.parametrize("status", STATUSES)
async def test_an_error_status_of_a_proxy(status: int) -> None:
    text = await error_of(reply(status, b"<html>", kind="text/html"))
    assert "not in the format of the service, so perhaps of a proxy or firewall on the way; " in text
    assert (READ_FIRST in text) == (status not in {413, 429, 431})


async def test_a_refused_key_names_the_settings() -> None:
    assert "CLINIA_API_KEY or api_key=..., and that it belongs to this workspace" in await error_of(
        refusal(401)
    )


@pytest.mark.parametrize(
    ("behaviour", "said"),
    [
        (
            redirect(302, "https://elsewhere.example"),
            "302 Found: a redirect is not followed; check workspace or",
        ),
        (
            reply(200, b"<html>"),
            "relationships/{type}: $: expected JSON; check that workspace or base_url leads to the service",
        ),
        (reply(200, b"{}"), "check that workspace or base_url leads to the service itself"),
        (close, "the connection to 127.0.0.1:"),
        (stall, "no answer in time; try again later, or allow more time: timeout=..."),
    ],
)
async def test_no_good_answer(behaviour: Behaviour, said: str) -> None:
    text = await error_of(behaviour)
    assert said in text
    assert READ_FIRST in text
    assert READ_FIRST not in await error_of(behaviour, call=read)


async def test_no_connection() -> None:
    with refusing_socket() as bound:
        async with Session(api_key="k", base_url=url_of(bound), retry=ONCE) as session:
            text = await text_of(session)
    assert ": Connection refused; check workspace or base_url, and the network" in text


@pytest.mark.parametrize("error", [ssl.SSLError(1, "no"), socket.gaierror(socket.EAI_NONAME, "no")])
async def test_no_host_and_no_tls(error: OSError, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fails(*_: object, **__: object) -> object:
        raise error

    monkeypatch.setattr("aiohttp.connector.aiohappyeyeballs.start_connection", fails)
    async with Session(api_key="k", base_url="https://127.0.0.1:1", retry=ONCE) as session:
        assert "check workspace or base_url" in await text_of(session)


async def test_no_time_to_connect(monkeypatch: pytest.MonkeyPatch) -> None:
    async def hangs(*_: object, **__: object) -> object:
        return await asyncio.sleep(1e6)

    monkeypatch.setattr("aiohttp.connector.aiohappyeyeballs.start_connection", hangs)
    async with Session(api_key="k", base_url="https://127.0.0.1:1", retry=ONCE) as session:
        text = await text_of(session)
    assert "no connection to 127.0.0.1:1 in time; check workspace or base_url" in text


async def test_no_free_connection() -> None:
    options = {"transport": TransportOptions(connections=1), "timeout": 5}
    async with Hostile(otherwise=after(20, persisted)) as server, session_at(server, **options) as session:
        first = asyncio.ensure_future(create(session))
        await asyncio.sleep(1)
        with pytest.raises(RequestTimeout, match="no free connection in time; send less at once") as caught:
            await create(session, "prac-2", timeout=2)
        assert advises(caught.value)
        with pytest.raises(RequestTimeout):
            await first


async def test_a_closed_session() -> None:
    async with Hostile() as server:
        session = session_at(server)
        await session.aclose()
        assert await text_of(session) == "the session is closed; open another one"


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (
            (task("FAILURE", receipts=[receipt("FAILURE")]),),
            "1 of 1 operations failed; read error.failed_receipts",
        ),
        (
            (task("CANCELLED", receipts=[receipt("CANCELLED")]),),
            "avoid two writes of one record at once; send it",
        ),
        ((refusal(403),), "resume the wait with session.task(error.token), or read the record"),
        (
            (
                task("SUCCESS", receipts=[receipt("SUCCESS", pipelineExecution={"status": "REJECTED"})]),
                refusal(404, "NOT_FOUND"),
            ),
            "ask the reviewer",
        ),
        (
            (task("SUCCESS", receipts=[receipt("SUCCESS")]), refusal(403, "PERMISSION_DENIED")),
            "the write was carried out: do not send it again",
        ),
    ],
)
async def test_a_task_that_ends_badly(script: tuple[Behaviour, ...], said: str) -> None:
    assert said in await error_of(accepted(), *script, call=created)


async def test_a_task_that_takes_too_long() -> None:
    async with Hostile([accepted()], otherwise=task("PENDING")) as server, session_at(server) as session:
        made = await create(session)
        assert "resume the wait with session.task(error.token)" in await text_of(
            session, lambda _: made.result(timeout=1)
        )


async def test_a_conflict_after_a_lost_answer() -> None:
    script = [close, refusal(409, "ALREADY_EXISTS")]
    async with Hostile(script, otherwise=answer(record({"a": 2}))) as server, session_at(server) as session:
        text = await text_of(session, lambda session: create(session, data={"a": 1}))
    assert "compare the record that is there with what was sent" in text


# What no request is needed for


def kinds(base: type[CliniaError]) -> Iterator[type[CliniaError]]:
    yield base
    for kind in base.__subclasses__():
        yield from kinds(kind)


SAY_IT_THEMSELVES = {ConfigError, InvalidWrite, InputError, SessionClosed, JobStopped}
"""Classes without one advice for all: each text says its own, and that is held below."""


def test_every_class_has_advice_or_texts_that_have_it() -> None:
    ours = {kind for kind in kinds(CliniaError) if kind.__module__.startswith("clinia_async")}
    abstract = {CliniaError, RequestError, errors.TaskError}
    silent = {kind for kind in ours - abstract if not kind.advice}
    assert {kind for kind in silent if not issubclass(kind, tuple(SAY_IT_THEMSELVES))} == set()
    assert all(ADVICE.search(kind.advice) for kind in ours - abstract - silent)


def test_advice_in_words_of_the_command_line_has_no_name_of_python() -> None:
    advice = [*{kind.advice for kind in kinds(CliniaError)}, *errors._ADVICE.values()]
    assert [text for text in map(in_cli_words, advice) if PYTHON.search(text)] == []


PASSED_ON = {
    # a text that another module made, which is held there
    "calls/batches.py": {"rule"},
    "serialization/documents.py": {"rule"},
    "session/registry_api.py": {"text"},
    "cli/runs/api.py": {"text", "\0: \0", "FILE: line \0: \0: \0"},
    "cli/runs/source_checks.py": {"--source: \0"},
    "ingest/readers/compression.py": {"the input is \0"},
    "ingest/readers/csv_reader.py": {"NOT_NAMED"},
    "ingest/readers/files.py": {"\0: \0"},
    "ingest/processes/job.py": {"process \0 of \0 \0; \0"},
}
CHECKED = {"ConfigError", "InvalidWrite", "InputError", "WorkerDied"}


def texts(path: Path) -> Iterator[str]:
    """The texts of errors that are made in a module, with a zero for each value in them."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    constants = {
        node.targets[0].id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and node.args:
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            if name in CHECKED:
                text = node.args[1 if name == "InvalidWrite" and len(node.args) > 1 else 0]
                yield template(constants.get(getattr(text, "id", ""), text))


def template(node: ast.expr) -> str:
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(str(part.value) if isinstance(part, ast.Constant) else "\0" for part in parts)
        case ast.BinOp():
            return template(node.left) + template(node.right)
        case ast.Call(func=ast.Attribute(value=value)):
            return template(value)
        case ast.Name(id=name):
            return name
    return ""


FOLDER = Path(clinia_async.__file__).parent
MODULES = [path for path in sorted(FOLDER.rglob("*.py")) if "emulator" not in path.parts]


def test_every_text_in_the_code_says_what_to_do() -> None:
    found = {str(path.relative_to(FOLDER)): set(texts(path)) for path in MODULES}
    assert sum(map(len, found.values())) > 150
    silent = {
        name: {text for text in given if not ADVICE.search(text)} - PASSED_ON.get(name, set())
        for name, given in found.items()
    }
    assert {name: given for name, given in silent.items() if given} == {}


def test_a_copy_and_a_changed_outcome_keep_the_text_right() -> None:
    error = GatewayError("x: 502", status=502, info=clinia_async.ErrorInfo(), outcome=Outcome.REJECTED)
    assert READ_FIRST not in str(error)
    assert READ_FIRST in str(UNPROVEN.on(error))
    assert isinstance(UNPROVEN.on(error), ApiError)
    assert UNPROVEN.on(error).evidence is Evidence.NONE
    assert JournalError("text").outcome is Outcome.NOT_SENT
