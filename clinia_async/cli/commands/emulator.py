"""`clinia-async emulator`: a registry on this machine, to try things out."""

# ruff: noqa: PLC0415  the HTTP server is loaded when the command runs, and not for its help

import os
from pathlib import Path
from typing import Literal

import click

from clinia_async.cli.exit_codes import EPILOG, say
from clinia_async.cli.param_types import EXISTING_FILE, FILE_PATH, seconds
from clinia_async.cli.running import run_command

_LATENCY = "SECONDS|MEDIAN~SIGMA"
_LONGEST_KEY = 1000


def _accepted(text: str) -> tuple[str, str]:
    type_, _, latency = text.rpartition("=")
    if not type_:
        raise click.BadParameter("must be TYPE=LATENCY.")
    return type_, latency


def _key_in(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(_LONGEST_KEY).decode("ascii", "replace").strip()


def _key(key: str | None, path: Path | None) -> str | None:
    """Return the key that is given, if any."""
    if key is not None:
        say("warning: --key shows in the list of processes; use --key-file instead")
        return key
    if path is not None:
        return _key_in(path)
    return os.environ.get("CLINIA_EMULATOR_KEY") or os.environ.get("CLINIA_API_KEY") or None


@click.command(epilog=EPILOG)
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen at.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=0, help="The port.  [default: any that is free]"
)
@click.option(
    "--data",
    type=FILE_PATH,
    metavar="FILE",
    help="Keep everything in this file; without it, everything is gone at the end.",
)
@click.option("--key", hidden=True, metavar="KEY", help="Shows in the process list; use --key-file.")
@click.option(
    "--key-file",
    type=EXISTING_FILE,
    metavar="PATH",
    help="A file that holds the key that clients must send. Without it, the key is CLINIA_EMULATOR_KEY or"
    " CLINIA_API_KEY; without these, a new one is made and printed. Beyond this machine a key of at least 32"
    " characters is needed.",
)
@click.option(
    "--dialect",
    type=click.Choice(["documented", "go"]),
    envvar="CLINIA_EMULATOR_DIALECT",
    default="documented",
    show_default=True,
    help="How answers are written: as documented, or with null for every empty list and absent field.",
)
@click.option(
    "--strict",
    is_flag=True,
    help="As at the service: sources, definitions and profiles must be made before they are used, and the"
    " ends of a relationship must exist.",
)
@click.option("--seed", type=int, default=0, help="Determines the ids of tasks.  [default: 0]")
@click.option(
    "--accept",
    type=_accepted,
    multiple=True,
    metavar=f"TYPE={_LATENCY}",
    help="Accept single writes of TYPE and carry them out after so long: always the same, or drawn from"
    " a log-normal distribution. May be given several times.",
)
@click.option(
    "--accept-all",
    metavar=_LATENCY,
    help="The same for all types; else they are stored at once.",
)
@click.option(
    "--bulk-latency", metavar=_LATENCY, default="0.05", show_default=True, help="How long a bulk takes."
)
@click.option(
    "--fault",
    multiple=True,
    metavar="KIND:ROUTE[:PROBABILITY[:RETRY-AFTER]]",
    help="What goes wrong, such as lost-reply:bulk_relationships:0.1; * is every route. May be given several"
    " times.",
)
@click.option(
    "--chaos",
    type=int,
    metavar="SEED",
    help="Every kind of fault on every route, now and then.",
)
@click.option(
    "--window",
    type=click.Choice(["off", "counts", "contents"]),
    default="off",
    show_default=True,
    help="Print an address for a browser, which shows live what the emulator holds: counts, tasks, requests,"
    " and with `contents` the data of records.",
)
@click.option("--inspect", is_flag=True, help="Answer /emulator with counts, for clients that have the key.")
@click.option(
    "--patience",
    type=seconds,
    default=1.0,
    metavar="SECONDS",
    help="How long to wait for a port or a file that is still in use.  [default: 1]",
)
def emulator(
    *,
    host: str,
    port: int,
    data: Path | None,
    key: str | None,
    key_file: Path | None,
    dialect: Literal["documented", "go"],
    strict: bool,
    seed: int,
    accept: tuple[tuple[str, str], ...],
    accept_all: str | None,
    bulk_latency: str,
    fault: tuple[str, ...],
    chaos: int | None,
    window: Literal["off", "counts", "contents"],
    inspect: bool,
    patience: float,
) -> int:
    """Serve a registry and catalog on this machine until SIGINT or SIGTERM; no account is needed.

    The lines that it prints make a shell use it.
    """
    from clinia_async.cli.runs.emulator import serve
    from clinia_async.emulator import Accepted, Emulator, Persisted, Settings
    from clinia_async.emulator.chaos import faults_from_text
    from clinia_async.emulator.latency import from_text

    key = _key(key, key_file)

    def make() -> Emulator:
        emulator = Emulator(
            host=host,
            port=port,
            data=data,
            key=key,
            dialect=dialect,
            settings=Settings(strict=strict),
            seed=seed,
            modes={type_: Accepted(from_text(latency)) for type_, latency in accept},
            default=Persisted() if accept_all is None else Accepted(from_text(accept_all)),
            bulk=from_text(bulk_latency),
            chaos=chaos,
            window=window,
            inspection=inspect,
            patience=patience,
        )
        for one in (one for text in fault for one in faults_from_text(text)):
            emulator.faults.add(one)
        return emulator

    return run_command(lambda _: serve(make, print_key=key is None))
