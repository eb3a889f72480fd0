"""Every argument of what reads and sends, with values that it is not meant for."""

import asyncio
import inspect
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

import clinia_async as clinia
from clinia_async import CliniaError, InputError, Session
from tests.captured_locals import OURS, frames_of, held_in
from tests.cli.served import Served
from tests.ingest.running import SOURCE
from tests.wrong_values import SECRET, WRONG

KEY = "KEY_OF_THE_WORKER"


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    with Served() as served:
        monkeypatch.setenv(KEY, served.key)
        yield served


@pytest.fixture
def usual(served: Served, tmp_path: Path) -> Mapping[str, Mapping[str, object]]:
    """What each can be called with, besides its defaults."""
    lines = tmp_path / "lines.ndjson"
    lines.write_text('{"type":"t","from":{"id":"a","type":"p"},"to":{"id":"b","type":"q"},"data":{}}\n')
    session = Session(base_url=served.url, api_key=served.key)
    config = clinia.PartitionConfig(source=SOURCE, base_url=served.url, api_key_env=KEY)
    letters = tmp_path / "letters.ndjson"
    return {
        "Ingestion": {"session": session, "source": SOURCE, "writes": []},
        "ProcessIngestion": {
            "files": [lines],
            "source": SOURCE,
            "processes": 1,
            "dead_letters": letters,
            "session": {"base_url": served.url, "api_key": served.key},
        },
        "fhir_definitions": {"path": lines},
        "identity_of": {"path": lines},
        "ingest_partition": {"rows": [], "config": config, "partition": 0},
        "rows": {"data": NoRows(), "source": SOURCE},
    }


class NoRows:
    """A cursor whose query found nothing."""

    description = ()

    def fetchmany(self, _: int) -> list[tuple[object, ...]]:
        return []


def parameters(made: Callable[..., object]) -> list[str]:
    known = inspect.signature(made).parameters.values()
    return [each.name for each in known if each.kind is not each.VAR_KEYWORD]


def call(made: Callable[..., Any], arguments: Mapping[str, object]) -> None:
    found = made(**arguments)
    if inspect.iscoroutine(found):
        asyncio.run(found)


@pytest.mark.parametrize(
    "name", ["Ingestion", "ProcessIngestion", "fhir_definitions", "identity_of", "ingest_partition", "rows"]
)
def test_a_wrong_argument_is_refused_in_words(
    name: str, usual: Mapping[str, Mapping[str, object]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    made, wrong = getattr(clinia, name), list[str]()
    for parameter in parameters(made):
        for what, make in WRONG.items():
            if parameter == "path" and "None" in what:
                continue  # standard input
            try:
                call(made, {**usual[name], parameter: make()})
            except InputError:
                pass  # a file that is not there: it is named
            except CliniaError as error:
                shown = [str(error)] if SECRET in f"{error} {error!r}" else []
                shown += held_in(frames_of(error), SECRET, within=OURS)
                wrong += [f"{parameter}={what}: {type(error).__name__}: {each}" for each in shown]
            except Exception as error:  # noqa: BLE001
                if isinstance(error, TypeError) and "has no option" in str(error):
                    continue
                wrong.append(f"{parameter}={what}: {type(error).__name__}: {error}")
    assert not wrong, "\n".join(wrong)
