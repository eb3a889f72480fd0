"""`clinia-async doctor`: what to set on first contact with a service."""

# ruff: noqa: PLC0415  the library is loaded when the command runs, and not for its help

import os
from collections.abc import Mapping
from pathlib import Path

import click

import clinia_async as clinia
from clinia_async.cli.connection_options import api_key_file_option, read_key, source_option
from clinia_async.cli.exit_codes import EPILOG
from clinia_async.cli.output import report_option
from clinia_async.cli.output_paths import check_apart, check_output_path
from clinia_async.cli.param_types import FILE_PATH
from clinia_async.cli.running import run_command


@click.command(epilog=EPILOG)
@click.option(
    "--workspace",
    metavar="NAME",
    help="The workspace; each form of its hosts is tried.  [env var: CLINIA_WORKSPACE]",
)
@click.option(
    "--base-url",
    "base_urls",
    multiple=True,
    metavar="URL",
    help="Where the service may be. May be given several times: the first that answers is taken."
    "  [env var: CLINIA_BASE_URL]",
)
@api_key_file_option
@source_option(required=False)
@click.option(
    "--collection",
    "collections",
    multiple=True,
    metavar="KEY",
    help="A collection of the source: whether writes to it are queued. May be given five times.",
)
@click.option(
    "--write",
    is_flag=True,
    help="Also make a scratch source, store and read one record in it, and delete the source again.",
)
@click.option(
    "--write-profile",
    "profile",
    type=FILE_PATH,
    metavar="PATH",
    help="Write what to set to a file that the environment variable CLINIA_PROFILE names. No key is in it.",
)
@report_option
def doctor(
    *,
    workspace: str | None,
    base_urls: tuple[str, ...],
    api_key_file: Path | None,
    source: str | None,
    collections: tuple[str, ...],
    write: bool,
    profile: Path | None,
    output: str,
) -> int:
    """Find out what a service needs: its hosts, its credential, its clock and its limits.

    It sends at most 30 requests, and changes nothing unless --write is given.
    """
    from clinia_async.cli.runs.doctor import DoctorRequest, examine

    if workspace and base_urls:
        raise click.UsageError("--workspace and --base-url exclude each other: give one of them.")
    if collections and source is None:
        raise click.UsageError("--collection needs --source.")
    if profile is not None:
        check_output_path(profile, (), "--write-profile")
        check_apart(
            [("--api-key-file", [api_key_file] if api_key_file else []), ("--write-profile", [profile])]
        )
    if not (workspace or base_urls):
        workspace, base_urls = _service_of_environment()
    key = _key(api_key_file)
    request = DoctorRequest(workspace, base_urls, key, source, collections, write, profile, output)
    return run_command(lambda _: examine(request))


def _service_of_environment() -> tuple[str | None, tuple[str, ...]]:
    environment = _environment()
    url, workspace = (environment.get(f"CLINIA_{name}", "").strip() for name in ("BASE_URL", "WORKSPACE"))
    if not (url or workspace):
        raise click.UsageError(
            "no service: give --workspace or --base-url, or set CLINIA_WORKSPACE or CLINIA_BASE_URL."
        )
    return (None, (url,)) if url else (workspace, ())


def _environment() -> Mapping[str, str]:
    from clinia_async.session.options import with_profile

    return with_profile(os.environ)


def _key(file: Path | None) -> "clinia.Secret":
    if file is not None:
        return clinia.Secret(read_key(file))
    environment = _environment()
    key = environment.get("CLINIA_API_KEY", "").strip() or environment.get("CLINIA_TOKEN", "").strip()
    if not key:
        raise click.UsageError("no API key: set CLINIA_API_KEY or CLINIA_TOKEN, or give --api-key-file.")
    return clinia.Secret(key)
