"""Every option of a write of Spark is taken or refused; none is passed over."""

import pytest

from clinia_async import CliniaError, ConfigError
from clinia_async.engines.spark_options import SparkOptions
from clinia_async.models.identifiers import escape_dots

GIVEN = {"source": "ehr", "baseUrl": "http://127.0.0.1:9"}
CANARY = "canary-4711"


@pytest.mark.parametrize("name", ["onFailed", "dots", "rate", "slots", "action", "via", "columns"])
@pytest.mark.parametrize("value", [CANARY, "", "0", "-1", "nan", "inf", "1_0", "Report", "keep"])
def test_a_value_that_an_option_does_not_have_is_refused(name: str, value: str) -> None:
    with pytest.raises(CliniaError) as caught:
        SparkOptions.of({**GIVEN, "rate": "10", name: value})
    assert CANARY not in str(caught.value)


def test_slots_without_a_rate_are_refused() -> None:
    with pytest.raises(ConfigError, match="slots must be left out"):
        SparkOptions.of({**GIVEN, "slots": "4"})


@pytest.mark.parametrize("name", ["apiKey", "token", "KEY", "tiemzone"])
def test_a_key_and_an_unknown_option_are_refused(name: str) -> None:
    with pytest.raises(ConfigError) as caught:
        SparkOptions.of({**GIVEN, name: CANARY})
    assert CANARY not in str(caught.value)


def test_every_option_has_its_effect() -> None:
    options = SparkOptions.of(
        {**GIVEN, "onFailed": "report", "dots": "escape", "rate": "10", "slots": "4", "action": "Upsert"}
    )
    config = options.config
    assert not options.fails
    assert config.map_id is escape_dots
    assert config.options["limits"].rate == 2.5
    assert config.action == "UPSERT"
    usual = SparkOptions.of({**GIVEN, "onFailed": "fail", "dots": "refuse", "path": "x"})
    assert (usual.fails, usual.config.map_id) == (True, None)
