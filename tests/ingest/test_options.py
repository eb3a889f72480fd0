"""An option that is wrong is refused when the job is made, by its name and range."""

import inspect
import math
from collections.abc import Callable

import pytest

from clinia_async import ChunkLimits, ConfigError, Ingestion, IngestionOptions, PartitionConfig, Session
from tests.ingest.running import SOURCE

WRONG_LIMITS: list[dict[str, object]] = [
    {"operations": 0},
    {"operations": -1},
    {"operations": 1.5},
    {"operations": True},
    {"operations": "5000"},
    {"bytes": 0},
    {"bytes": math.nan},
    {"linger": -0.1},
    {"linger": math.inf},
    {"linger": math.nan},
]


@pytest.mark.parametrize("wrong", WRONG_LIMITS, ids=str)
def test_a_wrong_limit_of_chunks_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=f"ChunkLimits.{next(iter(wrong))} must be"):
        ChunkLimits(**wrong)  # type: ignore[arg-type]


WRONG_OPTIONS: list[dict[str, object]] = [
    {"workers": 0},
    {"workers": 10_001},
    {"workers": 10**30},
    {"workers": 1.5},
    {"patience": -1},
    {"patience": math.nan},
    {"patience": "60"},
    {"fence": math.inf},
    {"fence": -1},
    {"via": "post"},
    {"via": None},
    {"on_existing": "overwrite"},
    {"on_unknown": "retry"},
    {"chunk": 100},
    {"chunk": {"operations": 100}},
    {"limits": 4},
]


@pytest.fixture
def session() -> Session:
    return Session("acme", api_key="k")


@pytest.mark.parametrize("wrong", [*WRONG_OPTIONS, {"journal_is_copy": True}], ids=str)
async def test_a_wrong_option_of_a_job_is_refused(session: Session, wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=f"^{next(iter(wrong))} must be"):
        Ingestion(session, SOURCE, [], **wrong)  # type: ignore[arg-type]


async def test_an_unknown_option_is_refused_with_the_one_that_may_be_meant(session: Session) -> None:
    with pytest.raises(TypeError, match="did you mean 'patience'"):
        Ingestion(session, SOURCE, [], patiense=3)  # type: ignore[call-arg]


@pytest.mark.parametrize("wrong", WRONG_OPTIONS, ids=str)
def test_a_wrong_option_of_a_partition_is_refused_before_it_is_sent_to_a_worker(
    wrong: dict[str, object],
) -> None:
    with pytest.raises(ConfigError, match=f"^{next(iter(wrong))} must be"):
        PartitionConfig(source=SOURCE, options=wrong)  # type: ignore[arg-type]


def parameters(function: Callable[..., object]) -> dict[str, inspect.Parameter]:
    return dict(inspect.signature(function).parameters)


def test_every_option_of_a_job_is_a_parameter_with_a_type_and_a_default() -> None:
    found = parameters(Ingestion)
    options = {name: each for name, each in found.items() if each.kind is inspect.Parameter.KEYWORD_ONLY}
    assert not [each for each in found.values() if each.kind is inspect.Parameter.VAR_KEYWORD]
    assert all(each.default is not inspect.Parameter.empty for each in options.values())
    assert all(each.annotation is not inspect.Parameter.empty for each in options.values())
    assert set(IngestionOptions.__annotations__) <= set(options)
    about = inspect.getdoc(Ingestion) or ""
    assert not [name for name in options if f"{name}: " not in about], "each is described"
