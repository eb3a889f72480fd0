"""The commands, each in a module of its own that is loaded when it is named."""

from collections.abc import Sequence
from importlib import import_module

import click

import clinia_async as clinia
from clinia_async.cli.api_table import COMMANDS
from clinia_async.cli.exit_codes import EPILOG, ExitCode, print_error, report_error
from clinia_async.cli.groups import CommandGroup

_JOBS = ("ingest", "validate", "retry", "fhir", "journal")
_OTHERS = ("task", "doctor", "emulator", "completion")
"""Commands that are no call of the API; each is in the module of its name."""


class LazyGroup(CommandGroup):
    """Loads a command when it is asked for, so that help stays fast."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*_JOBS, *COMMANDS, *_OTHERS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in COMMANDS:
            from clinia_async.cli.api_commands import api_command  # noqa: PLC0415

            return api_command(cmd_name)
        if cmd_name not in {*_JOBS, *_OTHERS}:
            return None
        command = getattr(import_module(f"clinia_async.cli.commands.{cmd_name}"), cmd_name)
        assert isinstance(command, click.Command)
        return command


@click.group("clinia-async", cls=LazyGroup, epilog=EPILOG, no_args_is_help=False)
@click.version_option(package_name="clinia-async")
def group() -> None:
    """Load, read and change the records of a Clinia workspace.

    The API key is read from the environment, CLINIA_API_KEY, or from a file, and is never an option.
    """


def run(arguments: Sequence[str] | None) -> int:
    """Run a command line; return the exit code. What is wrong with the arguments is printed in one line."""
    try:
        code = group.main(arguments, prog_name="clinia-async", standalone_mode=False)
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx else "clinia-async"
        print_error(f"{error.format_message()} (see {command} --help)")
        return ExitCode.USAGE
    except click.ClickException as error:
        print_error(error.format_message())
        return ExitCode.USAGE
    except (click.Abort, KeyboardInterrupt):
        return ExitCode.INTERRUPTED
    except clinia.CliniaError as error:  # of a default that a profile gives
        return report_error(error)
    return code if isinstance(code, int) else ExitCode.OK
