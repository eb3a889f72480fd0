"""Doctor says what an odd server is, sends at most 30 requests, and changes nothing unless it is asked to."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest

import clinia_async as clinia
from clinia_async.emulator import Accepted, Constant, Refusal
from tests.cli.program import Cli, ended, start
from tests.cli.served import Served
from tests.cli.servers import (
    CERTIFICATES,
    SILENCE,
    Answer,
    Proxy,
    UnusualServer,
    date,
    envelope,
    reply,
    service,
)

KEY = "a-key-that-is-secret"


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLINIA_API_KEY", KEY)
    monkeypatch.delenv("CLINIA_TOKEN", raising=False)
    monkeypatch.delenv("CLINIA_PROFILE", raising=False)


@pytest.fixture
def _short_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clinia_async.cli.runs.probe._TIMEOUT", 0.2)


def _findings(report: Any) -> dict[str, tuple[bool | None, str]]:
    return {each["name"]: (each["good"], each["text"]) for each in report["findings"]}


def _bearer_only(request: bytes) -> bytes:
    if f"Authorization: Bearer {KEY}".encode() in request:
        return service(request)
    return envelope(401, "UNAUTHENTICATED")


def _chunked(request: bytes) -> bytes:
    head, _, body = service(request).partition(b"\r\n\r\n")
    lines = [line for line in head.split(b"\r\n") if not line.startswith(b"Content-Length")]
    pieces = b"%x;x=y\r\n%b\r\n%x\r\n%b\r\n0\r\n\r\n" % (5, body[:5], len(body) - 5, body[5:])
    return b"\r\n".join([*lines, b"Transfer-Encoding: chunked"]) + b"\r\n\r\n" + pieces


def _nulls(request: bytes) -> bytes:
    if b"/catalog/" in request:
        return reply("200 OK", b'{"data": null}')
    return envelope(404, "NOT_FOUND", details=None)


ODD: dict[str, tuple[Answer, int, str, bool | None, str]] = {
    # what is odd: its answer, exit code, finding, whether that is good, and the beginning of its text
    "usual": (service, 0, "credential", True, "accepted as an API key"),
    "bearer only": (_bearer_only, 0, "credential", True, "accepted as a bearer token"),
    "key refused": (
        lambda _: envelope(403, "PERMISSION_DENIED"),
        3,
        "credential",
        False,
        "refused as an API key (403) and as a bearer token (403)",
    ),
    "firewall": (
        lambda _: reply("403 Forbidden", b"<html>", "text/html"),
        4,
        "registry",
        False,
        "{url}: 403 with text/html, which is not an answer of the service",
    ),
    "login page": (
        lambda _: reply("302 Found", b"", Location="https://login.example/"),
        4,
        "registry",
        False,
        "{url}: it redirects (302)",
    ),
    "another service": (
        lambda _: reply("200 OK", b'{"hello": 1}'),
        4,
        "catalog",
        False,
        "{url}: 200 with application/json, which is not an answer of the service",
    ),
    "clock ahead": (
        lambda request: service(request, Date=date(3600)),
        0,
        "clock",
        None,
        "36",
    ),
    "no date": (lambda _: envelope(404, "NOT_FOUND"), 0, "clock", None, "no answer has a Date"),
    "nulls": (_nulls, 0, "empty lists", True, "written as null"),
    "limits": (
        lambda request: service(request, X_RateLimit_Limit="100", Retry_After="5"),
        0,
        "limits",
        True,
        "retry-after: 5, x-ratelimit-limit: 100",
    ),
    "chunked": (_chunked, 0, "credential", True, "accepted as an API key"),
    "silent": (lambda _: SILENCE, 4, "registry", False, "{url}: no answer in time (0 s)"),
    "no HTTP": (
        lambda _: b"SSH-2.0-OpenSSH\r\n\r\n",
        4,
        "registry",
        False,
        "{url}: the answer is not HTTP or was cut short",
    ),
    "empty": (lambda _: b"HTTP/1.1 200 OK\r\n\r\n", 4, "registry", False, "{url}: 200 with no content"),
    "throttling": (
        lambda _: reply("503 Busy", b'{"type": "INTERNAL"}', Retry_After="9"),
        0,
        "load",
        None,
        "the service throttles now",
    ),
}


@pytest.mark.parametrize("name", ODD)
def test_an_unusual_server_is_seen_for_what_it_is(
    name: str, cli: Cli, request: pytest.FixtureRequest
) -> None:
    answer, code, finding, is_good, text = ODD[name]
    if name == "silent":
        request.getfixturevalue("_short_timeout")
    with UnusualServer(answer) as server:
        ran = cli("doctor", "--base-url", server.url, "--json", "--write-profile", "p.env")
        requests = len(server.requests)
        found = _findings(ran.json)[finding]
        assert (ran.code, found[0]) == (code, is_good)
        assert found[1].startswith(text.format(url=server.url))
    assert ran.json["requests"] == requests <= 30
    assert KEY not in ran.out + ran.err
    assert Path("p.env").exists() is (code == 0)
    assert all(request.startswith(b"GET ") for request in server.requests)


def test_the_first_base_url_that_answers_is_taken(cli: Cli) -> None:
    with UnusualServer(lambda _: b"no") as odd, UnusualServer(service) as good:
        urls = [
            argument for url in ("http://127.0.0.1:1", odd.url, good.url) for argument in ("--base-url", url)
        ]
        ran = cli("doctor", *urls)
    assert ran.code == 0
    assert f"export CLINIA_BASE_URL={good.url}" in ran.out.splitlines()


def test_a_pipeline_says_that_writes_are_queued(cli: Cli) -> None:
    with UnusualServer(service) as server:
        ran = cli("doctor", "--base-url", server.url, "--source", "ehr", "--collection", "patient", "--json")
    assert _findings(ran.json)["writes to patient"] == (True, "are ACCEPTED as tasks: it has a pipeline")


def test_the_profile_is_read_by_the_command_line_and_by_sessions(
    cli: Cli, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("CLINIA_BASE_URL", "CLINIA_SOURCE"):
        monkeypatch.delenv(name)
    arguments = ("--base-url", served.url, "--source", "ehr", "--write-profile", "p.env")
    monkeypatch.setenv("CLINIA_API_KEY", served.key)
    ran = cli("doctor", *arguments)
    assert ran.code == 0
    assert Path("p.env").stat().st_mode & 0o777 == 0o600
    assert served.key not in Path("p.env").read_text()
    monkeypatch.setenv("CLINIA_PROFILE", "p.env")
    created = cli("relationship", "create", "t", "--from", "p/aa", "--to", "o/bb")
    assert (created.code, created.messages) == (0, [])
    session = clinia.Session.from_env()
    assert (session.default_source, session.registry) == ("ehr", served.url)
    monkeypatch.setenv("CLINIA_WORKSPACE", "acme")
    assert clinia.Session.from_env().registry == "https://acme.clinia.cloud"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "CLINIA_SUORCE=a",
            (
                "line 1 of the file that CLINIA_PROFILE names must be NAME=VALUE of a setting: "
                "did you mean CLINIA_SOURCE?"
            ),
        ),
        (
            "# fine\n\nno sign",
            "line 3 of the file that CLINIA_PROFILE names must be NAME=VALUE of a setting",
        ),
        (None, "the file that CLINIA_PROFILE names cannot be read: No such file or directory"),
    ],
)
def test_a_profile_that_is_wrong(
    text: str | None, problem: str, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    if text is not None:
        Path("p.env").write_text(text)
    monkeypatch.setenv("CLINIA_PROFILE", "p.env")
    assert cli("source", "get", "ehr") == (2, "", f"error: {problem}\n")


@pytest.mark.parametrize("seconds", [0.0, 0.05])
def test_with_write_a_scratch_source_is_made_and_deleted(
    seconds: float, cli: Cli, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLINIA_API_KEY", served.key)
    if seconds:
        served.emulator.default = Accepted(Constant(seconds))
    ran = cli("doctor", "--base-url", served.url, "--write", "--json")
    findings = _findings(ran.json)
    assert ran.code == 0
    expected = "ACCEPTED as a task" if seconds else "PERSISTED at once"
    assert findings["write"][1].startswith(expected)
    assert findings["read after write"][0] is True
    assert findings["scratch source"][1].endswith(" was made and deleted")
    assert cli("source", "list").json == []


def test_without_write_nothing_is_changed(cli: Cli, served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLINIA_API_KEY", served.key)
    assert cli("doctor", "--base-url", served.url).code == 0
    assert set(served.arrivals) == {"get_task", "list_partitions"}


def test_it_is_interrupted_at_once() -> None:
    with UnusualServer(lambda _: SILENCE) as server:
        process = start("doctor", "--base-url", server.url)
        while not server.requests:
            pass
        process.send_signal(signal.SIGINT)
        assert ended(process).code == 130


def test_wrong_usage(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    assert cli("doctor").err.startswith("error: no service: give --workspace or --base-url, or set ")
    ran = cli("doctor", "--workspace", "w", "--collection", "c")
    assert ran.err.startswith("error: --collection needs --source.")
    monkeypatch.delenv("CLINIA_API_KEY")
    ran = cli("doctor", "--workspace", "w")
    assert ran.err.startswith(
        "error: no API key: set CLINIA_API_KEY or CLINIA_TOKEN, or give --api-key-file."
    )


def test_each_form_of_the_workspaces_hosts_is_tried(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "clinia_async.cli.runs.doctor.HOSTS", ("{workspace}.invalid", "api.{workspace}.invalid")
    )
    report = cli("doctor", "--workspace", "acme", "--json").json
    text = (
        "https://acme.invalid: the host name acme.invalid does not resolve;"
        " https://api.acme.invalid: the host name api.acme.invalid does not resolve"
    )
    assert _findings(report)["registry"] == (False, text)
    assert json.dumps(report).count(KEY) == 0


def _lead_by(proxy: Proxy, monkeypatch: pytest.MonkeyPatch, user: str = "") -> None:
    monkeypatch.setenv("CLINIA_PROXY", f"http://{user}127.0.0.1:{proxy.port}")


def test_it_goes_through_the_proxy_of_the_session(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    with UnusualServer(service) as server, Proxy() as proxy:
        _lead_by(proxy, monkeypatch)
        ran = cli("doctor", "--base-url", server.url, "--json", "--write-profile", "p.env")
        assert (ran.code, ran.json["requests"]) == (0, len(proxy.requests))
        assert len(server.requests) == len(proxy.requests)
    assert _findings(ran.json)["proxy"] == (True, f"requests go through 127.0.0.1:{proxy.port}")
    assert f"CLINIA_PROXY=http://127.0.0.1:{proxy.port}\n" in Path("p.env").read_text()


def test_it_goes_through_a_tunnel_to_a_service_with_tls(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATES / "loopback.pem"))
    with UnusualServer(service, certificate="loopback") as server, Proxy() as proxy:
        _lead_by(proxy, monkeypatch, "somebody:a-password@")
        ran = cli("doctor", "--base-url", server.url, "--json", "--write-profile", "p.env")
        assert ran.code == 0
        assert len(server.requests) == len(proxy.requests) == ran.json["requests"]
    for head in proxy.requests:
        assert head.startswith(f"CONNECT 127.0.0.1:{server.port} HTTP/1.1\r\n".encode())
        assert b"Proxy-Authorization: Basic " in head
        assert KEY.encode() not in head
    assert "a-password" not in ran.out + ran.err + Path("p.env").read_text()


@pytest.mark.parametrize(
    ("certificate", "problem"),
    [
        ("another_host", "the certificate of {host} is not trusted: self-signed certificate"),
        ("expired", "the certificate of {host} is not trusted: certificate has expired"),
        (None, "no TLS connection to {host} can be made"),
    ],
)
def test_tls_that_is_wrong(
    certificate: str | None, problem: str, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    if certificate == "expired":
        monkeypatch.setenv("SSL_CERT_FILE", str(CERTIFICATES / "expired.pem"))
    with UnusualServer(lambda _: b"no TLS", certificate=certificate) as server:
        url = f"https://127.0.0.1:{server.port}"
        ran = cli("doctor", "--base-url", url, "--json")
    text = f"{url}: {problem.format(host=f'127.0.0.1:{server.port}')}"
    assert (ran.code, _findings(ran.json)["registry"]) == (4, (False, text))


def test_a_proxy_that_refuses_is_named(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    with Proxy(407) as proxy:
        _lead_by(proxy, monkeypatch)
        ran = cli("doctor", "--base-url", "https://127.0.0.1:1", "--json")
    text = "https://127.0.0.1:1: the proxy does not connect to 127.0.0.1:1: it says 407"
    assert (ran.code, _findings(ran.json)["registry"]) == (4, (False, text))


PASSWORD = "a-password"


@pytest.mark.parametrize(
    "proxy",
    [
        "http://somebody:a-password",
        "http://somebody:a-password/1@127.0.0.1:1",
        "http://[a-password",
        "http://a-password@127.0.0.1:1",
        "http://127.0.0.1:1/?token=a-password",
        "socks5://somebody:a-password@127.0.0.1:1",
    ],
)
def test_no_part_of_a_proxy_but_its_host_is_shown(
    proxy: str, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CLINIA_PROXY", proxy)
    with UnusualServer(service) as server:
        ran = cli("doctor", "--base-url", server.url, "--json", "--write-profile", "p.env")
    assert ran.code in {2, 4}
    assert PASSWORD not in ran.out + ran.err
    assert "Traceback" not in ran.err


QUOTING = {
    "type of content": lambda key: reply("200 OK", b"", kind=key),
    "long type of content": lambda key: reply("500 Error", b"", kind=f"text/html-{key}; charset=x"),
    "limit": lambda key: envelope(404, "NOT_FOUND").replace(b"\r\n", f"\r\nRateLimit: {key}\r\n".encode(), 1),
    "name of a limit": lambda key: envelope(404, "NOT_FOUND").replace(
        b"\r\n", f"\r\nX-RateLimit-{key}: 7\r\n".encode(), 1
    ),
    "type of an error": lambda key: envelope(404, key),
    "redirect": lambda key: reply("302 Found", b"", Location=f"http://127.0.0.1/{key}"),
    "reason": lambda key: reply(f"404 {key}", b"<html>", kind="text/html"),
    "nested": lambda key: reply("200 OK", b"[" * 100_000 + key.encode()),
}


@pytest.mark.parametrize("name", QUOTING)
def test_what_an_answer_quotes_of_the_request_is_not_shown(name: str, cli: Cli) -> None:
    with UnusualServer(lambda _: QUOTING[name](KEY)) as server:
        ran = cli("doctor", "--base-url", server.url, "--collection", "c", "--source", "s", "--json")
    assert KEY not in (ran.out + ran.err).lower()
    assert _findings(ran.json)["registry"]


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("RateLimit", "limit=100, remaining=50, reset=5"),
        ("RateLimit", '"default";r=50;t=30'),
        ("RateLimit-Policy", "100;w=60"),
        ("X-RateLimit-Limit-Minute", "20"),
        ("X-Rate-Limit-Reset", "2026-11-30 12:00:00"),
    ],
)
def test_limits_are_shown_in_every_form_that_is_usual(header: str, value: str, cli: Cli) -> None:
    def limited(request: bytes) -> bytes:
        return service(request, **{header.replace("-", "_"): value})

    with UnusualServer(limited) as server:
        ran = cli("doctor", "--base-url", server.url, "--json")
    assert _findings(ran.json)["limits"] == (True, f"{header.lower()}: {value}")


def test_an_option_wins_over_the_environment(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clinia_async.cli.runs.doctor.HOSTS", ("{workspace}.invalid",))
    monkeypatch.setenv("CLINIA_BASE_URL", "http://127.0.0.1:1")
    findings = _findings(cli("doctor", "--workspace", "acme", "--json").json)
    assert findings["registry"][1].startswith("https://acme.invalid: ")
    ran = cli("doctor", "--workspace", "acme", "--base-url", "http://127.0.0.1:1")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("error: --workspace and --base-url exclude each other")


def test_no_more_than_thirty_requests_are_ever_sent(
    cli: Cli, served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three places, five collections, a task that takes long, and a record that is never found."""
    monkeypatch.setenv("CLINIA_API_KEY", served.key)
    monkeypatch.setattr("clinia_async.cli.runs.doctor_writes._READS", (0.0, 0.0, 0.0, 0.0))
    monkeypatch.setattr("clinia_async.cli.runs.doctor_writes._FIRST_PAUSE", 0.01)
    served.emulator.default = Accepted(Constant(0.3))
    served.emulator.faults.add(Refusal(route="get_resource", type="NOT_FOUND", status=404))
    collections = [each for key in "abcdef" for each in ("--collection", f"c-{key}")]
    urls = [
        each
        for url in ("http://127.0.0.1:1", "http://127.0.0.1:2", served.url)
        for each in ("--base-url", url)
    ]
    ran = cli("doctor", *urls, "--source", "ehr", *collections, "--write", "--json")
    findings = _findings(ran.json)
    assert findings["write"][1].startswith("ACCEPTED as a task")
    assert findings["read after write"][0] is False
    assert findings["scratch source"][0] is True
    assert served.arrivals.total() + 4 == ran.json["requests"] <= 30  # four went to places where nobody is


def test_a_source_that_is_left_is_named(cli: Cli, served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLINIA_API_KEY", served.key)
    served.emulator.faults.add(Refusal(route="delete_source", type="PERMISSION_DENIED", status=403))
    ran = cli("doctor", "--base-url", served.url, "--write", "--json")
    (finding,) = [each for each in ran.json["findings"] if each["name"] == "scratch source"]
    assert (ran.code, finding["good"]) == (1, False)
    source = finding["text"].partition(" ")[0]
    assert finding["advice"] == f"delete it: clinia-async source delete {source}"
    assert cli("source", "get", source).json["key"] == source


@pytest.mark.parametrize("output", ["json", "ndjson", "table"])
def test_each_way_to_print_it(output: str, cli: Cli) -> None:
    with UnusualServer(service) as server:
        ran = cli("doctor", "--base-url", server.url, "--output", output)
    assert ran.code == 0
    if output == "table":
        assert ran.out.startswith("ok   registry         http://127.0.0.1:")
    else:
        assert ran.json["set"] == {"CLINIA_BASE_URL": server.url}
