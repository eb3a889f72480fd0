"""Settings are real parameters, checked when they are made, and each can come from the environment."""

import inspect
import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import clinia_async as clinia
from clinia_async import ConfigError, Polling, RetryPolicy, Session, TransportOptions
from clinia_async.emulator import Accepted, Constant, Emulator
from clinia_async.session.options import (
    NOT_FROM_ENVIRONMENT,
    VARIABLES,
    settings_of_groups,
)
from tests.factories import create, session_at

Make = Callable[[], object]


def session(**options: Any) -> Session:
    return Session("acme", **{"api_key": "k", **options})


def a_write(**options: Any) -> object:
    ends = {"from_": clinia.Ref("a", "b"), "to": clinia.Ref("c", "d")}
    return session().create_relationship("ehr", "type", **ends, **options)


WRONG: dict[str, tuple[Make, str]] = {
    "no key": (lambda: Session("acme"), "a credential is needed"),
    "api_key=None": (lambda: Session("acme", api_key=None), "a credential is needed"),
    "an empty key": (lambda: session(api_key=""), "a credential is needed"),
    "a key with a space": (lambda: session(api_key="a b"), "the API key must be"),
    "a key of bytes": (lambda: session(api_key=b"k"), "the API key must be"),
    "two credentials": (lambda: session(token="t"), "api_key and token exclude each other"),
    "no workspace": (lambda: Session(api_key="k"), "give a workspace or a base_url, or set CLINIA_WORKSPACE"),
    "an empty workspace": (lambda: Session("", api_key="k"), "workspace must be one DNS label"),
    "a workspace of a number": (lambda: Session(7, api_key="k"), "workspace must be one DNS label"),  # type: ignore[arg-type]
    "another host": (lambda: Session("acme.example.org", api_key="k"), "workspace must be one DNS label"),
    "plain http": (lambda: Session(api_key="k", base_url="http://example.org"), "base_url must be https"),
    "no URL": (lambda: Session(api_key="k", base_url="example.org"), "base_url must be an https URL"),
    "timeout of zero": (lambda: session(timeout=0), "Session.timeout must be a finite number greater than 0"),
    "timeout of nan": (lambda: session(timeout=math.nan), "Session.timeout must be"),
    "timeout of infinity": (lambda: session(timeout=math.inf), "Session.timeout must be"),
    "timeout of None": (lambda: session(timeout=None), "Session.timeout must be"),
    "timeout of text": (lambda: session(timeout="60"), "Session.timeout must be"),
    "timeout of True": (lambda: session(timeout=True), "Session.timeout must be"),
    "a negative grace": (lambda: session(close_grace=-1), "Session.close_grace must be a finite number of 0"),
    "reconcile_timeout": (lambda: session(reconcile_timeout=0), "Session.reconcile_timeout must be"),
    "retry of a number": (
        lambda: session(retry=3),
        "Session.retry must be of the class RetryPolicy, not int",
    ),
    "retry of None": (lambda: session(retry=None), "Session.retry must be of the class RetryPolicy"),
    "polling of a number": (
        lambda: session(polling=5),
        "Session.polling must be of the class Polling, not int",
    ),
    "transport of a dict": (lambda: session(transport={}), "Session.transport must be of the class"),
    "coalesce of a number": (lambda: session(coalesce=1), "Session.coalesce must be of the class bool"),
    "read_back of None": (lambda: session(read_back=None), "Session.read_back must be of the class bool"),
    "in_doubt_limit": (lambda: session(in_doubt_limit=0), "Session.in_doubt_limit must be a whole number"),
    "in_doubt_age": (lambda: session(in_doubt_age=-1), "Session.in_doubt_age must be"),
    "http_session": (lambda: session(http_session=object()), "Session.http_session must be of the class"),
    "a proxy without a scheme": (lambda: session(proxy="localhost:3128"), "proxy must be"),
    "headers": (lambda: session(headers={"Host": "x"}), "headers cannot set Host"),
    "attempts": (lambda: RetryPolicy(attempts=0), "RetryPolicy.attempts must be a whole number of 1 or more"),
    "attempts of 1.5": (lambda: RetryPolicy(attempts=1.5), "RetryPolicy.attempts must be a whole number"),  # type: ignore[arg-type]
    "base": (lambda: RetryPolicy(base=-0.1), "RetryPolicy.base must be"),
    "cap": (lambda: RetryPolicy(cap=math.nan), "RetryPolicy.cap must be"),
    "budget": (lambda: RetryPolicy(budget=-1), "RetryPolicy.budget must be"),
    "no end": (lambda: RetryPolicy(attempts=None), "RetryPolicy needs attempts or patience"),
    "in_flight": (lambda: Polling(in_flight=0), "Polling.in_flight must be a whole number of 1 or more"),
    "per_second": (lambda: Polling(per_second=0), "Polling.per_second must be"),
    "a negative grace of polls": (lambda: Polling(grace=-1), "Polling.grace must be"),
    "patience": (lambda: Polling(patience=math.nan), "Polling.patience must be"),
    "jitter": (
        lambda: Polling(jitter=1.5),
        "Polling.jitter must be a finite number of 0 or more and less than 1",
    ),
    "pace": (lambda: Polling(pace=3), "Polling.pace must be a function"),  # type: ignore[arg-type]
    "connect": (lambda: TransportOptions(connect=0), "TransportOptions.connect must be"),
    "attempt": (lambda: TransportOptions(attempt=0), "TransportOptions.attempt must be"),
    "slowest": (lambda: TransportOptions(slowest=0), "TransportOptions.slowest must be"),
    "connections": (lambda: TransportOptions(connections=0), "TransportOptions.connections must be"),
    "largest_answer": (
        lambda: TransportOptions(largest_answer=-1),
        "TransportOptions.largest_answer must be",
    ),
    "limits": (lambda: clinia.ConcurrencyLimits(start=0), "ConcurrencyLimits"),
    "rate": (lambda: clinia.ConcurrencyLimits(rate=math.nan), "ConcurrencyLimits.rate must be"),
    "bytes": (lambda: clinia.ConcurrencyLimits(bytes=0), "ConcurrencyLimits.bytes must be"),
    "source": (lambda: session(source="a b"), "Session.source must be 1 to 62 ASCII letters"),
    "source of a number": (lambda: session(source=5), "Session.source must be 1 to 62 ASCII letters"),
    "timeout of a call": (lambda: a_write(timeout="5"), "timeout must be a number of seconds, or None"),
    "nan for a call": (lambda: a_write(timeout=math.nan), "timeout must be a number of seconds, or None"),
    "timeout of a read": (
        lambda: session().get_source("ehr", timeout=True),  # type: ignore[func-returns-value]
        "timeout must be a number of seconds, or None",
    ),
    "timeout of a partition": (
        lambda: session().delete_partition("key", timeout="5"),  # type: ignore[arg-type]
        "timeout must be a number of seconds, or None",
    ),
    "read_back of a call": (lambda: a_write(read_back="no"), "read_back must be True, False or None"),
    "session of a job": (lambda: clinia.Ingestion("acme", "ehr", []), "session must be of the class Session"),  # type: ignore[arg-type]
    "journal of a job": (
        lambda: clinia.Ingestion(session(), "ehr", [], journal=5),  # type: ignore[arg-type]
        "journal must be the path of a file, not int",
    ),
    "a file": (lambda: clinia.read_records(5, "ehr"), "path must be the path of a file, not int"),  # type: ignore[arg-type]
    "dead letters": (lambda: clinia.DeadLetters(None), "path must be the path of a file, not NoneType"),  # type: ignore[arg-type]
    "decrease": (lambda: clinia.ConcurrencyLimits(decrease=1), "ConcurrencyLimits.decrease must be"),
}


def test_the_table_has_forty_wrong_settings() -> None:
    assert len(WRONG) >= 40


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_setting_is_refused_by_class_name_and_range(name: str) -> None:
    make, said = WRONG[name]
    with pytest.raises(ConfigError, match=re.escape(said)):
        make()


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("tiemout", "Session has no option 'tiemout': did you mean 'timeout'?"),
        ("retries", "Session has no option 'retries': did you mean 'retry'?"),
        ("baseurl", "Session has no option 'baseurl': did you mean 'base_url'?"),
        ("apikey", "Session has no option 'apikey': did you mean 'api_key'?"),
        ("max_wait", "Session has no option 'max_wait': the options are workspace, api_key, "),
    ],
)
def test_an_unknown_option_is_refused_and_the_right_one_named(option: str, said: str) -> None:
    with pytest.raises(TypeError) as caught:
        session(**{option: 3})
    assert str(caught.value).startswith(said)
    with pytest.raises(TypeError, match=f"Session.from_env has no option '{option}'"):
        Session.from_env("acme", **{option: 3})


@pytest.mark.parametrize(
    ("make", "option", "said"),
    [
        (RetryPolicy, "atempts", "RetryPolicy has no option 'atempts': did you mean 'attempts'?"),
        (Polling, "patiense", "Polling has no option 'patiense': did you mean 'patience'?"),
        (TransportOptions, "conect", "TransportOptions has no option 'conect': did you mean 'connect'?"),
        (clinia.ConcurrencyLimits, "max", "ConcurrencyLimits has no option 'max': the options are start, "),
        (clinia.ChunkLimits, "operation", "ChunkLimits has no option 'operation': did you mean 'operations'"),
        (clinia.TableOptions, "delimeter", "TableOptions has no option 'delimeter': did you mean 'delimite"),
        (
            lambda **given: session().with_options(**given),
            "tmeout",
            "Session.with_options has no option 'tmeout': did you mean 'timeout'?",
        ),
    ],
)
def test_so_is_one_of_a_class_of_settings(make: Callable[..., object], option: str, said: str) -> None:
    with pytest.raises(TypeError) as caught:
        make(**{option: 3})
    assert str(caught.value).startswith(said)


def test_a_path_may_be_text(tmp_path: Path) -> None:
    name = str(tmp_path / "records.ndjson")
    assert clinia.DeadLetters(name).path == Path(name)
    clinia.read_records(name, "ehr")
    clinia.read_records([name, tmp_path / "more.ndjson"], "ehr")
    clinia.Ingestion(session(), "ehr", [], journal=name)


async def test_so_is_a_wrong_time_to_wait() -> None:
    async with Emulator(default=Accepted(Constant(5.0))) as emulator, session_at(emulator) as opened:
        task = await create(opened)
        for wait in (task.result, task.wait):
            with pytest.raises(ConfigError, match="timeout must be a number of seconds, or None"):
                await wait(timeout="5")  # type: ignore[operator]
        with pytest.raises(ConfigError, match="timeout must be a number of seconds, or None"):
            await opened.wait([task], timeout="5")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("before", "name", "value"),
    [("wire", "transport", TransportOptions(attempt=3)), ("settle_within", "reconcile_timeout", 3.0)],
)
def test_a_previous_name_of_an_option_is_taken_with_a_warning(before: str, name: str, value: object) -> None:
    with pytest.warns(DeprecationWarning, match=f"'{before}' is now '{name}'"):
        made = session(**{before: value})
    assert getattr(made._engine._options, name) == value


def test_options_are_parameters_with_types_and_defaults() -> None:
    parameters = inspect.signature(Session).parameters
    kinds = {parameter.kind for parameter in parameters.values()}
    assert kinds == {inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY}
    assert all(parameter.annotation is not inspect.Parameter.empty for parameter in parameters.values())
    assert parameters["timeout"].default == 60.0
    assert parameters["retry"].default == RetryPolicy()
    assert set(inspect.signature(Session.from_env).parameters) == set(parameters)
    doc = inspect.getdoc(Session) or ""
    assert [name for name in parameters if not re.search(rf"^ +{name}: ", doc, re.MULTILINE)] == []


# The environment


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CLINIA_WORKSPACE", "acme")
    monkeypatch.setenv("CLINIA_API_KEY", "k")
    return monkeypatch


def test_every_setting_that_a_text_can_give_has_a_variable() -> None:
    settings = set(inspect.signature(Session).parameters) - {"retry", "polling", "transport"}
    given = {setting for setting, _ in VARIABLES.values()}
    assert given == (settings | settings_of_groups()) - NOT_FROM_ENVIRONMENT
    assert all(
        name == f"CLINIA_{setting.replace('.', '_').upper()}" for name, (setting, _) in VARIABLES.items()
    )


def setting_of(made: Session, name: str) -> object:
    found: Any = made._engine._options
    for part in name.split("."):
        found = getattr(found, part)
    return found


@pytest.mark.parametrize("variable", [name for name, (_, parse) in VARIABLES.items() if parse is not str])
def test_a_number_of_the_environment_becomes_its_setting(
    variable: str, environment: pytest.MonkeyPatch
) -> None:
    setting, parse = VARIABLES[variable]
    text = "on" if parse.__name__ == "_flag" else "0.5" if setting == "polling.jitter" else "7"
    environment.setenv(variable, text)
    assert setting_of(Session.from_env(), setting) == parse(text)


@pytest.mark.parametrize(
    ("variable", "text", "said"),
    [
        ("CLINIA_TIMEOUT", "soon", "CLINIA_TIMEOUT must be a number"),
        ("CLINIA_TIMEOUT", "nan", "Session.timeout must be"),
        ("CLINIA_TIMEOUT", "1_0", "CLINIA_TIMEOUT must be a number"),
        ("CLINIA_COALESCE", "maybe", "CLINIA_COALESCE must be one of 1, true, yes, on"),
        ("CLINIA_RETRY_ATTEMPTS", "2.5", "CLINIA_RETRY_ATTEMPTS must be a whole number"),
        ("CLINIA_RETRY_ATTEMPTS", "0", "RetryPolicy.attempts must be a whole number of 1 or more"),
        ("CLINIA_POLLING_IN_FLIGHT", "0", "Polling.in_flight must be"),
        ("CLINIA_WORKSPACE", "acme.example.org", "workspace must be one DNS label"),
        ("CLINIA_API_KEY", "a b", "the API key must be printable ASCII"),
        ("CLINIA_TOKEN", "t", "api_key and token exclude each other"),
        ("CLINIA_PROXY", "nowhere", "proxy must be"),
    ],
)
def test_a_wrong_text_in_the_environment_is_reported(
    variable: str, text: str, said: str, environment: pytest.MonkeyPatch
) -> None:
    environment.setenv(variable, text)
    with pytest.raises(ConfigError, match=re.escape(said)) as caught:
        Session.from_env()
    assert text == "0" or text not in str(caught.value).split()


@pytest.mark.parametrize(
    "workspace",
    [
        "acme",
        "acme.clinia.cloud",
        "api.acme.clinia.cloud",
        "acme.w.clinia.cloud",
        "https://acme.clinia.cloud/",
        "  acme\n",
    ],
)
def test_a_workspace_is_a_label_or_a_host(workspace: str, environment: pytest.MonkeyPatch) -> None:
    environment.setenv("CLINIA_WORKSPACE", workspace)
    addresses = Session.from_env()._engine.addresses
    assert addresses.registry == "https://acme.clinia.cloud"
    assert addresses.catalog == "https://api.acme.clinia.cloud"


HOSTS = {"registry_host": "one.example", "catalog_host": "two.example"}


@pytest.mark.parametrize("host", HOSTS)
def test_hosts_beside_a_base_url_are_refused(
    host: str, environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A base URL stands for both, so a host would be passed over; what is nearer to the call decides."""
    given: Any = {host: HOSTS[host]}
    with pytest.raises(ConfigError, match="base_url stands for both hosts"):
        Session(api_key="k", base_url="https://x.example", **given)
    for name in ("WORKSPACE", "BASE_URL"):
        environment.delenv(f"CLINIA_{name}", raising=False)
    environment.setenv(f"CLINIA_{host.upper()}", HOSTS[host])
    assert Session.from_env(base_url="https://x.example").registry == "https://x.example"
    environment.setenv("CLINIA_BASE_URL", "https://x.example")
    with pytest.raises(ConfigError, match=f"CLINIA_{host.upper()}"):
        Session.from_env()
    assert Session.from_env("acme").registry != "https://x.example"
    environment.delenv(f"CLINIA_{host.upper()}")
    profile = tmp_path / "profile"
    profile.write_text(f"CLINIA_{host.upper()}={HOSTS[host]}\nCLINIA_WORKSPACE=acme\n")
    environment.setenv("CLINIA_PROFILE", str(profile))
    assert Session.from_env().registry == "https://x.example"


def test_a_token_of_the_environment(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("CLINIA_TOKEN", "t")
    environment.setenv("CLINIA_API_KEY", "")
    known = Session.from_env()._engine.identity.credentials.known
    assert known is not None
    assert {name: value.reveal() for name, value in known.items()} == {"Authorization": "Bearer t"}


def test_an_argument_goes_before_its_variable_and_those_that_it_excludes(
    environment: pytest.MonkeyPatch,
) -> None:
    environment.setenv("CLINIA_TIMEOUT", "7")
    environment.setenv("CLINIA_RETRY_ATTEMPTS", "2")
    made = Session.from_env(timeout=9, retry=RetryPolicy(base=1), token="t", base_url="https://x.example.org")
    assert setting_of(made, "timeout") == 9
    assert setting_of(made, "retry") == RetryPolicy(base=1)
    assert made._engine.addresses.registry == "https://x.example.org"


def test_an_empty_variable_is_as_none(environment: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        if name not in {"CLINIA_WORKSPACE", "CLINIA_API_KEY"}:
            environment.setenv(name, " ")
    assert setting_of(Session.from_env(), "timeout") == 60.0
    environment.setenv("CLINIA_API_KEY", "")
    with pytest.raises(ConfigError, match="set CLINIA_API_KEY or CLINIA_TOKEN"):
        Session.from_env()


def test_the_version_is_that_of_the_package() -> None:
    pyproject = (Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8")
    assert f'\nversion = "{clinia.__version__}"\n' in pyproject


def test_a_misspelt_variable_is_logged_and_one_of_another_program_is_not(
    environment: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    environment.setenv("CLINIA_API_KEY", "k")
    environment.setenv("CLINIA_WORKSPACE", "acme")
    environment.setenv("CLINIA_TIMOUT", "3")
    environment.setenv("CLINIA_DEPLOYMENT", "blue")
    Session.from_env()
    said = [record.getMessage() for record in caplog.records]
    assert said == ["the environment variable CLINIA_TIMOUT is no setting: did you mean CLINIA_TIMEOUT?"]


def test_a_misspelt_variable_of_a_profile_is_refused_and_the_right_one_named(
    environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "profile").write_text("CLINIA_TIMOUT=3\n")
    environment.setenv("CLINIA_PROFILE", str(tmp_path / "profile"))
    with pytest.raises(ConfigError, match="of a setting: did you mean CLINIA_TIMEOUT"):
        Session.from_env("acme", api_key="k")


@pytest.mark.parametrize(
    "line",
    [
        "CLINIA_WORKSPACE=acme",
        "export CLINIA_WORKSPACE=acme",
        "CLINIA_WORKSPACE = acme ",
        'CLINIA_WORKSPACE="acme"',
        "CLINIA_WORKSPACE='acme'\r",
        "\ufeffCLINIA_WORKSPACE=acme",
        "# the workspace\nCLINIA_WORKSPACE=acme\n\n",
    ],
)
def test_a_line_of_a_profile_is_read_as_shells_and_editors_write_it(
    line: str, environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "profile").write_text(line, encoding="utf-8", newline="")
    environment.setenv("CLINIA_PROFILE", str(tmp_path / "profile"))
    assert "acme" in Session.from_env(api_key="k").registry


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("CLINIA_API_KEY=CANARY # of the test system", "line 1 .* comment on a line of its own"),
        ('CLINIA_API_KEY="CANARY', "line 1 .* in quotes"),
        ('CLINIA_API_KEY="CANARY" # note', "line 1 .* comment on a line of its own"),
        ("CLINIA_TIMEOUT=3\nCLINIA_TIMEOUT=4", "line 2 .* gives CLINIA_TIMEOUT again"),
        ("CLINIA_TIMEOUT: 3", "line 1 .* NAME=VALUE"),
    ],
)
def test_a_line_of_a_profile_that_may_mean_two_things_is_refused(
    text: str, wanted: str, environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "profile").write_text(text)
    environment.setenv("CLINIA_PROFILE", str(tmp_path / "profile"))
    with pytest.raises(ConfigError, match=wanted) as caught:
        Session.from_env("acme")
    assert "CANARY" not in str(caught.value)


@pytest.mark.parametrize("name", ["CLINIA_API_KEY", "CLINIA_WORKSPACE", "CLINIA_TIMEOUT", "CLINIA_BASE_URL"])
@pytest.mark.parametrize("quote", ['"', "'"])
def test_quotes_around_a_variable_are_refused(name: str, quote: str, environment: pytest.MonkeyPatch) -> None:
    """`docker --env-file` hands them on, and the service would say that the key is wrong."""
    environment.setenv("CLINIA_API_KEY", "k")
    environment.setenv(name, f"{quote}CANARY{quote}")
    with pytest.raises(ConfigError, match=f"{name} must not be in quotes") as caught:
        Session.from_env()
    assert "CANARY" not in str(caught.value)


@pytest.mark.parametrize("given", ["api_key", "token"])
def test_quotes_around_a_credential_are_refused(given: str) -> None:
    """A file of a key may hold them, and so may whatever a program reads its key from."""
    with pytest.raises(ConfigError, match="must not be in quotes") as caught:
        Session("acme", **{given: '"CANARY"'})  # type: ignore[arg-type]
    assert "CANARY" not in str(caught.value)
