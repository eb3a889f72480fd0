"""The report of a job: as text, as one JSON object, and in the files that `--report` names."""

import json
import secrets
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from platform import python_version

import click
from attrs import asdict, define, field

from clinia_async.cli.exit_codes import ExitCode, exit_code_of, in_cli_words, print_error, report_error, say
from clinia_async.cli.output import TABLE
from clinia_async.cli.output_paths import HTML
from clinia_async.errors import CliniaError, ConfigError
from clinia_async.ingest.outcomes.outcome import Disposition
from clinia_async.ingest.outcomes.report import Place, Report, SlowChunk
from clinia_async.ingest.readers.fhir_content import COPIES, RESOURCE_REASONS

Fields = Mapping[str, object]


@define
class RunResult:
    """What is known of a job when it has ended, however it has ended."""

    report: Report
    dead_letters_path: Path
    has_started: bool = False
    """Whether there was a session; before that nothing is worth a report."""
    dead_letters: int = 0
    error: CliniaError | None = None
    unexpected_error: BaseException | None = None
    """An error that is no `CliniaError`: it is raised after the report was printed."""
    signal: int | None = None
    skipped: Counter[str] = field(factory=Counter)
    """What of FHIR was passed over, by reason."""
    emulator_holds: tuple[int, int] | None = None
    """Relationships and resources."""
    settings: Fields = field(factory=dict)
    timeline: Sequence[Fields] = ()

    @property
    def code(self) -> int:
        """The exit code."""
        if self.signal is not None:
            return 128 + self.signal
        if self.error is not None:
            return exit_code_of(self.error)
        return ExitCode.OK if self.report.all_landed else ExitCode.FAILED


def print_report(result: RunResult, output: str) -> None:
    """Print the report on stdout, and what to do next on stderr."""
    if output != TABLE and result.has_started:
        click.echo(json.dumps(report_fields(result)))
    elif result.has_started:
        click.echo(in_cli_words(str(result.report)))
        for line in skipped_in_words(result.skipped):
            click.echo(line)
        if result.emulator_holds is not None:
            relationships, resources = result.emulator_holds
            more = f" and {resources:,} resources" if resources else ""
            click.echo(f"the emulator holds {relationships:,} relationships{more}")
    if result.dead_letters:
        is_open = result.report.by_disposition[Disposition.UNKNOWN] > 0
        which = "that did not land, or of which that is unknown," if is_open else "that did not land"
        say(f"{result.dead_letters:,} records {which} are in {result.dead_letters_path}")
    if result.error is not None and result.signal is None:
        report_error(result.error)


def report_fields(result: RunResult) -> dict[str, object]:
    """Return the report as JSON fields."""
    report = result.report
    fields: dict[str, object] = {
        "read": report.read,
        "blank": report.blank,
        "sent": report.sent,
        "completed": report.completed,
        "landed": report.landed,
        "reported_before": report.reported_before,
        "reconciled": report.reconciled,
        "resent": report.resent,
        "by_disposition": {str(each): report.by_disposition[each] for each in Disposition},
        "reasons": [
            {
                "disposition": str(disposition),
                "reason": reason,
                "count": count,
                **place_fields(report.first_places.get((disposition, reason), [])),
            }
            for (disposition, reason), count in report.reasons.most_common()
        ],
        "seconds": report.seconds,
        "records_per_second": report.records_per_second,
        "throttles": report.throttles,
        "concurrency": report.concurrency,
        "most_in_flight": report.most_in_flight,
        "most_bytes_in_flight": report.most_bytes_in_flight,
        "lag": {"tasks": report.lag.tasks, "mean": report.lag.mean, "worst": report.lag.worst},
        **skipped_fields(result.skipped),
        "complete": report.stopped_by is None,
        "stopped_by": report.stopped_by,
        "dead_letters": str(result.dead_letters_path) if result.dead_letters else None,
    }
    if result.emulator_holds is not None:
        fields["emulator_holds"], fields["emulator_holds_resources"] = result.emulator_holds
    return fields


def place_fields(places: Sequence[Place]) -> dict[str, object]:
    """Return where the first records of a group were read; their files only where several are read."""
    fields: dict[str, object] = {"first_lines": [place.line for place in places]}
    if any(place.file is not None for place in places):
        fields["first_files"] = [place.file for place in places]
    return fields


def skipped_in_words(skipped: Counter[str]) -> Iterator[str]:
    """Yield a line for each reason to pass over references or resources of FHIR."""
    for reason, count in skipped.most_common():
        if reason == COPIES:
            yield f"  {count:>9,} resources came again {reason}"
            continue
        what = "resources" if reason in RESOURCE_REASONS else "references"
        yield f"  {count:>9,} {what} skipped: {reason}"


def skipped_fields(skipped: Counter[str]) -> dict[str, object]:
    """Return the same as JSON fields."""
    resources = {reason: count for reason, count in skipped.items() if reason in RESOURCE_REASONS}
    references = {reason: count for reason, count in skipped.items() if reason not in {*resources, COPIES}}
    copies = {"differing_copies": skipped[COPIES]} if skipped[COPIES] else {}
    return {"skipped_references": references, "skipped_resources": resources, **copies}


_PACKAGES = ("clinia-async", "aiohttp", "attrs", "cattrs", "orjson", "pyarrow", "zstandard")


def _versions() -> dict[str, str]:
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415  at the end of a job

    found = {"python": python_version()}
    for name in _PACKAGES:
        with suppress(PackageNotFoundError):
            found[name] = version(name)
    return found


def _chunk_fields(chunk: SlowChunk) -> dict[str, object]:
    task = None if chunk.task is None else str(chunk.task)
    fields = {**asdict(chunk, recurse=False), "task": task, "first_line": chunk.first.line}
    del fields["first"]
    return fields if chunk.first.file is None else {**fields, "first_file": chunk.first.file}


def _rendered(fields: Fields, path: Path) -> str:
    if path.suffix.lower() not in HTML:
        return json.dumps(fields, indent=1) + "\n"
    from clinia_async.cli.runs.html_report import render  # noqa: PLC0415  loads matplotlib

    return render(fields)


def write_report(result: RunResult, path: Path) -> None:
    """Write the report with its settings and its course to `path`: HTML if its name ends in .html, else JSON.

    An earlier report is replaced at once and as a whole. One that cannot be written is an error on stderr.
    """
    fields = {
        "written_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": _versions(),
        "exit_code": result.code,
        **report_fields(result),
        "slowest_chunks": [_chunk_fields(chunk) for chunk in result.report.slowest],
        "settings": result.settings,
        "timeline": list(result.timeline),
    }
    # a reader finds the earlier report or this one; a pipe or a terminal is written to as it is
    draft = path.with_name(f".{secrets.token_hex(8)}.tmp")  # a name that nobody else has
    try:
        # the name of a file may be no text of Unicode, as where Python does not know its encoding
        content = _rendered(fields, path).encode("utf-8", "backslashreplace")
        if path.exists() and not path.is_file():
            path.write_bytes(content)
        else:
            draft.write_bytes(content)
            draft.replace(path)
    except OSError as error:
        problem = ConfigError(f"--report: {path} cannot be written: {error.strerror}; name another file")
        with suppress(OSError):
            draft.unlink()
    else:
        return
    if result.error is None:
        result.error = problem
    else:
        print_error(str(problem))
