"""`clinia-async completion`: the script that makes a shell complete commands and options."""

import click
from click.shell_completion import get_completion_class

from clinia_async.cli.exit_codes import EPILOG, ExitCode

_VARIABLE = "_CLINIA_ASYNC_COMPLETE"


@click.command(epilog=EPILOG)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(context: click.Context, shell: str) -> int:
    """Print the completion script of SHELL.

    \b
    bash  eval "$(clinia-async completion bash)"           in ~/.bashrc
    zsh   eval "$(clinia-async completion zsh)"            in ~/.zshrc
    fish  clinia-async completion fish | source            in ~/.config/fish/config.fish
    """
    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(context.find_root().command, {}, "clinia-async", _VARIABLE).source())
    return ExitCode.OK
