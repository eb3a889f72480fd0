"""How to reach the service: options that become a session."""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TypedDict

import click

import clinia_async as clinia
from clinia_async.cli.param_types import EXISTING_FILE_OR_STANDARD_INPUT, positive_seconds

_LONGEST_KEY = 64 * 1024

Command = Callable[..., int]


class SessionSettings(TypedDict, total=False):
    """The settings of a session that the command line has."""

    timeout: float
    polling: "clinia.Polling"
    retry: "clinia.RetryPolicy"


@dataclass(frozen=True)
class Connection:
    """What was given on the command line; a session takes the rest from the environment."""

    workspace: str | None
    base_url: str | None
    api_key_file: Path | None
    settings: SessionSettings

    @property
    def names_a_service(self) -> bool:
        """Whether an option says where the service is, or with which key."""
        return not (self.workspace is None and self.base_url is None and self.api_key_file is None)

    @property
    def key_files(self) -> tuple[Path, ...]:
        """The file of the key, if it is in one."""
        file = self.api_key_file
        return () if file is None or file == Path("-") else (file,)

    def session(self, settings: SessionSettings | None = None) -> "clinia.Session":
        """Return a new session. Raises `ConfigError`, in the words of the command line."""
        return clinia.Session.from_env(**self.arguments(settings))  # type: ignore[arg-type]

    def arguments(self, settings: SessionSettings | None = None) -> dict[str, object]:
        """Return the arguments of `Session.from_env`. Raises `ConfigError` as `session` does."""
        from clinia_async.session.options import with_profile  # noqa: PLC0415  loads the HTTP client

        key = None if self.api_key_file is None else clinia.Secret(read_key(self.api_key_file))
        environment = with_profile(os.environ)
        if key is None and not (environment.get("CLINIA_API_KEY") or environment.get("CLINIA_TOKEN")):
            raise clinia.ConfigError("no API key: set CLINIA_API_KEY, or give --api-key-file")
        named = self.workspace or self.base_url
        if not (named or environment.get("CLINIA_WORKSPACE") or environment.get("CLINIA_BASE_URL")):
            raise clinia.ConfigError(
                "no service: give --workspace or --base-url, or set CLINIA_WORKSPACE or CLINIA_BASE_URL"
            )
        named_here = {"workspace": self.workspace, "base_url": self.base_url, "api_key": key}
        return {**named_here, **self.settings, **(settings or {})}


def connection_options(command: Command) -> Command:
    """Add the options of a connection to a command, which is given a `Connection`."""
    timeout = click.option(
        "--timeout",
        type=positive_seconds,
        metavar="SECONDS",
        help="How long one call may take with all its retries.  [default: 60]",
    )
    return connection_options_without_timeout(timeout(command))


def connection_options_without_timeout(command: Command) -> Command:
    """The same for a command with a `--timeout` of its own, under another name."""

    @wraps(command)
    def with_connection(
        workspace: str | None,
        base_url: str | None,
        api_key_file: Path | None,
        timeout: float | None = None,
        **rest: object,
    ) -> int:
        if workspace is not None and base_url is not None:
            raise click.UsageError("--workspace and --base-url exclude each other: give one of them.")
        settings = SessionSettings() if timeout is None else SessionSettings(timeout=timeout)
        return command(connection=Connection(workspace, base_url, api_key_file, settings), **rest)

    for option in reversed(_OPTIONS):
        with_connection = option(with_connection)
    return with_connection


def source_option(*, required: bool) -> Callable[[Command], Command]:
    """The option that names the source."""
    return click.option(
        "--source",
        envvar="CLINIA_SOURCE",
        show_envvar=True,
        default=_source_of_profile,
        required=required,
        callback=_require if required else None,
        metavar="KEY",
        help="The source that the records belong to.",
    )


def _require(ctx: click.Context, option: click.Parameter, value: str | None) -> str:
    if value is None:  # what a default returns is not missing to click
        raise click.MissingParameter(ctx=ctx, param=option)
    return value


def profile_files() -> tuple[Path, ...]:
    """Return the file that `CLINIA_PROFILE` names, if there is one."""
    named = os.environ.get("CLINIA_PROFILE", "").strip()
    return (Path(named),) if named else ()


def _source_of_profile() -> str | None:
    if not os.environ.get("CLINIA_PROFILE"):
        return None
    from clinia_async.session.options import with_profile  # noqa: PLC0415  loads the HTTP client

    return with_profile(os.environ).get("CLINIA_SOURCE")


api_key_file_option = click.option(
    "--api-key-file",
    type=EXISTING_FILE_OR_STANDARD_INPUT,
    metavar="PATH",
    help="A file that holds the API key, or `-` for standard input; without it, the environment"
    " variable CLINIA_API_KEY. The key itself is no option: it would stay in the shell's history.",
)
_OPTIONS = (
    click.option("--workspace", metavar="NAME", help="The workspace.  [env var: CLINIA_WORKSPACE]"),
    click.option(
        "--base-url",
        metavar="URL",
        help="Where the service is, instead of the workspace's own hosts.  [env var: CLINIA_BASE_URL]",
    ),
    api_key_file_option,
)


def read_key(path: Path) -> str:
    """Return the key in a file, or in standard input for `-`. Raises `ConfigError`."""
    try:
        if path == Path("-"):
            if sys.stdin is None:
                raise clinia.ConfigError("--api-key-file: standard input is closed: name a file")
            text = sys.stdin.buffer.read(_LONGEST_KEY)
        else:
            with path.open("rb") as file:
                text = file.read(_LONGEST_KEY)
    except OSError as error:
        raise clinia.ConfigError(f"--api-key-file: the file cannot be read: {error.strerror}") from None
    key = text.decode("ascii", "replace").strip()
    if not key:
        raise clinia.ConfigError("--api-key-file: it holds no key: write the key in it, and nothing else")
    return key
