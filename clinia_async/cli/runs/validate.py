"""What `clinia-async validate` does, from the file to the exit code."""

import json
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, aclosing, contextmanager
from pathlib import Path

import click
from attrs import define, field, frozen

from clinia_async.cli.distinct_keys import DistinctKeys
from clinia_async.cli.exit_codes import ExitCode, in_cli_words, print_error, say
from clinia_async.cli.input_options import InputOptions
from clinia_async.cli.output import TABLE
from clinia_async.cli.runs.job_report import place_fields, skipped_fields, skipped_in_words
from clinia_async.cli.runs.source_checks import check_source
from clinia_async.cli.stdin import interruptible_stdin
from clinia_async.errors import CliniaError, ConfigError
from clinia_async.ingest.outcomes.dead_letters import DeadLetters
from clinia_async.ingest.outcomes.outcome import Disposition, RecordOutcome
from clinia_async.ingest.outcomes.report import MOST_PLACES, Place, in_words
from clinia_async.ingest.readers.compression import InputError
from clinia_async.ingest.records.record import BadRecord, Blank, Record

_NUMBER = re.compile(r"\[\d+\]")


@frozen
class ValidateRequest:
    """What the command line asks for; `files` of None are standard input."""

    files: tuple[Path, ...] | None
    source: str
    input_options: InputOptions
    dead_letters: Path | None
    output: str


@define
class ValidationReport:
    blank: int = 0
    good: Counter[str] = field(factory=Counter)
    """By action and target, such as `CREATE RELATIONSHIP`."""
    bad: int = 0
    reasons: Counter[str] = field(factory=Counter)
    first_places: dict[str, list[Place]] = field(factory=dict)
    """For each reason where the first bad records were read."""
    repeated: int = 0
    """Good records whose key occurred before."""
    skipped: Counter[str] = field(factory=Counter)
    """What of FHIR is passed over, by reason."""
    dead_letters: int = 0
    error: CliniaError | None = None

    def add_bad(self, reason: str, place: Place) -> None:
        """Count a bad record in the group of its reason."""
        self.bad += 1
        self.reasons[reason] += 1
        places = self.first_places.setdefault(reason, [])
        if len(places) < MOST_PLACES:
            places.append(place)

    @property
    def lines(self) -> int:
        return self.blank + self.good.total() + self.bad

    @property
    def code(self) -> ExitCode:
        if self.error is not None:
            return ExitCode.USAGE
        return ExitCode.FAILED if self.bad else ExitCode.OK

    def __str__(self) -> str:
        counts = {"lines": self.lines, "blank": self.blank, "good": self.good.total(), "bad": self.bad}
        rows = [f"{name:<12} {count:>10,}" for name, count in counts.items()]
        rows += [f"  {count:>9,} {name}" for name, count in self.good.most_common()]
        rows += [
            f"  {count:>9,} bad: {reason}{in_words(self.first_places[reason], count)}"
            for reason, count in self.reasons.most_common()
        ]
        if self.repeated:
            rows.append(f"  {self.repeated:>9,} with a key that occurred before")
        return "\n".join([*rows, *skipped_in_words(self.skipped)])

    def fields(self) -> dict[str, object]:
        return {
            "lines": self.lines,
            "blank": self.blank,
            "good": self.good.total(),
            "bad": self.bad,
            "by_action": dict(self.good),
            "reasons": [
                {"reason": reason, "count": count, **place_fields(self.first_places[reason])}
                for reason, count in self.reasons.most_common()
            ],
            "repeated_keys": self.repeated,
            **skipped_fields(self.skipped),
            "complete": self.error is None,
            "stopped_by": None if self.error is None else str(self.error),
        }


async def validate_file(request: ValidateRequest) -> int:
    """Check the input and print the report; return the exit code."""
    check_source(request.source)
    report = ValidationReport()
    dead_letters = None if request.dead_letters is None else DeadLetters(request.dead_letters)
    try:
        with ExitStack() as stack:
            keys = stack.enter_context(DistinctKeys())
            stack.callback(_close, dead_letters)
            if request.files is None:
                stack.enter_context(interruptible_stdin())
            try:
                await _read(request, report, keys, dead_letters)
            except InputError as error:
                report.error = error
            report.repeated = keys.repeated()
    except (ConfigError, InputError) as error:
        report.error = error
    report.dead_letters = 0 if dead_letters is None else dead_letters.count
    _print_report(request, report)
    return report.code


def _close(dead_letters: DeadLetters | None) -> None:
    if dead_letters is not None:
        with _writable():
            dead_letters.close()


@contextmanager
def _writable() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if isinstance(error, CliniaError):
            raise
        reason = error.strerror
    else:
        return
    raise ConfigError(f"--dead-letters: the file cannot be written: {reason}; name another")


async def _read(
    request: ValidateRequest, report: ValidationReport, keys: DistinctKeys, dead_letters: DeadLetters | None
) -> None:
    async with aclosing(
        request.input_options.records(request.files, request.source, report.skipped)
    ) as records:
        if dead_letters is not None:
            dead_letters.options = records.options
        async for record in records:
            match record:
                case Blank():
                    report.blank += 1
                case Record():
                    report.good[f"{record.action} {record.target}"] += 1
                    if record.key is not None:
                        keys.add(record.key)
                case BadRecord():
                    reason = f"{record.path}: {record.reason}"
                    report.add_bad(_NUMBER.sub("[]", reason), Place(record.file, record.line))
                    if dead_letters is not None:
                        with _writable():
                            dead_letters.add(RecordOutcome(record, Disposition.INVALID, reason))


def _print_report(request: ValidateRequest, report: ValidationReport) -> None:
    click.echo(in_cli_words(str(report)) if request.output == TABLE else json.dumps(report.fields()))
    if report.dead_letters:
        say(f"{report.dead_letters:,} bad records are in {request.dead_letters}")
    if report.error is not None:
        print_error(str(report.error))
