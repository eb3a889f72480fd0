"""What `clinia-async journal show` does."""

import asyncio
import json
import time
from pathlib import Path

import click

from clinia_async.cli.exit_codes import ExitCode, in_cli_words
from clinia_async.cli.output import TABLE
from clinia_async.cli.progress import duration
from clinia_async.ingest.journal.snapshot import JournalSnapshot, read_snapshot


async def show_journal(file: Path, output: str) -> int:
    """Print the state of a journal; return the exit code. Raises `JournalError`."""
    snapshot = await asyncio.to_thread(read_snapshot, file)
    if output == TABLE:
        click.echo(in_cli_words("\n".join(_lines(snapshot))))
    else:
        click.echo(json.dumps(_fields(snapshot)))
    return ExitCode.OK


def _fields(snapshot: JournalSnapshot) -> dict[str, object]:
    return {
        "source": snapshot.source,
        "service": snapshot.service,
        "via": snapshot.via,
        "seconds_since_change": round(_age(snapshot), 1),
        "read": snapshot.read,
        "landed": sum(snapshot.landed.values()),
        "by_disposition": {str(disposition): count for disposition, count in snapshot.landed.items()},
        "invalid": snapshot.invalid,
        "failed": sum(group.count for group in snapshot.failures),
        "reasons": [
            {
                "disposition": str(group.disposition),
                "reason": group.reason,
                "count": group.count,
                "first_record": group.first,
            }
            for group in snapshot.failures
        ],
        "waiting": {state.lower(): count for state, count in snapshot.waiting.items()},
        "tasks": snapshot.tasks,
    }


def _age(snapshot: JournalSnapshot) -> float:
    """Seconds since the last change; 0 if the clock of the machine was set back since."""
    return max(time.time() - snapshot.changed_at, 0.0)


def _lines(snapshot: JournalSnapshot) -> list[str]:
    age = duration(_age(snapshot))
    landed, failed = sum(snapshot.landed.values()), sum(group.count for group in snapshot.failures)
    lines = [
        f"{'job':<12} source {snapshot.source}, by {snapshot.via} to {snapshot.service}",
        f"{'changed':<12} {age} ago",
        f"{'read':<12} {snapshot.read:>10,}",
        f"{'landed':<12} {landed:>10,}",
        *(f"  {count:>9,} {disposition}" for disposition, count in snapshot.landed.items()),
        f"{'failed':<12} {failed:>10,}",
    ]
    for group in snapshot.failures:
        reason = f": {group.reason}" if group.reason else ""
        lines.append(f"  {group.count:>9,} {group.disposition}{reason} (record {group.first:,} first)")
    if snapshot.invalid:
        lines.append(f"{'invalid':<12} {snapshot.invalid:>10,}   not sent")
    lines += [f"{state.lower():<12} {count:>10,}" for state, count in snapshot.waiting.items()]
    return [*lines, f"{'tasks':<12} {snapshot.tasks:>10,}   not ended"] if snapshot.tasks else lines
