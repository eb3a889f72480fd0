"""How the answers of the API are printed: as JSON, as NDJSON or as a table."""

from collections.abc import AsyncIterable, Callable, Mapping, Sequence
from functools import wraps
from typing import cast

import click

from clinia_async.cli.exit_codes import say

TABLE = "table"
OUTPUTS = ("json", "ndjson", TABLE)

Command = Callable[..., int]

output_option = click.option(
    "--output",
    type=click.Choice(OUTPUTS),
    default="json",
    show_default=True,
    help="One JSON document; one JSON document a line; or a table for people.",
)
"""For the answers of the API."""


def report_option(command: Command) -> Command:
    """Add `--output` and `--json` to a command whose report is for people first; it is given `output`."""

    @wraps(command)
    def with_output(*, output: str, as_json: bool, **rest: object) -> int:
        return command(output="json" if as_json else output, **rest)

    with_json = click.option("--json", "as_json", is_flag=True, help="The same as --output json.")
    with_all = click.option(
        "--output",
        type=click.Choice(OUTPUTS),
        default=TABLE,
        show_default=True,
        help="How it is printed: for people, or as one JSON object, which ndjson puts on one line as well.",
    )
    return with_all(with_json(with_output))


def print_one(value: object, output: str) -> None:
    """Print one answer of the API."""
    if output == TABLE:
        _print_table(("field", "value"), [(name, _cell(cell)) for name, cell in _fields(value).items()])
    else:
        click.echo(_encode(value))


async def print_each(values: AsyncIterable[object], output: str) -> None:
    """Print the entries of a list as they come. A table is printed at the end, when its columns are known."""
    if output == TABLE:
        entries = [_fields(value) async for value in values]
        columns = list(dict.fromkeys(name for entry in entries for name in entry))
        if entries:
            _print_table(columns, [[_cell(entry.get(name)) for name in columns] for entry in entries])
        else:
            say("none")
        return
    is_array, count = output == "json", 0
    async for value in values:
        click.echo(("[" if not count else ",\n") if is_array else "", nl=False)
        click.echo(_encode(value), nl=not is_array)
        count += 1
    if is_array:
        click.echo("]" if count else "[]")


def _encode(value: object) -> bytes:
    from clinia_async.serialization import converter  # noqa: PLC0415  loads the library

    return converter.encode(value)


def _fields(value: object) -> Mapping[str, object]:
    """Return the fields of a value by their names in JSON."""
    from clinia_async.serialization import exact_json  # noqa: PLC0415  loads the library

    found = exact_json.loads(_encode(value))
    return cast("Mapping[str, object]", found) if isinstance(found, Mapping) else {"value": found}


def _cell(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else _encode(value).decode()


def _print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Aligned columns, as wide as their longest cell: what a pipe reads must not be cut."""
    clean = [[" ".join(cell.split()) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(columns, *clean, strict=True)]
    for row in ([name.upper() for name in columns], *clean):
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        click.echo("  ".join(cells).rstrip())
