"""Where a key may go: two hosts made of one workspace, or one base URL, and nothing else."""

import pytest

from clinia_async import ConfigError, Outcome, Session
from clinia_async.transport.base_urls import CATALOG_HOST, REGISTRY_HOST, Addresses


def test_two_hosts_of_one_workspace() -> None:
    addresses = Addresses.of_workspace("acme-2", REGISTRY_HOST, CATALOG_HOST)
    assert addresses.registry == "https://acme-2.clinia.cloud"
    assert addresses.catalog == "https://api.acme-2.clinia.cloud"


def test_the_hosts_are_settings() -> None:
    session = Session(
        "acme", api_key="k", registry_host="{workspace}.example.org:8443", catalog_host="one.example.org"
    )
    found = session._engine.addresses
    assert (found.registry, found.catalog) == ("https://acme.example.org:8443", "https://one.example.org")


@pytest.mark.parametrize(
    "workspace",
    [
        "",
        "evil.com/",
        "a@b",
        "a.b",
        "x\r\nHost: evil",
        "ACME",
        "a_b",
        "é",
        "xn--é",
        "-a",
        "a-",
        "a" * 64,
        "a\n",
        " a",
        "a:1",
        "a#",
        "a?",
        "a\\b",
        "٣",
        "a\0",
        "\ud800",
    ],
)
def test_a_workspace_is_one_label(workspace: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Session(workspace, api_key="k")
    assert caught.value.outcome is Outcome.NOT_SENT
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize("workspace", ["a", "7", "a" * 63, "a-b-c", "xn--bcher-kva"])
def test_workspaces(workspace: str) -> None:
    assert Session(workspace, api_key="k")._engine.addresses.registry == f"https://{workspace}.clinia.cloud"


@pytest.mark.parametrize(
    "host",
    [
        "",
        "evil.com/{workspace}",
        "{workspace}@evil.com",
        "https://{workspace}.x",
        "{workspace}.x#",
        "{workspace}.x?",
        "{workspace} .x",
        "{workspace}.x:99999x",
        "-x",
        "{workspace}\n",
    ],
)
def test_bad_hosts(host: str) -> None:
    for name in ("registry_host", "catalog_host"):
        with pytest.raises(ConfigError):
            Session("acme", api_key="k", **{name: host})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "url",
    [
        "",
        "acme.clinia.cloud",
        "//acme.clinia.cloud",
        "ftp://acme.clinia.cloud",
        "file:///etc/passwd",
        "http://acme.clinia.cloud",
        "http://10.0.0.1",
        "http://169.254.169.254",
        "http://localhost.evil.com",
        "http://127.0.0.1.evil.com",
        "http://0.0.0.0",
        "http://[::2]",
        "https://user@acme.clinia.cloud",
        "https://user:secret@acme.clinia.cloud",
        "https://:@acme.clinia.cloud",
        "https://@acme.clinia.cloud",
        "https://acme.clinia.cloud?x=1",
        "https://acme.clinia.cloud?",
        "https://acme.clinia.cloud#x",
        "https://acme.clinia.cloud/#",
        "https://acme.clinia.cloud/a b",
        "https://acme.clinia.cloud\r\nX: y",
        "https://acme.clinia.cloud\n",
        "https://acme.clinia.cloud\\@evil.com",
        "https://é.clinia.cloud",
        "https://",
        "https:///x",
        "https://:443",
        "https://acme.clinia.cloud:99999",
        "https://acme.clinia.cloud:x",
        "https://acme.clinia.cloud:-1",
        "https://acme.clinia.cloud:0",
        "https://[::1",
        "https://[not-an-ip]",
        "javascript:alert(1)",
    ],
)
def test_base_urls_that_are_refused(url: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Session(api_key="k", base_url=url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "https://acme.clinia.cloud",
        "https://acme.clinia.cloud:8443/a/b/",
        "http://127.0.0.1:1",
        "http://127.8.8.8",
        "http://localhost:80",
        "http://[::1]:8080",
        "HTTPS://ACME.clinia.cloud",
    ],
)
def test_base_urls(url: str) -> None:
    addresses = Session(api_key="k", base_url=url)._engine.addresses
    assert addresses.registry == addresses.catalog == url.rstrip("/")


@pytest.mark.parametrize("key", ["", " ", "a b", "a\r\nX: y", "a\n", "é", "a\0", "a\x7f", "\ud800", "٣"])
def test_keys_that_are_refused_are_not_echoed(key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Session("acme", api_key=f"canary{key}canary" if key else "")
    assert "canary" not in str(caught.value)
    assert "canary" not in repr(caught.value)


@pytest.mark.parametrize("key", [None, 7, b"bytes"])
def test_keys_of_another_type(key: object) -> None:
    with pytest.raises(ConfigError):
        Session("acme", api_key=key)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [None, 7, b"acme"])
def test_addresses_of_another_type(value: object) -> None:
    with pytest.raises(ConfigError):
        Session(value, api_key="k")  # type: ignore[arg-type]
    if value is not None:
        with pytest.raises(ConfigError):
            Session(api_key="k", base_url=value)  # type: ignore[arg-type]
