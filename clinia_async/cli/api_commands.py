"""Click commands made of the rows of `api_table`. The library is loaded when one of them runs."""

from collections.abc import Callable
from typing import TypeAlias

import click

from clinia_async.cli.api_table import COMMANDS, ApiCommand, Effect, Kind, Parameter
from clinia_async.cli.connection_options import connection_options, source_option
from clinia_async.cli.exit_codes import EPILOG
from clinia_async.cli.groups import CommandGroup
from clinia_async.cli.output import output_option
from clinia_async.cli.param_types import JSON_METAVAR, ExistingPath, json_value, type_and_id
from clinia_async.cli.running import run_command
from clinia_async.cli.summaries import CALLS

_JSON_KINDS = frozenset({Kind.OBJECT, Kind.FILTER, Kind.MODEL})
_Type: TypeAlias = "click.ParamType[str] | click.ParamType[int] | Callable[[str], object]"
_FILE = ExistingPath(allow_dash=True, path_type=str)


def api_command(name: str) -> click.Command:
    """Return the group `name` of the table, or its command if it has only one without a name."""
    first, *rest = COMMANDS[name]
    if not rest and not first.name:
        return _command(name, first)
    group = CommandGroup(name, help=CALLS[name], epilog=EPILOG, no_args_is_help=False)
    for row in COMMANDS[name]:
        group.add_command(_command(row.name, row))
    return group


def _command(name: str, row: ApiCommand) -> click.Command:
    def callback(**values: object) -> int:
        from clinia_async.cli.runs.api import run_api_command  # noqa: PLC0415  loads the HTTP client

        return run_command(lambda signals: run_api_command(row, values, signals))

    decorated: Callable[..., int] = connection_options(callback)
    for option in reversed([*map(_parameter, row.parameters), *_common_options(row)]):
        decorated = option(decorated)
    return click.command(name, help=row.help, epilog=EPILOG)(decorated)


def _parameter(parameter: Parameter) -> Callable[..., Callable[..., int]]:
    if not parameter.is_option:
        nargs = -1 if parameter.many else 1
        return click.argument(
            parameter.name, type=_text_type(parameter), nargs=nargs, required=True, metavar=parameter.flag
        )
    is_flag = parameter.kind is Kind.FLAG
    return click.option(
        parameter.flag,
        parameter.name,
        type=None if is_flag else _text_type(parameter),
        is_flag=is_flag,
        required=parameter.required,
        metavar=None if is_flag or parameter.choices else _metavar(parameter),
        help=parameter.help,
    )


def _text_type(parameter: Parameter) -> _Type:
    if parameter.choices:
        return click.Choice(parameter.choices)
    if parameter.kind in _JSON_KINDS:
        return json_value
    if parameter.kind is Kind.REF:
        return type_and_id
    if parameter.kind is Kind.NUMBER:
        return click.IntRange(min=1)
    return _FILE if parameter.kind is Kind.RECORDS else click.STRING


def _metavar(parameter: Parameter) -> str:
    if parameter.kind in _JSON_KINDS:
        return JSON_METAVAR
    return {Kind.REF: "TYPE/ID", Kind.NUMBER: "N", Kind.KEYS: "KEY[,KEY]"}.get(parameter.kind, "TEXT")


def _common_options(row: ApiCommand) -> list[Callable[..., Callable[..., int]]]:
    options = [source_option(required=True)] if row.has_source else []
    if row.effect is Effect.SUBMIT:
        options.append(
            click.option(
                "--wait/--no-wait",
                default=True,
                show_default=True,
                help="Wait for its task and print the result; or print the token of the task at once, for"
                " `task wait`, or `persisted` where nothing is left to wait for.",
            )
        )
    if row.confirm:
        options.append(click.option("--yes", is_flag=True, help="Do not ask before it is done."))
    return [*options, output_option]
