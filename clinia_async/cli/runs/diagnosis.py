"""What the doctor found: findings, what to set, how they are printed, and the profile."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from shlex import quote

import click
from attrs import define, field, frozen

from clinia_async.cli.exit_codes import ExitCode
from clinia_async.cli.output import TABLE, print_one
from clinia_async.errors import ConfigError


@frozen
class Finding:
    """One thing that was checked. `is_good` is None where it could not be found out."""

    name: str
    is_good: bool | None
    text: str
    advice: str = ""


@define
class Diagnosis:
    """All findings, and the variables that make a session fit."""

    findings: list[Finding] = field(factory=list)
    variables: dict[str, str] = field(factory=dict)
    requests: int = 0

    def add(self, name: str, is_good: bool | None, text: str, advice: str = "") -> None:
        """Add a finding."""
        self.findings.append(Finding(name, is_good, text, advice))

    @property
    def code(self) -> ExitCode:
        """The exit code: that of the first thing that keeps a session from working."""
        bad = {finding.name for finding in self.findings if finding.is_good is False}
        if bad & {"registry", "catalog"}:
            return ExitCode.NETWORK
        return ExitCode.ACCESS if "credential" in bad else ExitCode.FAILED if bad else ExitCode.OK


def write_profile(path: Path, variables: Mapping[str, str]) -> None:
    """Write variables, and no credential, for `CLINIA_PROFILE`. Raises `ConfigError`."""
    lines = [f"{name}={value}" for name, value in variables.items()]
    try:
        descriptor = os.open(
            path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_NOFOLLOW", 0), 0o600
        )
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write("\n".join(["# written by clinia-async doctor; no key is in it", *lines, ""]))
    except OSError as error:
        reason = error.strerror
    else:
        return
    raise ConfigError(f"--write-profile: the file cannot be written: {reason}; name another")


def print_diagnosis(diagnosis: Diagnosis, profile: Path | None, output: str) -> None:
    """Print the findings and what to set; `profile` is the one that was written."""
    if output == TABLE:
        for line in _lines(diagnosis, profile):
            click.echo(line)
        return
    findings = [
        {"name": each.name, "good": each.is_good, "text": each.text, "advice": each.advice}
        for each in diagnosis.findings
    ]
    print_one({"findings": findings, "set": diagnosis.variables, "requests": diagnosis.requests}, output)


def _lines(diagnosis: Diagnosis, profile: Path | None) -> Sequence[str]:
    marks = {True: "ok", False: "BAD", None: "?"}
    lines = []
    for each in diagnosis.findings:
        advice = f" ({each.advice})" if each.advice else ""
        lines.append(f"{marks[each.is_good]:<4} {each.name:<16} {each.text}{advice}")
    lines += [f"export {name}={quote(value)}" for name, value in diagnosis.variables.items()]
    if profile is not None:
        lines.append(f"export CLINIA_PROFILE={quote(str(profile.absolute()))}")
    return [*lines, f"{diagnosis.requests} requests sent"]
