"""`python -m benchmarks COMMAND`: ours and the peers in one run, in turn, each in a fresh process."""

import argparse
import importlib
import json
import subprocess
import sys
from datetime import UTC, datetime

from benchmarks import machine, page
from benchmarks.measures import bulk, wait
from benchmarks.measures.ndjson import ndjson
from benchmarks.plan import Plan
from benchmarks.stub import serving
from benchmarks.tables import Table

MEASURES = {
    "all": "everything, at one version; --write replaces the results page by what was found",
    "single": "single creates against raw aiohttp, httpx and clinia-context-engine",
    "wait": "waiting for tasks at our pace and at others'",
    "bulk": "bulk creates against raw aiohttp, elasticsearch, qdrant and algolia",
    "one-by-one": "a file sent a request a record against gather and a semaphore, and what a journal costs",
    "scale": "records a second by processes and by how long a bulk takes, beside a plain script",
    "files": "files of every format against NDJSON and against plain scripts",
    "memory": "peak memory by the number of records",
    "imports": "importing, and the help of the command line",
    "growth": "the cost of a record and of a pending task by their number",
    "telemetry": "events, the log and OpenTelemetry, off and on",
    "emulator": "the emulator against a bare server",
    "lost-replies": "creates whose replies are lost, against aiohttp-retry, backoff, azure-core and httpx",
    "check": "the slice for CI: exit code 1 where a figure is beyond its fail figure",
}
ALIASES = {"import": "imports"}
PAGE = [command for command in MEASURES if command not in ("all", "check")]
PROFILES: dict[str, tuple[str, dict[str, object]]] = {
    "single": ("single:ours", {"count": 4000, "in_flight": 32}),
    "bulk": ("bulk:typed", {"count": 20_000}),
    "file": (bulk.FILE.way, {"count": 20_000}),
    "wait": (wait.OURS.way, {"count": 1000, "source": "lognormal"}),
}


def main() -> int:
    arguments = _parsed()
    if arguments.command == "profile":
        return _profile(arguments.of)
    command = ALIASES.get(arguments.command, arguments.command)
    begun = machine.commit()
    if arguments.write:
        page.one_version(begun, begun)  # rather now than in an hour
    with serving(arguments.seed) as stub:
        plan = Plan(stub, arguments.rounds, arguments.quick, arguments.million)
        sections = [_measured(each, plan) for each in (PAGE if command == "all" else [command])]
    failed = [line for section in sections for table in section.tables for line in table.failed]
    notes = [stub.warning] if stub.warning else []
    for line in [*notes, *(f"FAIL {line}" for line in failed)]:
        print(line)
    if arguments.write:
        version = page.one_version(begun, machine.commit())
        now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
        asked = f"`python -m benchmarks {' '.join(sys.argv[1:])}`, ended {now}, clinia_async at {version}"
        page.write(page.Page([asked, *machine.description(), *notes], sections))
        print(f"written to {page.FOLDER}")
    return 1 if failed and command == "check" else 0


def _measured(command: str, plan: Plan) -> page.Section:
    """Measure one command, and print its tables as soon as they are there."""
    module = importlib.import_module(f"benchmarks.measures.{command.replace('-', '_')}")
    tables: list[Table] = module.measure(plan)
    print("\n\n".join(table.text() for table in tables), flush=True)
    return page.Section(command, tables)


def _parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, help_ in MEASURES.items():
        aliases = [alias for alias, command in ALIASES.items() if command == name]
        command = commands.add_parser(name, help=help_, aliases=aliases)
        command.add_argument("--rounds", type=int, help="how many, instead of as many as this takes")
        command.add_argument("--quick", action="store_true", help="fewer rounds and smaller sizes")
        command.add_argument("--million", action="store_true", help="memory: a million records too")
        if name == "all":
            command.add_argument("--write", action="store_true", help="to benchmarks/results, with plots")
        else:
            command.set_defaults(write=False)
        command.add_argument("--seed", type=int, default=1, help="of how long the service's tasks take")
    profile = commands.add_parser("profile", help="where our time goes, by cProfile")
    profile.add_argument("of", choices=PROFILES)
    return parser.parse_args()


def _profile(of: str) -> int:
    way, arguments = PROFILES[of]
    with serving() as stub, ndjson(20_000 if of == "file" else 1) as path:
        given = {**arguments, "url": stub.url}
        if of == "file":
            given["path"] = path
        command = [sys.executable, "-m", "benchmarks.worker", "--profile", way, json.dumps(given)]
        return subprocess.run(command, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
