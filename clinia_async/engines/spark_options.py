"""The options of a write of Spark, checked. Nothing of Spark is needed here."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import cast

from attrs import frozen

from clinia_async.errors import ConfigError
from clinia_async.errors.settings import Number
from clinia_async.ingest.options import IngestionOptions
from clinia_async.ingest.partition import PartitionConfig
from clinia_async.ingest.readers.column_mapping import ColumnMapping
from clinia_async.models import Action
from clinia_async.models.identifiers import escape_dots
from clinia_async.transport.adaptive_limit import ConcurrencyLimits

_SECRETS = frozenset({"apikey", "api_key", "key", "token"})
_NAMES = frozenset(
    {"source", "workspace", "baseurl", "apikeyenv", "action", "columns", "dots", "timezone", "rate", "slots"}
    | {"via", "journals", "report", "onfailed"}
)


@frozen(kw_only=True)
class SparkOptions:
    """The options of a write, checked."""

    config: PartitionConfig
    report: Path | None
    fails: bool

    @classmethod
    def of(cls, given: Mapping[str, str]) -> "SparkOptions":
        """Return the options that Spark was given; it knows no upper case. Raises `ConfigError`."""
        options = {name.lower(): value for name, value in given.items()}
        options.pop("path", None)
        options.pop("checkpointlocation", None)
        if _SECRETS & options.keys():
            raise ConfigError(
                "the key is no option of Spark, where plans and the UI would show it: set CLINIA_API_KEY in"
                " the environment of the executors, or name another variable with apiKeyEnv"
            )
        if unknown := sorted(options.keys() - _NAMES):
            raise ConfigError(f"unknown option {unknown[0]}: use one of {', '.join(sorted(_NAMES))}")
        if "source" not in options:
            raise ConfigError("the option source must be set: the source that the records belong to")
        report = options.get("report")
        return cls(
            config=_config_of(options),
            report=None if report is None else Path(report),
            fails=_one_of(options, "onFailed", ("fail", "report")) != "report",
        )


def _config_of(options: Mapping[str, str]) -> PartitionConfig:
    chosen = IngestionOptions(limits=_limits_of(options))
    if "via" in options:
        chosen["via"] = options["via"]
    columns, journals = options.get("columns"), options.get("journals")
    return PartitionConfig(
        source=options["source"],
        workspace=options.get("workspace"),
        base_url=options.get("baseurl"),
        api_key_env=options.get("apikeyenv", "CLINIA_API_KEY"),
        action=Action(options.get("action", "create").upper()),
        map_id=escape_dots if _one_of(options, "dots", ("refuse", "escape")) == "escape" else None,
        columns=None if columns is None else ColumnMapping.parse(columns),
        timezone=options.get("timezone"),
        journals=None if journals is None else Path(journals),
        options=chosen,
    )


def _limits_of(options: Mapping[str, str]) -> ConcurrencyLimits:
    """There is no counter that all tasks share: each takes its part of the rate."""
    if "rate" not in options:
        if "slots" in options:
            raise ConfigError("the option slots must be left out where no rate is given: it shares the rate")
        return ConcurrencyLimits()
    slots = _number(options, "slots", Number(least=1, whole=True)) if "slots" in options else 1
    return ConcurrencyLimits(rate=_number(options, "rate", Number(above=0)) / slots)


def _number(options: Mapping[str, str], name: str, allowed: Number) -> float:
    text = options[name].strip()
    value: object = text
    if text.isascii() and "_" not in text:
        with suppress(ValueError):
            value = int(text) if allowed.whole else float(text)
    allowed.check(f"the option {name}", value)
    return cast("float", value)


def _one_of(options: Mapping[str, str], name: str, values: Sequence[str]) -> str | None:
    """Return the value of an option, None if it is not given. Raises `ConfigError` for any but `values`."""
    value = options.get(name.lower())
    if value is not None and value not in values:
        raise ConfigError(f"the option {name} must be one of {', '.join(values)}")
    return value
