"""Settings of the session that are wrong are refused before any of the processes is started."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from clinia_async import ConfigError, ProcessIngestion, Secret
from tests.factories import SOURCE
from tests.session.test_secrecy_of_locals import KEY, OURS, found_in, frames_of

TO = {"base_url": "http://127.0.0.1:9"}


def job(tmp_path: Path, session: Mapping[str, Any], **options: Any) -> ProcessIngestion:
    given: dict[str, Any] = {"processes": 1, "dead_letters": tmp_path / "dead.ndjson", **options}
    return ProcessIngestion([tmp_path / "records.ndjson"], SOURCE, session=session, **given)


def by_closure() -> Any:
    return lambda *given: f"{KEY}{given}"


WRONG: dict[str, tuple[Mapping[Any, Any], str]] = {
    "a range": ({**TO, "api_key": KEY, "timeout": -1}, "Session.timeout must be"),
    "a name": ({**TO, "api_key": KEY, "tiemout": 1}, "did you mean 'timeout'"),
    "a key": ({**TO, "api_key": f"{KEY} x"}, "printable ASCII"),
    "two credentials": ({**TO, "api_key": KEY, "token": KEY}, "exclude each other"),
    "no name": ({1: KEY}, "names of arguments"),
    "no mapping": ([("api_key", KEY)], "names of arguments"),  # type: ignore[dict-item]
    "connections of another process": ({**TO, "api_key": KEY, "http_session": object()}, "http_session"),
    "a closure for credentials": ({**TO, "credentials": by_closure()}, "session must hold"),
    "a closure that observes": ({**TO, "api_key": KEY, "observers": [by_closure()]}, "session must hold"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_setting_is_refused_before_anything_is_started(name: str, tmp_path: Path) -> None:
    session, said = WRONG[name]
    with pytest.raises(ConfigError, match=said) as caught:
        job(tmp_path, session)
    assert KEY not in str(caught.value)
    assert found_in(frames_of(caught.value), within=OURS) == []


@pytest.mark.parametrize(
    ("name", "options"),
    [("read", {"read": {"map_id": by_closure()}}), ("open_input", {"open_input": by_closure()})],
)
def test_what_no_process_can_be_given_is_refused(name: str, options: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"{name} must hold"):
        job(tmp_path, {**TO, "api_key": "k"}, **options)


@pytest.mark.parametrize("name", ["api_key", "token"])
def test_every_credential_can_be_given_as_a_secret(name: str, tmp_path: Path) -> None:
    (tmp_path / "records.ndjson").touch()
    report = asyncio.run(job(tmp_path, {**TO, name: Secret(KEY)}).run())  # in real time, as its process is
    assert report.read == 0


@pytest.mark.parametrize("processes", [0, 1_001, 10**14, True, 1.0])
def test_a_number_of_processes_that_no_machine_has_is_refused(processes: Any, tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match="processes must be a whole number of 1 or more and of at most 1000"
    ):
        job(tmp_path, {**TO, "api_key": "k"}, processes=processes)
