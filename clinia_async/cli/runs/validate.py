"""What `clinia-async validate` does, from the file to the exit code."""

import json
import re
from collections import Counter
from contextlib import ExitStack, aclosing
from pathlib import Path

import click
from attrs import define, field, frozen

from clinia_async.calls.validation import check_key
from clinia_async.cli.distinct_keys import DistinctKeys
from clinia_async.cli.exit_codes import Exit, say
from clinia_async.cli.input_options import InputOptions
from clinia_async.cli.stdin import stoppable
from clinia_async.errors import CliniaError, ConfigError
from clinia_async.ingest import BadRecord, Blank, DeadLetters, Disposition, InputError, Record, RecordOutcome

_NUMBER = re.compile(r"\[\d+\]")


@frozen
class Order:
    """What was asked for on the command line; a `file` of None is standard input."""

    file: Path | None
    source: str
    reading: InputOptions
    dead_letters: Path | None
    as_json: bool


@define
class Findings:
    blank: int = 0
    good: Counter[str] = field(factory=Counter)
    """By what is done to what, such as `CREATE RELATIONSHIP`."""
    bad: int = 0
    reasons: Counter[str] = field(factory=Counter)
    repeated: int = 0
    """Good records whose key stood there before."""
    passed_over: Counter[str] = field(factory=Counter)
    """References of FHIR that are no relationships."""
    letters: int = 0
    error: CliniaError | None = None

    @property
    def lines(self) -> int:
        return self.blank + self.good.total() + self.bad

    @property
    def code(self) -> Exit:
        if self.error is not None:
            return Exit.USAGE
        return Exit.FAILED if self.bad else Exit.FINE

    def __str__(self) -> str:
        counts = {"lines": self.lines, "blank": self.blank, "good": self.good.total(), "bad": self.bad}
        rows = [f"{name:<12} {count:>10,}" for name, count in counts.items()]
        rows += [f"  {count:>9,} {name}" for name, count in self.good.most_common()]
        rows += [f"  {count:>9,} bad: {reason}" for reason, count in self.reasons.most_common()]
        if self.repeated:
            rows.append(f"  {self.repeated:>9,} with a key that stood there before")
        rows += [
            f"  {count:>9,} references passed over: {why}" for why, count in self.passed_over.most_common()
        ]
        return "\n".join(rows)

    def members(self) -> dict[str, object]:
        return {
            "lines": self.lines,
            "blank": self.blank,
            "good": self.good.total(),
            "bad": self.bad,
            "by_action": dict(self.good),
            "reasons": [{"reason": reason, "count": count} for reason, count in self.reasons.most_common()],
            "repeated_keys": self.repeated,
            "passed_over": dict(self.passed_over),
            "complete": self.error is None,
            "stopped_by": None if self.error is None else str(self.error),
        }


async def check(order: Order) -> int:
    check_key(order.source, "$.source")
    findings = Findings()
    with ExitStack() as stack:
        keys = stack.enter_context(DistinctKeys())
        letters = None
        if order.dead_letters is not None:
            letters = stack.enter_context(DeadLetters(order.dead_letters))
        if order.file is None:
            stack.enter_context(stoppable())
        try:
            await _read(order, findings, keys, letters)
        except (ConfigError, InputError) as error:
            findings.error = error
        findings.repeated = keys.repeated()
    findings.letters = 0 if letters is None else letters.count
    _tell(order, findings)
    return findings.code


async def _read(order: Order, findings: Findings, keys: DistinctKeys, letters: DeadLetters | None) -> None:
    async with aclosing(order.reading.records(order.file, order.source, findings.passed_over)) as records:
        async for record in records:
            match record:
                case Blank():
                    findings.blank += 1
                case Record():
                    findings.good[f"{record.action} {record.target}"] += 1
                    if record.key is not None:
                        keys.add(record.key)
                case BadRecord():
                    findings.bad += 1
                    reason = f"{record.path}: {record.reason}"
                    findings.reasons[_NUMBER.sub("[]", reason)] += 1
                    if letters is not None:
                        _write(letters, RecordOutcome(record, Disposition.INVALID, reason))


def _write(letters: DeadLetters, outcome: RecordOutcome) -> None:
    try:
        letters.add(outcome)
    except OSError as error:
        reason = error.strerror
    else:
        return
    raise ConfigError(f"the dead letters cannot be written: {reason}")


def _tell(order: Order, findings: Findings) -> None:
    click.echo(json.dumps(findings.members()) if order.as_json else str(findings))
    if findings.letters:
        click.echo(f"{findings.letters:,} bad records are in {order.dead_letters}", err=True)
    if findings.error is not None:
        say(str(findings.error))
