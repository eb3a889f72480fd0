"""`clinia-async emulator`: a registry on this machine, to try things out."""

# ruff: noqa: PLC0415  the HTTP server is loaded when the command runs, and not for its help

from pathlib import Path

import click

from clinia_async.cli.exits import EPILOG, finish
from clinia_async.cli.parameters import seconds


def _accepted(text: str) -> tuple[str, float]:
    type_, _, latency = text.rpartition("=")
    if not type_:
        raise click.BadParameter("must be TYPE=SECONDS.")
    return type_, seconds(latency)


@click.command(epilog=EPILOG)
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen at.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=0, help="The port.  [default: any that is free]"
)
@click.option(
    "--data",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Keep everything in this file; without it, everything is gone at the end.",
)
@click.option(
    "--key",
    metavar="KEY",
    help="The key that clients must send, for tests; without it, a new one is made and printed."
    " Beyond this machine a key of at least 32 characters is needed.",
)
@click.option("--seed", type=int, default=0, help="Tells the ids of tasks.  [default: 0]")
@click.option(
    "--accept",
    type=_accepted,
    multiple=True,
    metavar="TYPE=SECONDS",
    help="Accept single relationships of TYPE and store them after so long. May be repeated.",
)
@click.option(
    "--accept-all",
    type=seconds,
    metavar="SECONDS",
    help="The same for all types; else they are stored at once.",
)
@click.option(
    "--bulk-latency", type=seconds, metavar="SECONDS", help="How long a bulk takes.  [default: 0.05]"
)
def emulator(
    *,
    host: str,
    port: int,
    data: Path | None,
    key: str | None,
    seed: int,
    accept: tuple[tuple[str, float], ...],
    accept_all: float | None,
    bulk_latency: float | None,
) -> int:
    """Serve a registry and catalog on this machine until SIGINT or SIGTERM; no account is needed.

    The lines that it prints make a shell use it.
    """
    from clinia_async.cli.serving import serve
    from clinia_async.emulator import Accepted, Constant, Emulator, Persisted

    def make() -> Emulator:
        return Emulator(
            host=host,
            port=port,
            data=data,
            key=key,
            seed=seed,
            modes={type_: Accepted(Constant(latency)) for type_, latency in accept},
            default=Persisted() if accept_all is None else Accepted(Constant(accept_all)),
            bulk=Constant(0.05 if bulk_latency is None else bulk_latency),
        )

    return finish(lambda: serve(make, tells_key=key is None))
