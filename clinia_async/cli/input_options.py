"""How the records of a file are read: options that become calls of `read_records`."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path

import click

import clinia_async as clinia

Command = Callable[..., int]

INPUT_HELP = """FILE may be compressed by gzip, bzip2, xz or zstd, or be a zip archive of one file; a folder
or a pattern stands for the files in it, and `-` for standard input. Without --format the name decides:
.csv, .tsv, .parquet, .json, .fhir.json or .fhir.ndjson, and anything else is NDJSON. Where the content is
plainly of another format, nothing is read, and the message says what to give.

\b
NDJSON  one record a line: {"type", "from": {"id", "type"}, "to": {"id", "type"}, "data",
        "meta"} is a relationship, and {"type", "id", "data", "meta", "contained"} a resource.
        "action" may say CREATE, UPSERT or DELETE; a line to delete names the record alone.
CSV     the first row names the columns, and --columns maps them to fields.
Parquet likewise; columns keep their types, and a struct's field is named a.b.
JSON    a list of the same records.
FHIR    Bundles or resources; each literal reference becomes a relationship.
"""


@dataclass(frozen=True)
class InputOptions:
    """How to read an input, as the command line says; for both methods None is standard input."""

    format: str | None
    columns: "clinia.ColumnMapping | None"
    action: str
    dots: str
    fhir: str
    fhir_base: str | None
    table: "clinia.TableOptions | None"

    def records(
        self, paths: tuple[Path, ...] | None, source: str, passed_over: Counter[str] | None = None
    ) -> "clinia.RecordStream":
        """Return the records, as `read_records` does."""
        return clinia.read_records(
            paths,
            source,
            format=self.format,
            columns=self.columns,
            action=self.action.upper(),
            map_id=self._map_id,
            fhir=self.fhir,
            fhir_base=self.fhir_base,
            table=self.table,
            passed_over=passed_over,
        )

    async def identity(self, paths: tuple[Path, ...] | None) -> str | None:
        """Return the digest of the input, as `identity_of` does."""
        return await clinia.identity_of(
            paths,
            format=self.format,
            columns=self.columns,
            action=self.action.upper(),
            map_id=self._map_id,
            fhir=self.fhir,
            fhir_base=self.fhir_base,
            table=self.table,
        )

    @property
    def passes(self) -> int:
        """How often each file is read."""
        return 2 if self.fhir == "both" else 1

    @property
    def _map_id(self) -> Callable[[str], str] | None:
        return clinia.escape_dots if self.dots == "escape" else None


def input_options(command: Command) -> Command:
    """Add the options of an input to a command, which is given `InputOptions` as `input_options`."""

    @wraps(command)
    def with_input(
        *,
        format: str | None,
        columns: "clinia.ColumnMapping | None",
        action: str,
        dots: str,
        fhir: str,
        fhir_base: str | None,
        **rest: object,
    ) -> int:
        given = {name: rest.pop(name) for name in _TABLE_NAMES}
        return command(
            input_options=InputOptions(format, columns, action, dots, fhir, fhir_base, _table(given)), **rest
        )

    for option in reversed((*_INPUT, *_TABLE)):
        with_input = option(with_input)
    return with_input


def _table(given: dict[str, object]) -> "clinia.TableOptions | None":
    """Return the options that were given; None if none was, so that nothing heavy is loaded."""
    given = {name: value for name, value in given.items() if value is not None}
    try:
        return clinia.TableOptions(**given) if given else None  # type: ignore[arg-type]
    except clinia.ConfigError as error:
        reason = str(error)
    raise click.UsageError(reason)


def _columns(text: str) -> "clinia.ColumnMapping":
    try:
        return clinia.ColumnMapping.parse(text)
    except clinia.ConfigError as error:
        reason = str(error)
    raise click.BadParameter(reason)


_TABLE_NAMES = (
    "delimiter",
    "quote",
    "encoding",
    "skip",
    "limit",
    "header",
    "decimal",
    "timezone",
    "escape",
    "null",
)
_TABLE = (
    click.option(
        "--delimiter",
        metavar="CHARACTER",
        help="What separates the cells of CSV: a character, or tab, semicolon, pipe or space."
        "  [default: a comma, or a tab for .tsv]",
    ),
    click.option(
        "--quote",
        metavar="CHARACTER",
        help='What stands around cells of CSV that hold a delimiter, or none.  [default: "]',
    ),
    click.option(
        "--escape",
        metavar="CHARACTER",
        help="What stands in CSV before a quotation mark, delimiter, line end or escape that is a part of a"
        " cell, as escapechar of Python's csv: a character, or backslash. quoted-backslash is one between"
        " quotation marks alone, as Apache Spark writes it; none says that there is no escape. With --quote"
        " none, letters behind it are what databases write, such as \\n; a cell \\N has no value."
        "  [default: what has other cells with a backslash as escape is refused]",
    ),
    click.option(
        "--null",
        metavar="TEXT",
        help="The text of a cell of CSV that has no value, such as NA, NULL or \\N, unless it is in quotation"
        " marks; none if there is none.  [default: texts such as NULL and #N/A are refused]",
    ),
    click.option("--encoding", metavar="NAME", help="The encoding of CSV.  [default: utf-8]"),
    click.option(
        "--skip",
        type=click.IntRange(min=0),
        metavar="N",
        help="Lines before the header to pass over, or rows of Parquet.",
    ),
    click.option(
        "--limit", type=click.IntRange(min=0), metavar="N", help="The most records to read of a table."
    ),
    click.option(
        "--header/--no-header",
        default=None,
        help="Whether the first row of CSV names the columns. Without one they are named 1, 2, 3 ..."
        "  [default: header]",
    ),
    click.option(
        "--decimal",
        type=click.Choice([".", ","]),
        help="What stands before the fraction of :int and :float cells of CSV. With a comma, dots may part"
        " thousands: 1.234,5 is 1234.5.  [default: .]",
    ),
    click.option(
        "--timezone",
        metavar="NAME",
        help="The time zone of timestamps that have none, in Parquet, such as Europe/Paris. Without it they"
        " are refused, but for a :str field.",
    ),
)
_FORMATS = ["ndjson", "json", "csv", "parquet", "fhir", "fhir-ndjson", "fhir-document", "dead-letters"]
_INPUT = (
    click.option(
        "--format",
        type=click.Choice(
            ["ndjson", "json", "csv", "parquet", "fhir", "fhir-ndjson", "fhir-document", "dead-letters"]
        ),
        help="What the files hold.  [default: by their names]",
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
        " in the ids of both ends, and of resources, of every record, which can be undone exactly.",
    ),
    click.option(
        "--fhir",
        type=click.Choice(["references", "resources", "both"]),
        default="references",
        show_default=True,
        help="What of FHIR is loaded: references as relationships, resources, or both, the resources first."
        " `clinia-async fhir definitions` writes the definitions that a strict source needs.",
    ),
    click.option(
        "--fhir-base",
        metavar="URL",
        help="The base URL of the server whose FHIR ids stay as they are; ids of other servers get theirs"
        " added.  [default: the first that the input names]",
    ),
)
