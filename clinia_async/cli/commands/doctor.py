"""`clinia-async doctor`: what to set on first contact with a service."""

# ruff: noqa: PLC0415  the library is loaded when the command runs, and not for its help

import os
from pathlib import Path

import click

import clinia_async as clinia
from clinia_async.cli.connection_options import api_key_file_option, read_key, source_option
from clinia_async.cli.exit_codes import EPILOG, run_command


@click.command(epilog=EPILOG)
@click.option(
    "--workspace",
    envvar="CLINIA_WORKSPACE",
    show_envvar=True,
    metavar="NAME",
    help="The workspace; each form of its hosts is tried.",
)
@click.option(
    "--base-url",
    "base_urls",
    envvar="CLINIA_BASE_URL",
    show_envvar=True,
    multiple=True,
    metavar="URL",
    help="Where the service may be. May be given several times: the first that answers is taken.",
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
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="PATH",
    help="Write what to set to a file that the environment variable CLINIA_PROFILE names. No key is in it.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the findings as one JSON object.")
def doctor(
    *,
    workspace: str | None,
    base_urls: tuple[str, ...],
    api_key_file: Path | None,
    source: str | None,
    collections: tuple[str, ...],
    write: bool,
    profile: Path | None,
    as_json: bool,
) -> int:
    """Find out what a service needs: its hosts, its credential, its clock and its limits.

    It sends at most 30 requests, and changes nothing unless --write is given.
    """
    from clinia_async.cli.runs.doctor import DoctorRequest, examine

    if not workspace and not base_urls:
        raise click.UsageError("no service: give --workspace or --base-url.")
    if collections and source is None:
        raise click.UsageError("--collection needs --source.")
    key = _key(api_key_file)
    request = DoctorRequest(
        None if base_urls else workspace, base_urls, key, source, collections, write, profile, as_json
    )
    return run_command(lambda _: examine(request))


def _key(file: Path | None) -> "clinia.Secret":
    if file is not None:
        return clinia.Secret(read_key(file))
    key = os.environ.get("CLINIA_API_KEY") or os.environ.get("CLINIA_TOKEN")
    if not key:
        raise click.UsageError("no API key: set CLINIA_API_KEY or CLINIA_TOKEN, or give --api-key-file.")
    return clinia.Secret(key)
