"""Inputs that are made from a seed, what they mean, and whether what a job told of one is true.

What one line must come to is known before anything is sent, because every input goes to an empty
registry and the first line of a key comes first:

* the first line of a key is stored, by this job: `persisted` or `succeeded`;
* a later equal one is `existing`; where `on_existing` is `fail` it is `failed`;
* a later different one is `failed`; where `on_existing` is `keep` it is `kept`;
* a line that is wrong is `invalid`, and a blank one is counted as blank.

One answer more is taken for true, and counted (`blurred`): after a lost answer an equal duplicate may be
told `persisted` and `reconciled`, for what is read back cannot say which of the two lines put it there.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from pathlib import Path
from random import Random

from attrs import define, field, frozen

SOURCE = "ehr-prod"
TYPES = ("practises-at", "refers-to", "covers")
POLICIES = ("compare", "keep", "fail")

Stored = Mapping[tuple[str, str], object]
"""The data of each relationship by its type and id."""


class LineKind(Enum):
    FIRST = "the first of its key"
    EQUAL = "as one before it"
    DIFFERENT = "with the key of one before it and other data"
    WRONG = "no record"
    BLANK = "blank"


@frozen
class Line:
    text: str = field(repr=False)
    kind: LineKind


@frozen
class Input:
    lines: Sequence[Line]
    means: Stored = field(repr=False)

    def write(self, path: Path) -> None:
        path.write_text("".join(line.text + "\n" for line in self.lines))

    def count(self, kind: LineKind) -> int:
        return sum(line.kind is kind for line in self.lines)

    @property
    def records(self) -> int:
        """Those that can be sent."""
        return len(self.lines) - self.count(LineKind.WRONG) - self.count(LineKind.BLANK)


def made(random: Random, count: int) -> Input:
    """About one line in six is no new record; every fourth input has nothing but new ones."""
    plain = random.random() < 0.25
    means: dict[tuple[str, str], object] = {}
    lines: list[Line] = []
    for number in range(count):
        kind = LineKind.FIRST if plain or not means else random.choices(list(LineKind), (84, 7, 4, 3, 2))[0]
        lines.append(Line(_text(random, kind, number, means), kind))
    return Input(lines, means)


def _text(random: Random, kind: LineKind, number: int, means: dict[tuple[str, str], object]) -> str:
    if kind is LineKind.BLANK:
        return random.choice(["", "  "])
    if kind is LineKind.WRONG:
        return random.choice(
            [
                "{",
                '{"type":"covers"}',
                _written("covers", f"a.{number}.b", {}),
                _written("covers", f"p{number}.o{number}", [1]),
            ]
        )
    if kind is LineKind.FIRST:
        type_, id_ = random.choice(TYPES), f"prac-{number}.org-{random.randrange(7)}"
        means[type_, id_] = {"number": number, "active": random.random() < 0.5}
        return _written(type_, id_, means[type_, id_])
    # near ones meet while the first is still under way, far ones when it is long over
    known = list(means)
    type_, id_ = random.choice(known[-5:] if random.random() < 0.5 else known)
    data = means[type_, id_]
    assert isinstance(data, dict)
    return _written(type_, id_, data if kind is LineKind.EQUAL else {**data, "number": -1 - number})


def _written(type_: str, id_: str, data: object) -> str:
    from_, _, to = id_.partition(".")
    ends = {"from": {"id": from_, "type": "practitioner"}, "to": {"id": to, "type": "organization"}}
    return json.dumps({"type": type_, **ends, "data": data})


@frozen
class Reported:
    """What a job told, at its end: the members of its report, and its dead letters."""

    report: Mapping[str, object]
    letters: Sequence[Mapping[str, object]] = field(repr=False)

    @property
    def counts(self) -> Counter[str]:
        found = self.report["by_disposition"]
        assert isinstance(found, Mapping)
        return Counter(found)


@define
class Findings:
    lost: list[str] = field(factory=list)
    doubled: list[str] = field(factory=list)
    untrue: list[str] = field(factory=list)
    blurred: int = 0

    def __bool__(self) -> bool:
        return bool(self.lost or self.doubled or self.untrue)

    def __iter__(self) -> Iterator[str]:
        for name, found in (("lost", self.lost), ("doubled", self.doubled), ("untrue", self.untrue)):
            yield from (f"{name}: {each}" for each in found)


def check(given: Input, policy: str, reported: Reported, stored: Stored) -> Findings:
    findings = Findings()
    _check_state(given, stored, findings)
    _check_counts(given, policy, reported, findings)
    _check_dead_letters(given, policy, reported, findings)
    return findings


def _check_state(given: Input, stored: Stored, findings: Findings) -> None:
    findings.lost += [f"{key} is not stored" for key in given.means.keys() - stored.keys()]
    findings.doubled += [f"{key} was never to be stored" for key in stored.keys() - given.means.keys()]
    for key in given.means.keys() & stored.keys():
        if stored[key] != given.means[key]:
            findings.doubled.append(f"{key} holds what a later line of its key says")


def _check_counts(given: Input, policy: str, reported: Reported, findings: Findings) -> None:
    counts, report = reported.counts, reported.report
    read = len(given.lines) - given.count(LineKind.BLANK)
    landed = given.count(LineKind.FIRST) + given.count(LineKind.EQUAL) * (policy != "fail")
    landed += given.count(LineKind.DIFFERENT) * (policy == "keep")
    ours = counts["persisted"] + counts["succeeded"]
    findings.blurred = ours - given.count(LineKind.FIRST)
    if policy == "fail":
        landed += findings.blurred
    for what, found, true in (
        ("read", report["read"], read),
        ("completed", report["completed"], read),
        ("blank", report["blank"], given.count(LineKind.BLANK)),
        ("complete", report["complete"], True),
        ("all dispositions", counts.total(), read),
        ("landed", report["landed"], landed),
        ("invalid", counts["invalid"], given.count(LineKind.WRONG)),
        ("kept", counts["kept"], given.count(LineKind.DIFFERENT) * (policy == "keep")),
        # a create that may have been applied before another record took its key is unknown
        ("failed", counts["failed"] + counts["unknown"], read - landed - given.count(LineKind.WRONG)),
        ("dead letters", len(reported.letters), read - landed),
        (
            "stored by this job beyond the first of each key",
            findings.blurred,
            min(max(findings.blurred, 0), given.count(LineKind.EQUAL)),
        ),
    ):
        if found != true:
            findings.untrue.append(f"{what}: told {found}, true is {true}")


def _check_dead_letters(given: Input, policy: str, reported: Reported, findings: Findings) -> None:
    seen: Counter[int] = Counter()
    for letter in reported.letters:
        about = letter["deadLetter"]
        assert isinstance(about, Mapping)
        number = int(about["line"])
        seen[number] += 1
        line = given.lines[number - 1]
        expected = _dispositions_of_letter(line.kind, policy)
        if about["disposition"] not in expected:
            findings.untrue.append(f"line {number}, {line.kind.value}, has a letter: {about}")
        elif not _carries(letter, about, line.text):
            findings.untrue.append(f"the letter of line {number} does not carry the line")
    findings.untrue += [f"line {number} has {times} letters" for number, times in seen.items() if times > 1]


def _dispositions_of_letter(kind: LineKind, policy: str) -> set[str]:
    """Empty if no such line may have a letter."""
    if kind is LineKind.WRONG:
        return {"invalid"}
    if kind is LineKind.DIFFERENT and policy != "keep":
        return {"failed", "unknown"}
    return {"failed"} if kind is LineKind.EQUAL and policy == "fail" else set()


def _carries(letter: Mapping[str, object], about: Mapping[str, object], text: str) -> bool:
    if "text" in about:
        return about["text"] == text
    rest = {name: value for name, value in letter.items() if name != "deadLetter"}
    return bool(rest == json.loads(text))


def dead_letters_in(path: Path) -> list[Mapping[str, object]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()] if path.exists() else []
