"""How the records of a file are read: options that become calls of `read_records`."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path

import click

import clinia_async as clinia

Command = Callable[..., int]

INPUT_HELP = """FILE may be compressed with gzip or zstd; `-` is standard input. Without --format the name
decides: .csv, .parquet, .fhir.json or .fhir.ndjson, and anything else is NDJSON.

\b
NDJSON  one record a line: {"type", "from": {"id", "type"}, "to": {"id", "type"}, "data",
        "meta"} is a relationship, and {"type", "id", "data", "meta", "contained"} a resource.
        "action" may say CREATE, UPSERT or DELETE; a line to delete names the record alone.
CSV     the first row names the columns, and --columns maps them to fields.
Parquet likewise; columns keep their types, and a struct's field is named a.b.
FHIR    Bundles or resources; each literal reference becomes a relationship.
"""


@dataclass(frozen=True)
class InputOptions:
    """How to read an input, as the command line says; for both methods a path of None is standard input."""

    format: str | None
    columns: "clinia.ColumnMapping | None"
    action: str
    dots: str

    def records(
        self, path: Path | None, source: str, passed_over: Counter[str] | None = None
    ) -> "clinia.RecordStream":
        """Return the records, as `read_records` does."""
        return clinia.read_records(
            path,
            source,
            format=self.format,
            columns=self.columns,
            action=self.action.upper(),
            map_id=self._map_id,
            passed_over=passed_over,
        )

    async def identity(self, path: Path | None) -> str | None:
        """Return the digest of the input, as `identity_of` does."""
        return await clinia.identity_of(
            path,
            format=self.format,
            columns=self.columns,
            action=self.action.upper(),
            map_id=self._map_id,
        )

    @property
    def _map_id(self) -> Callable[[str], str] | None:
        return clinia.escape_dots if self.dots == "escape" else None


def input_options(command: Command) -> Command:
    """Add the options of an input to a command, which is given `InputOptions` as `input_options`."""

    @wraps(command)
    def with_input(
        format: str | None,
        columns: "clinia.ColumnMapping | None",
        action: str,
        dots: str,
        **rest: object,
    ) -> int:
        return command(input_options=InputOptions(format, columns, action, dots), **rest)

    for option in reversed(_INPUT):
        with_input = option(with_input)
    return with_input


def _columns(text: str) -> "clinia.ColumnMapping":
    try:
        return clinia.ColumnMapping.parse(text)
    except clinia.ConfigError as error:
        reason = str(error)
    raise click.BadParameter(reason)


_INPUT = (
    click.option(
        "--format",
        type=click.Choice(["ndjson", "csv", "parquet", "fhir"]),
        help="The format of FILE.  [default: by its name]",
    ),
    click.option(
        "--columns",
        type=_columns,
        metavar="MAPPING",
        help="Which columns of a table become which fields, such as type==practises-at,from.id=npi,"
        "from.type==practitioner,to.id=org,to.type==organization,data.beds:int=beds. After `=` comes the name"
        " of a column, after `==` a text that is the same in every row. :str, :int, :float, :bool and :json"
        " give the type of a field. Without it the columns must be named as the fields.",
    ),
    click.option(
        "--action",
        type=click.Choice(["create", "upsert", "delete"]),
        default="create",
        show_default=True,
        help="The action of records that name none.",
    ),
    click.option(
        "--dots",
        type=click.Choice(["refuse", "escape"]),
        default="refuse",
        show_default=True,
        help="The id of an end must hold no dot. Refuse such a record, or write `.` as `_2E` and `_` as `_5F`"
        " in the ids of both ends of every record, which can be undone exactly.",
    ),
)
