"""The commands, each in a module of its own that is loaded when it is named."""

from collections.abc import Sequence
from importlib import import_module

import click

import clinia_async as clinia
from clinia_async.cli.exit_codes import EPILOG, ExitCode, print_error, report_error, report_os_error
from clinia_async.cli.groups import CommandGroup
from clinia_async.cli.summaries import CALLS, SUMMARIES


class LazyGroup(CommandGroup):
    """Loads a command when it is asked for, so that help stays fast."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(SUMMARIES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in CALLS:
            from clinia_async.cli.api_commands import api_command  # noqa: PLC0415

            return api_command(cmd_name)
        if cmd_name not in SUMMARIES:
            return None
        command = getattr(import_module(f"clinia_async.cli.commands.{cmd_name}"), cmd_name)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        limit = formatter.width - 6 - max(map(len, SUMMARIES))  # as click has it
        rows = [(name, click.Command(name, help=text)) for name, text in SUMMARIES.items()]
        with formatter.section("Commands"):
            formatter.write_dl([(name, summary.get_short_help_str(limit)) for name, summary in rows])


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
    except OSError as error:
        return report_os_error(error)
    return code if isinstance(code, int) else ExitCode.OK
